import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

/** Files that an import of `entry` loads: imports for types and `import()` are not followed. */
function loaded(entry: URL): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (found.has(file.pathname)) continue;
    found.add(file.pathname);
    const source = readFileSync(file, 'utf8');
    for (const [, names = '', path = ''] of source.matchAll(
      /^(?:import|export)\s([^;]*?)\sfrom '(\.[^']+)'/gm,
    )) {
      const values = names.replace(/^\{|\}$/g, '').split(',');
      const onlyTypes = names.startsWith('type ') || values.every((name) => /^\s*(type\s|$)/.test(name));
      if (!onlyTypes) open.push(new URL(path, file));
    }
  }
  return found;
}

test('the entry point does not load the instruction table: 23 MB that only vCPU threads need', () => {
  const files = [...loaded(new URL('./node.ts', import.meta.url))];
  assert.ok(files.some((file) => file.endsWith('/vm.ts')) && files.length > 40, `only ${files.length} files`);
  assert.deepEqual(
    files.filter((file) => /\/(x86\/(isa|sem)|engine)\//.test(file)),
    [],
  );
});
