/** Documents name only files that exist. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
/** Made by the build or for the user to fill in. */
const NOT_COMMITTED = /^packages\/vm\/build\/|[<*…]/;

test('every path named in docs/design.md and CONTRIBUTING.md exists', () => {
  const missing: string[] = [];
  for (const document of ['docs/design.md', 'CONTRIBUTING.md']) {
    const text = readFileSync(join(root, document), 'utf8');
    for (const [, path = ''] of text.matchAll(/`((?:packages|docs|test|tools|bench|fuzz|bin)\/[^`\s]*)`/g)) {
      if (!NOT_COMMITTED.test(path) && !existsSync(join(root, path))) missing.push(`${document}: ${path}`);
    }
  }
  assert.deepEqual(missing, []);
});

test('every link between documents leads somewhere', () => {
  const broken: string[] = [];
  for (const document of [
    'README.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    ...globSync('docs/**/*.md', { cwd: root }),
  ]) {
    const text = readFileSync(join(root, document), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (!/^https?:/.test(target) && !existsSync(join(root, dirname(document), target)))
        broken.push(`${document}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('decisions are numbered once', () => {
  const numbers = globSync('docs/adr/*.md', { cwd: root }).map(
    (file) => /(\d{4})-[a-z0-9-]+\.md$/.exec(file)?.[1],
  );
  assert.ok(
    numbers.every((number) => number !== undefined),
    'a name is no NNNN-title.md',
  );
  assert.equal(new Set(numbers).size, numbers.length);
});
