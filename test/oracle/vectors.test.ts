import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EngineRunner } from './engine.ts';
import { nativeAvailable } from './native.ts';
import { softEngine } from './parts.ts';
import { record } from './record.ts';
import { describe } from './rows.ts';
import { outcomeDigest, readVectors, shapesWithCases, VECTORS } from './vectors.ts';

/** Vendors differ in corners that manuals leave open; the file is from Intel's silicon, which the model names. */
function recordedHere(): boolean {
  return nativeAvailable() && readFileSync('/proc/cpuinfo', 'utf8').includes('GenuineIntel');
}

test('a vCPU does what an x86-64 CPU did when the vectors were recorded', () => {
  const recorded = readVectors();
  const runner = new EngineRunner(softEngine());
  const wrong: string[] = [];
  let compared = 0;
  let missing = 0;
  for (const s of shapesWithCases()) {
    const vectors = recorded.get(s.name);
    if (vectors === undefined || vectors.input !== s.input) {
      missing++;
      continue;
    }
    s.cases.forEach((g, i) => {
      const expected = vectors.outcomes[i] ?? 0;
      if (expected === 0) return;
      compared++;
      const got = outcomeDigest(g.test, runner.run(g.test), g.masks);
      if (got !== expected && wrong.length < 20) wrong.push(`${s.shape.row.text}: ${describe(g)}`);
    });
  }
  assert.deepEqual(wrong, []);
  assert.ok(compared > 20_000, `only ${compared} cases compared`);
  assert.equal(missing, 0, 'shapes without a current recording: node test/oracle/record.ts');
});

test('the recorded vectors are those of this CPU', {
  skip: recordedHere() ? false : 'needs an Intel CPU, Linux and gcc',
}, () => {
  assert.equal(
    record() === readFileSync(VECTORS, 'utf8'),
    true,
    'node test/oracle/record.ts gives another file',
  );
});
