import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineRunner } from './engine.ts';
import { nativeAvailable } from './native.ts';
import { softEngine } from './parts.ts';
import { compareRows, formatDifferences } from './rows.ts';

const native = { skip: nativeAvailable() ? false : 'needs x86-64 Linux and gcc' };

/** `npm run fuzz -- --rows 1000` runs the same with more cases. */
const CASES = 12;

test('every row does what the host’s CPU does', native, () => {
  const result = compareRows({ cases: CASES, seed: 20_261_123 });
  assert.ok(result.rows > 800, `only ${result.rows} rows`);
  assert.ok(result.cases - result.cold > 0.9 * result.shapes * CASES);
  assert.equal(formatDifferences(result.differences), '');
});

test('a whole vCPU does what the host’s CPU does, with delivery of every exception', native, () => {
  const result = compareRows({ cases: 3, seed: 1123, runner: new EngineRunner(softEngine()) });
  assert.equal(result.cold, 0);
  assert.equal(formatDifferences(result.differences), '');
});
