/** Types, lint and format of the whole tree. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

function tool(script: string, args: readonly string[]): void {
  const run = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(run.status, 0, `${script} ${args.join(' ')}\n${run.stdout}${run.stderr}`);
}

test('everything type checks', () => {
  tool('typescript/bin/tsc', ['-p', 'tsconfig.json', '--noEmit']);
});

test('the core type checks without Node and without the DOM', () => {
  tool('typescript/bin/tsc', ['-p', 'packages/vm/tsconfig.core.json', '--noEmit']);
});

test('lint: layers, cycles, promises, switches, file sizes', () => {
  tool('oxlint/bin/oxlint', ['--quiet', '-f', 'unix']);
});

test('format', () => {
  tool('@biomejs/biome/bin/biome', ['format', '--max-diagnostics=20', '.']);
});
