/**
 * The bare-metal suite counting instructions, in different tiers and with stops at different places: the same
 * interrupts at the same counts, the same memory and registers at each checkpoint and at the end.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { TranslateOptions } from '../../packages/vm/src/machine/vcpu.ts';
import { buildBareMetal, parseSerial } from '../bare-metal/build.ts';
import { type Run, runOnSoftEngine } from '../bare-metal/machine.ts';
import { nativeAvailable } from '../oracle/native.ts';

const gcc = { skip: nativeAvailable() ? false : 'needs x86-64 Linux and gcc', timeout: 300_000 };
const EVERY = 2_000_000;

function run(checkpointEvery: number, translate?: TranslateOptions): Run {
  const deterministic = { checkpointEvery };
  const exact = translate && { ...translate, exactCount: true };
  return runOnSoftEngine(buildBareMetal(), { only: 'rounds=16', deterministic, translate: exact });
}

let interpreted: Run;

before(() => {
  if (gcc.skip === false) interpreted = run(EVERY);
});

test('the suite passes, interrupts are delivered, checkpoints are made', gcc, () => {
  const { failed, complete, passed } = parseSerial(interpreted.serial);
  assert.deepEqual(failed, []);
  assert.ok(complete && passed >= 190);
  const of = (kind: string): number => interpreted.events.filter((line) => line.includes(kind)).length;
  assert.ok(of('interrupt') >= 100, `${of('interrupt')} interrupts`);
  assert.equal(of('checkpoint'), Math.floor(Number(interpreted.instructions) / EVERY));
});

test('stops at other places change nothing', gcc, () => {
  const other = run(3_999_971);
  const rest = ({ events }: Run): string[] => events.filter((line) => !line.includes('checkpoint'));
  assert.deepEqual(rest(other), rest(interpreted));
  assert.equal(other.instructions, interpreted.instructions);
});

const TIERS: readonly TranslateOptions[] = [
  { tier: 'sync', threshold: 20 },
  { tier: 'always' },
  { tier: 'random', seed: 1 },
  { tier: 'random', seed: 2 },
];
for (const translate of TIERS) {
  test(`the same run: ${translate.tier} ${translate.seed ?? ''}`, gcc, () => {
    const translated = run(EVERY, translate);
    assert.ok((translated.stats?.instructions ?? 0) > 1_000_000, 'regions ran');
    assert.deepEqual(translated.events, interpreted.events);
    assert.equal(translated.instructions, interpreted.instructions);
  });
}
