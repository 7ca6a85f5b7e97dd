import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { BlockGraph, formRegion, type Shape } from './former.ts';
import { replay } from './simulate.ts';
import { type BlockEnd, type TracedBlock, traceFile } from './trace.ts';

const SHAPE: Shape = {
  name: '',
  threshold: 2,
  maxBlocks: 50,
  maxInstructions: 1000,
  calls: 'none',
  depth: 3,
  resets: true,
  again: 0,
  againBlocks: 50,
};

function block(id: number, at: number, end: BlockEnd, target: number): TracedBlock {
  const rip = (0x1000 + at).toString(16);
  return {
    id,
    host: 0x5000 + at,
    mode: 2,
    rip,
    bytes: 16,
    instructions: 4,
    accesses: 1,
    end,
    target,
    left: 0,
  };
}

/** 1: call 4; 2: branch to 1; 3: return; 4: the callee, returns. */
const GRAPH: BlockGraph = new BlockGraph([
  block(1, 0, 'call', 0x100),
  block(2, 16, 'branch', -16),
  block(3, 32, 'return', 0),
  block(4, 0x100, 'return', 0),
]);
const EXECUTED: Int32Array = Int32Array.of(0, 2, 2, 0, 2);

test('a call ends a region without callees', () => {
  const { ids, successors } = formRegion(GRAPH, 1, SHAPE, EXECUTED);
  assert.deepEqual({ ids, successors }, { ids: [1], successors: [[]] });
});

test('an inlined callee returns to its call, and the loop closes', () => {
  const region = formRegion(GRAPH, 1, { ...SHAPE, calls: 'inline' }, EXECUTED);
  assert.deepEqual(region.ids, [1, 4, 2]);
  assert.deepEqual(region.successors, [
    [4, 1],
    [2, 2],
    [1, 0],
  ]);
  assert.equal(region.instructions, 12);
});

test('a shared callee returns to whatever call is inside', () => {
  const region = formRegion(GRAPH, 4, { ...SHAPE, calls: 'shared' }, EXECUTED);
  assert.deepEqual(region.ids, [4], 'from its own entry it knows no call');
  const whole = formRegion(GRAPH, 1, { ...SHAPE, calls: 'shared' }, EXECUTED);
  assert.deepEqual(new Set(whole.ids), new Set([1, 2, 4]));
  assert.deepEqual(whole.successors[whole.ids.indexOf(4)], [2, whole.ids.indexOf(2)]);
});

test('a recording replayed: what is interpreted, what is entered', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'viv-replay-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(traceFile(folder, 1), Uint32Array.from(Array.from({ length: 10 }, () => [1, 4, 2]).flat()));
  const inlined = replay(folder, 1, GRAPH, { ...SHAPE, calls: 'inline' });
  // two rounds until block 1 has run twice; then one entry
  assert.equal(inlined.instructions, 120);
  assert.equal(inlined.inRegions, 1 - 24 / 120);
  assert.equal(inlined.entriesPerThousand, 1000 / 120);
  const apart = replay(folder, 1, GRAPH, SHAPE);
  assert.equal(apart.regions, 3);
  // block 2 goes on to block 1 inside its region, so a round has two entries
  assert.ok(apart.entriesPerThousand > inlined.entriesPerThousand * 10);
});
