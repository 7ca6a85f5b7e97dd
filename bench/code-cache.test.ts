import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { hasProgram } from '../test/support/needs.ts';
import { cFile } from './c-tree.ts';
import { type CodeCacheRound, codeCacheItems, windows } from './code-cache-items.ts';
import { parseCodeMemory } from './process-memory.ts';

const MIB = 2 ** 20;
function round(n: number, change: Partial<CodeCacheRound> = {}): CodeCacheRound {
  return {
    ms: 1000 * n,
    cpuMs: 2000 * n,
    code: { now: n * MIB, most: 2 * n * MIB, mappings: n },
    memory: (100 + n) * MIB,
    threads: 9,
    handles: 4,
    files: 30,
    estimate: n * MIB,
    mostEstimate: 4 * MIB,
    regions: n,
    installed: 10 * n,
    evicted: 5 * n,
    ...change,
  };
}

test('the first round is in no window, and a window has a quarter of the rounds', () => {
  const rounds = Array.from({ length: 8 }, (_, i) => round(i + 1));
  const ms = (some: readonly CodeCacheRound[]): number[] => some.map((r) => r.ms / 1000);
  assert.deepEqual(ms(windows(rounds).early), [2, 3]);
  assert.deepEqual(ms(windows(rounds).late), [7, 8]);
  assert.deepEqual(ms(windows(rounds.slice(0, 2)).late), [2]);
});

test('what the limit costs, what the estimate came to, what grew', () => {
  const limited = [3, 6, 8, 8].map((n) => round(n));
  const free = [2, 3, 4, 4].map((n) => round(n, { mostEstimate: 9 * MIB }));
  const items = codeCacheItems(limited, free, 4 * MIB);
  const ratio = (name: string): number | null | undefined => items.find((item) => item.name === name)?.ratio;
  assert.equal(ratio('first round'), 1.5);
  assert.equal(ratio('later rounds'), 2);
  assert.equal(ratio('largest estimate'), 1);
  assert.equal(ratio('largest estimate, no limit'), 2.25);
  assert.equal(ratio('most machine code seen'), 4);
  assert.equal(ratio('machine code'), 8 / 6);
  assert.equal(ratio('threads, no limit'), 1);
  assert.deepEqual(
    items.filter(({ failed }) => failed !== undefined),
    [],
  );
});

test('a run that shows nothing has failed', () => {
  const rounds = [round(1, { evicted: 0 }), round(2, { evicted: 0 })];
  const failed = codeCacheItems(rounds, rounds, 4 * MIB).filter((item) => item.failed !== undefined);
  assert.deepEqual(
    failed.map(({ name }) => name),
    ['largest estimate, no limit', 'regions evicted'],
  );
});

test('machine code is what is executable and of no file', () => {
  const smaps = `7f00-7f10 r-xp 00000000 08:01 123 /usr/lib/libc.so.6
Pss:                 500 kB
7f20-7f30 rwxp 00000000 00:00 0${' '}
Rss:                  90 kB
Pss:                  70 kB
Pss_Dirty:            60 kB
7f30-7f40 rw-p 00000000 00:00 0${' '}
Pss:                1000 kB
7f50-7f60 r-xp 00000000 00:00 0
Pss:                   8 kB
7fff-8000 r-xp 00000000 00:00 0                          [vdso]
Pss:                   4 kB`;
  assert.deepEqual(parseCodeMemory(smaps), { bytes: 78 * 1024, mappings: 2 });
});

test('the files of the tree are the same each time and differ from each other', () => {
  const files = Array.from({ length: 8 }, (_, i) => cFile(i, 2));
  assert.deepEqual(
    files,
    files.map((_, i) => cFile(i, 2)),
  );
  assert.equal(new Set(files).size, 8);
});

// Not a skip: the suite itself says that it needs gcc.
if (hasProgram('gcc')) {
  test('they compile', () => {
    for (let i = 0; i < 8; i++) {
      const args = ['-x', 'c', '-fsyntax-only', '-w', '-'];
      const { status, stderr } = spawnSync('gcc', args, { input: cFile(i, 2), encoding: 'utf8' });
      assert.equal(status, 0, `file ${i}: ${stderr}`);
    }
  });
}
