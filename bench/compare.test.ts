import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareCosts, type Samples } from './compare.ts';

const samples = (ms: readonly number[], failed?: string): Samples => ({
  costs: ms.map((value) => ({ ms: value, cpuMs: value * 2 })),
  rates: [],
  failed,
});

test('medians of wall and CPU time, their ratios and bars', () => {
  const item = compareCosts({ name: 'x', suite: 's', bar: 1, cpuBar: 1.5 }, samples([3000, 1000, 2000]), [
    'qemu',
    samples([4000, 5000, 3000]),
  ]);
  assert.deepEqual(item, {
    name: 'x',
    suite: 's',
    value: 2,
    unit: 's',
    against: 'qemu',
    ratio: 0.5,
    other: 4,
    bar: 1,
    cpu: { value: 4, other: 8, ratio: 0.5, bar: 1.5 },
  });
});

test('without another side there is no ratio', () => {
  const item = compareCosts({ name: 'x', suite: 's', bar: 1 }, samples([1000]), undefined);
  assert.equal(item.ratio, null);
  assert.equal(item.against, null);
  assert.equal(item.cpu?.ratio, null);
});

test('a failure on either side leaves no ratio, and says why', () => {
  const one = compareCosts({ name: 'x', suite: 's' }, samples([1000], 'ours: broke'), ['q', samples([1000])]);
  assert.equal(one.ratio, null);
  assert.equal(one.failed, 'ours: broke');
  const other = compareCosts({ name: 'x', suite: 's' }, samples([1000]), ['q', samples([], 'q: no end')]);
  assert.equal(other.ratio, null);
  assert.equal(other.failed, 'q: no end');
});
