import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nativeAvailable } from '../oracle/native.ts';
import { buildBareMetal, parseSerial } from './build.ts';
import { runOnSoftEngine } from './machine.ts';

const gcc = { skip: nativeAvailable() ? false : 'needs x86-64 Linux and gcc' };

test('the bare-metal suite passes on the soft engine', gcc, () => {
  const run = runOnSoftEngine(buildBareMetal());
  const result = parseSerial(run.serial);
  assert.deepEqual(result.failed, []);
  assert.ok(result.complete, `the suite ended early (${run.end}):\n${run.serial.slice(-500)}`);
  assert.ok(
    result.passed >= 190,
    `only ${result.passed} tests passed; skipped:\n${result.skipped.join('\n')}`,
  );
  assert.equal(run.end, 'stopped');
});

/**
 * Code that changes itself in each round of a loop is translated in each: fewer rounds do. With a cache that is too
 * small, regions go and come all the time.
 */
const TIERS = [
  { tier: 'always', only: 'rounds=12' },
  { tier: 'random', only: 'rounds=24', seed: 1, cacheBytes: 300_000 },
  { tier: 'sync', only: 'rounds=400', threshold: 20 },
] as const;

for (const { only, ...translate } of TIERS) {
  test(`the bare-metal suite passes with the tier ${translate.tier}`, gcc, () => {
    const run = runOnSoftEngine(buildBareMetal(), { only, translate });
    const result = parseSerial(run.serial);
    assert.deepEqual(result.failed, []);
    assert.ok(result.complete, `the suite ended early (${run.end}):\n${run.serial.slice(-500)}`);
    assert.ok(result.passed >= 190, `only ${result.passed} tests passed`);
    assert.ok((run.stats?.instructions ?? 0) > 1_000_000, 'hardly anything ran translated');
  });
}
