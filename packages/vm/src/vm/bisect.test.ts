import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RegionReport, TranslateOptions } from '../machine/vcpu.ts';
import { bisect, type Outcome } from './bisect.ts';

/** A guest with 100 regions of 12 blocks; region `wrong` is translated wrongly, in its block `block`. */
function guest(
  wrong: number,
  block: number,
): { run: (t: TranslateOptions) => Promise<Outcome>; runs: number } {
  const state = { run, runs: 0 };
  async function run({ tier, limit = 100, lastBlocks = 12 }: TranslateOptions): Promise<Outcome> {
    state.runs++;
    if (tier === 'off') return { result: 'right', installed: 0 };
    // after it has gone wrong it goes another way, and makes fewer regions
    const installed = Math.min(limit, wrong <= limit ? Math.max(wrong, 60) : 100);
    const bad = wrong < limit || (wrong === limit && block <= lastBlocks);
    const last = { number: installed, blocks: Math.min(lastBlocks, 12) } as unknown as RegionReport;
    return { result: bad ? 'wrong' : 'right', installed, last };
  }
  return state;
}

test('the first region that changes the result, and the block with which it does', async () => {
  for (const wrong of [1, 2, 37, 60, 99, 100]) {
    for (const block of [1, 7, 12]) {
      const state = guest(wrong, block);
      const lines: string[] = [];
      const verdict = await bisect(
        { tier: 'sync' },
        { run: state.run, progress: (line) => lines.push(line) },
      );
      assert.equal(verdict.kind, 'found');
      if (verdict.kind !== 'found') return;
      assert.deepEqual([verdict.number, verdict.blocks, verdict.result], [wrong, block, 'wrong']);
      assert.equal(verdict.region?.number, wrong);
      assert.ok(state.runs <= 16, `${state.runs} runs`);
      assert.ok(lines.includes('interpreted: done'));
    }
  }
});

test('nothing differs', async () => {
  const verdict = await bisect({ tier: 'sync' }, { run: guest(101, 1).run, progress: () => {} });
  assert.deepEqual(verdict, { kind: 'same', installed: 100 });
});

test('a guest whose own result changes from run to run', async () => {
  let n = 0;
  const run = async (): Promise<Outcome> => ({ result: `${n++}`, installed: 0 });
  assert.deepEqual(await bisect({ tier: 'sync' }, { run, progress: () => {} }), {
    kind: 'unsteady',
    results: ['0', '1'],
  });
});
