import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { nativeAvailable } from '../test/oracle/native.ts';

const native = { skip: nativeAvailable() ? false : 'needs x86-64 Linux and gcc' };

/** In a process of its own: a row that is broken on purpose must not stay broken for other tests. */
function run(...args: string[]): { output: string; lines: string[]; status: number | null } {
  const done = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    encoding: 'utf8',
  });
  const lines = done.stdout.trimEnd().split('\n');
  return { output: done.stdout + done.stderr, lines, status: done.status };
}

test('random programs do what the host’s CPU does', native, () => {
  const { output, lines, status } = run('--programs', '1500', '--seed', '2026');
  assert.equal(lines.at(-1), 'programs=1500 differences=0', output);
  assert.equal(status, 0);
});

for (const row of ['ADD Ev,Gv', 'PADDW Vx,Wx', 'JZ Jb', 'POPF']) {
  test(`a bug put into ${row} is caught`, native, () => {
    const { output, lines, status } = run('--programs', '2000', '--seed', '1', '--inject', row);
    assert.match(lines.at(-1) ?? '', /^programs=\d+ differences=[1-9]\d*$/, output);
    assert.equal(status, 1);
  });
}

for (const tier of ['always', 'random', 'sync']) {
  test(`random programs do the same with the tier ${tier}`, native, () => {
    const { output, lines, status } = run('--programs', '500', '--seed', '2027', '--tier', tier);
    assert.equal(lines.at(-1), 'programs=500 differences=0', output);
    assert.equal(status, 0);
  });
}

test('programs take as many instructions translated as interpreted, in deterministic mode', native, () => {
  const { output, lines } = run('--programs', '250', '--seed', '9', '--tier', 'random', '--count');
  assert.equal(lines.at(-1), 'programs=250 differences=0', output);
});

test('every row does the same with every block translated, alone and in a loop', native, () => {
  const { output, lines } = run('--rows', '1', '--seed', '7', '--tier', 'always');
  assert.match(lines.at(-1) ?? '', /^rows=\d{3} shapes=\d{4} cases=\d{4} differences=0$/, output);
});

for (const row of ['ADD Ev,Gv', 'JZ Jb', 'POPF']) {
  test(`a bug put into ${row} is caught with every block translated`, native, () => {
    const { output, lines, status } = run(
      '--programs',
      '300',
      '--seed',
      '1',
      '--inject',
      row,
      '--tier',
      'always',
    );
    assert.match(lines.at(-1) ?? '', /^programs=\d+ differences=[1-9]\d*$/, output);
    assert.equal(status, 1);
  });
}
