import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BenchItem, median, result } from './result.ts';
import { markdown, table } from './table.ts';

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

test('what is apart counts in no mean; CPU time has means of its own', () => {
  const cpu = (ratio: number): { value: number; ratio: number } => ({ value: 1, ratio });
  const { geomean, cpuGeomean } = result([
    { ...item('a', 1, 0.5), cpu: cpu(4) },
    { ...item('a', 1, 8), apart: true, cpu: cpu(100) },
  ]);
  assert.deepEqual(geomean, { a: 0.5 });
  assert.deepEqual(cpuGeomean, { a: 4 });
});

test('the table shows values, ratios, bars, failures and how the sides were started', () => {
  const text = table(
    result(
      [
        { ...item('engine', 75_000_000, 0.5), bar: 1, other: 2 },
        { ...item('engine', 1, null), failed: 'qemu: no end\nafter' },
      ],
      ['qemu -x'],
    ),
  );
  const [head = '', first = '', second = '', mean = ''] = text.split('\n');
  assert.match(head, /^suite +item +value +unit +other +ratio +bar +CPU s/);
  assert.match(first, /^engine +item of engine +75\.0 M +s +2\.00 +0\.50 +1\.00 +met$/);
  assert.match(second, /FAILED: qemu: no end$/);
  assert.match(mean, /^engine +geometric mean +0\.50 +0\.65 +met$/);
  assert.match(text, /\nqemu -x$/);
});

test('Markdown: a table for each suite, columns of the other side only where there is one', () => {
  const text = markdown(
    result([
      { ...item('engine', 3, 0.5), bar: 1, other: 6, cpu: { value: 4, other: 5, ratio: 0.8 }, native: 0.25 },
      item('boot', 7, null),
    ]),
  );
  const row = '| item of engine | 3.00 | 6.00 | 0.50 | 1.00 | 4.00 | 5.00 | 0.80 | 0.250 |';
  assert.ok(text.includes(`|---|---:|---:|---:|---:|---:|---:|---:|---:|\n${row}\n`));
  assert.ok(text.includes('| **geometric mean** |  |  | **0.50** | **0.65** |  |  | **0.80** |  |'));
  assert.ok(text.includes('### boot\n\n|  | ours | CPU |\n|---|---:|---:|\n| item of boot | 7.00 |  |'));
});
