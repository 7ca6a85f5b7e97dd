import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BenchItem, median, result, table } from './result.ts';

function item(suite: string, value: number, ratio: number | null): BenchItem {
  return {
    name: `item of ${suite}`,
    suite,
    value,
    unit: 's',
    against: ratio === null ? null : 'qemu',
    ratio,
  };
}

test('median of odd and even counts', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test('the geometric mean is per suite and leaves out what was not compared', () => {
  const { geomean } = result([
    item('a', 1, 0.5),
    item('a', 1, 2),
    item('a', 1, null),
    item('b', 1, 3),
    item('c', 1, null),
  ]);
  assert.deepEqual(Object.keys(geomean), ['a', 'b']);
  assert.ok(Math.abs((geomean['a'] ?? 0) - 1) < 1e-12);
  assert.ok(Math.abs((geomean['b'] ?? 0) - 3) < 1e-12);
});

test('the table shows value, unit and ratio', () => {
  assert.match(table(result([item('a', 75_000_000, 0.5)])), /75\.0 M +s +0\.50 × qemu/);
});
