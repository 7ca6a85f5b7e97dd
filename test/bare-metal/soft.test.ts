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
