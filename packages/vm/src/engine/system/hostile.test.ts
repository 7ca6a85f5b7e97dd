import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVcpu } from '../../machine/vcpu-state.ts';
import { SYSTEM_NAMES } from '../../x86/system-names.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { longModeRecord, testMachine } from './machine.fixture.ts';

/** xorshift: the same numbers in every run. */
function numbers(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}
const MSR_RANGES: readonly (readonly [number, number])[] = [
  [0, 0x400],
  [0x6e0, 1],
  [0x800, 0x100],
  [0x4b56_4d00, 0x10],
  [0xc000_0080, 0x10],
  [0xc000_0100, 8],
];

test('a guest that writes junk everywhere gets faults, and its state stays one that can be saved', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const next = numbers(seed * 7919);
    const m = testMachine(longModeRecord(next(2) === 0 ? 0 : 3));
    const wide = (): bigint => {
      const value = (BigInt(next(2 ** 32)) << 32n) | BigInt(next(2 ** 32));
      return [
        value,
        value & 0xffffn,
        value & 0xffff_ffffn,
        value | (0x1ffffn << 47n),
        1n << BigInt(next(64)),
      ][next(5)] as bigint;
    };
    for (let i = 0; i < 500; i++) {
      const name = SYSTEM_NAMES[next(SYSTEM_NAMES.length)] as string;
      for (let n = 0; n < 16; n++) if (next(3) === 0) m.cpu.setGpr(n, wide());
      if (/MSR/.test(name)) {
        const [first, count] = MSR_RANGES[next(MSR_RANGES.length)] as readonly [number, number];
        m.cpu.setGpr32(1, first + next(count));
      }
      if (next(4) === 0)
        m.system.mmioWrite(0xfee0_0000 + next(0x1000), [1, 2, 4][next(3)] as number, next(2 ** 32));
      if (next(4) === 0) m.system.mmioRead(0xfee0_0000 + next(0x1000), [1, 2, 4][next(3)] as number);
      if (next(8) === 0) m.mailbox.post(16 + next(240), next(2) === 0);
      if (next(8) === 0) m.ram.setBigUint64(0x1000 + next(0x2100) * 4, wide(), true);
      m.clock.ns += next(100_000);
      const status = m.run(name, {
        arg0: wide(),
        arg1: BigInt(next(2) === 0 ? next(8) : next(65536)),
        size: [1, 2, 4, 8][next(4)] as number,
        memory: next(2) === 0,
      });
      const ended = Object.values<number>(STATUS).includes(status);
      assert.ok(ended, `${name} gave ${status}`);
      if (m.cpu.get32(S.FAULT) !== 0 && m.system.deliverException() === 'shutdown') break;
      if (m.system.pollEvents() === 'shutdown') break;
    }
    const saved = m.system.save();
    assert.deepEqual(parseVcpu(saved), saved, `seed ${seed}`);
  }
});
