import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutMemory } from '../../machine/layout.ts';
import { VCPU_BASE } from '../../machine/layout.ts';
import { GuestCode, type Paging } from './guest-code.ts';

const PRESENT_USER = 5n;
const KERNEL: Paging = { cr0: 0x8000_0000n, cr3: 0x1000n, cr4: 0n, cpl: 0 };

/** Page tables at 0x1000: 0x40_0000 → 0x9000 (user), 0x40_1000 no execute, 0x60_0000 large, kernel half at the top. */
function tables(): { code: GuestCode; ram: number; view: DataView } {
  const layout = layoutMemory(8 << 20);
  const buffer = new SharedArrayBuffer(layout.ramOffset + layout.ramBytes);
  const view = new DataView(buffer);
  const set = (gpa: number, value: bigint): void =>
    view.setBigUint64(layout.ramOffset + gpa, BigInt.asUintN(64, value), true);
  set(0x1000, 0x2000n | PRESENT_USER);
  set(0x1ff8, 0x2000n | 1n);
  set(0x2000, 0x3000n | PRESENT_USER);
  set(0x2ff0, 0x3000n | PRESENT_USER);
  set(0x3000 + 2 * 8, 0x4000n | PRESENT_USER);
  set(0x3000 + 3 * 8, 0x40_0000n | PRESENT_USER | 0x80n);
  set(0x4000, 0x9000n | PRESENT_USER);
  set(0x4008, 0x9000n | PRESENT_USER | (1n << 63n));
  set(0x4010, 0xffff_f000n | PRESENT_USER);
  return { code: new GuestCode(buffer, layout, VCPU_BASE), ram: layout.ramOffset, view };
}

test('addresses translate as the processor fetches, and no accessed bit is set', () => {
  const { code, ram, view } = tables();
  const before = new Uint8Array(view.buffer).slice(ram, ram + 0x5000);
  code.setPaging(KERNEL);
  assert.equal(code.fetch(0x40_0123n), ram + 0x9123);
  assert.equal(code.fetch(0x40_1000n), 0, 'no execute');
  assert.equal(code.fetch(0x40_2000n), 0, 'not RAM');
  assert.equal(code.fetch(0x40_3000n), 0, 'not present');
  assert.equal(code.fetch(0x61_2345n), ram + 0x41_2345, 'a large page');
  assert.equal(code.fetch(-0x80000000n + 0x40_0000n), ram + 0x9000, 'the kernel half');
  assert.equal(code.fetch(0x8000_0040_0000n), 0, 'not canonical');
  assert.deepEqual(new Uint8Array(view.buffer).slice(ram, ram + 0x5000), before);
});

test('privilege counts: user pages under SMEP, kernel pages for user code', () => {
  const { code, ram } = tables();
  code.setPaging({ ...KERNEL, cr4: 1n << 20n });
  assert.equal(code.fetch(0x40_0000n), 0);
  assert.equal(code.fetch(-0x80000000n + 0x40_0000n), ram + 0x9000);
  code.setPaging({ ...KERNEL, cpl: 3 });
  assert.equal(code.fetch(0x40_0000n), ram + 0x9000);
  assert.equal(code.fetch(-0x80000000n + 0x40_0000n), 0);
});
