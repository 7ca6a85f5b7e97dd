import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RegionReport, TranslateOptions } from '../machine/vcpu.ts';
import { bisect, type Outcome, type Verdict } from './bisect.ts';

/** A guest with 100 regions of 12 blocks and hashes 1000, 2000 …, which come in any order. */
function guest(isWrong: (hashes: ReadonlySet<number>, maxBlocks: number) => boolean): {
  readonly run: (t: TranslateOptions) => Promise<Outcome>;
  runs: number;
} {
  const state = { run, runs: 0 };
  async function run({ tier, only, maxBlocks = 12 }: TranslateOptions): Promise<Outcome> {
    state.runs++;
    const { from, to } = only ?? { from: 0, to: 2 ** 32 };
    const all = Array.from({ length: 100 }, (_, i) => (((i + state.runs * 7) % 100) + 1) * 1000);
    const hashes = tier === 'off' ? [] : all.filter((hash) => hash >= from && hash < to);
    const last = { hash: hashes.at(-1), blocks: Math.min(maxBlocks, 12) } as unknown as RegionReport;
    return { result: isWrong(new Set(hashes), maxBlocks) ? 'wrong' : 'right', hashes, last };
  }
  return state;
}
const search = (run: (t: TranslateOptions) => Promise<Outcome>): Promise<Verdict> =>
  bisect({ tier: 'sync' }, { run, progress: () => {} });

test('the region that changes the result, and the fewest blocks with which it does', async () => {
  for (const wrong of [1000, 2000, 37_000, 99_000, 100_000]) {
    for (const block of [1, 7, 12]) {
      const state = guest((hashes, maxBlocks) => hashes.has(wrong) && maxBlocks >= block);
      const verdict = await search(state.run);
      assert.equal(verdict.kind, 'found');
      if (verdict.kind !== 'found') return;
      assert.deepEqual([verdict.region?.hash, verdict.region?.blocks], [wrong, block]);
      assert.deepEqual([verdict.blocks, verdict.result], [12, 'wrong']);
      assert.ok(state.runs <= 22, `${state.runs} runs`);
    }
  }
});

test('of two wrong regions one is found', async () => {
  const verdict = await search(guest((hashes) => hashes.has(30_000) || hashes.has(31_000)).run);
  assert.ok(verdict.kind === 'found' && [30_000, 31_000].includes(verdict.region?.hash ?? 0));
});

test('with fewer regions, what was inside another becomes a region of its own', async () => {
  // the wrong instruction is in region 40000; where that is left out, in 41500, which is no region otherwise
  const run = async ({ tier, only, maxBlocks = 12 }: TranslateOptions): Promise<Outcome> => {
    const { from, to } = only ?? { from: 0, to: 2 ** 32 };
    const inRange = (hash: number): boolean => tier !== 'off' && hash >= from && hash < to;
    const hashes = Array.from({ length: 100 }, (_, i) => (i + 1) * 1000).filter(inRange);
    if (!inRange(40_000) && inRange(41_500)) hashes.push(41_500);
    const wrong = hashes.includes(40_000) || hashes.includes(41_500);
    const last = { hash: hashes.at(-1), blocks: Math.min(maxBlocks, 12) } as unknown as RegionReport;
    return { result: wrong ? 'wrong' : 'right', hashes, last };
  };
  const verdict = await search(run);
  assert.ok(verdict.kind === 'found' && [40_000, 41_500].includes(verdict.region?.hash ?? 0));
});

test('regions that are wrong only together are not blamed alone', async () => {
  const verdict = await search(guest((hashes) => hashes.has(1000) && hashes.has(90_000)).run);
  assert.equal(verdict.kind, 'several');
});

test('nothing differs', async () => {
  assert.deepEqual(await search(guest(() => false).run), { kind: 'same', regions: 100 });
});

test('a guest whose own result changes from run to run', async () => {
  let n = 0;
  const run = async (): Promise<Outcome> => ({ result: `${n++}`, hashes: [] });
  assert.deepEqual(await search(run), { kind: 'unsteady', results: ['0', '1'] });
});
