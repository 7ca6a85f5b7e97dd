import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CODE_BASE,
  CONST_BASE,
  DATA_BASE,
  initialFx,
  type Outcome,
  STACK_TOP,
  type TestCase,
} from './case.ts';
import { differences } from './compare.ts';
import { nativeAvailable, runNative } from './native.ts';

function make(code: number[], extra: Partial<TestCase> = {}): TestCase {
  const gpr = BigUint64Array.from({ length: 16 }, (_, i) => BigInt(i + 1));
  gpr[4] = BigInt(STACK_TOP);
  return { mode: 64, code: Uint8Array.from(code), gpr, rflags: 0x202, ...extra };
}

function only(c: TestCase): Outcome {
  const outcome = runNative([c])[0];
  assert.ok(outcome);
  return outcome;
}

const native = { skip: nativeAvailable() ? false : 'needs x86-64 Linux and gcc' };

test('an addition ends at the INT3 behind it', native, () => {
  const o = only(make([0x48, 0x01, 0xc8])); // add rax, rcx
  assert.equal(o.vector, 3);
  assert.equal(o.gpr[0], 3n);
  assert.equal(o.rip, BigInt(CODE_BASE + 4));
  assert.equal(o.rflags & 0x8d5, 0x04);
});

test('faults carry vector, error code and address', native, () => {
  const write = only(make([0xc6, 0x00, 1], { gpr: new BigUint64Array(16).fill(BigInt(CONST_BASE)) }));
  assert.deepEqual([write.vector, write.errorCode, write.cr2], [14, 7, BigInt(CONST_BASE)]);
  assert.equal(write.rip, BigInt(CODE_BASE));
  assert.equal(only(make([0xf7, 0xf1], { gpr: new BigUint64Array(16) })).vector, 0);
  assert.equal(only(make([0xf4])).vector, 13);
  assert.equal(only(make([0x0f, 0x0b])).vector, 6);
});

test('32-bit code runs in compatibility mode', native, () => {
  const o = only(make([0x40, 0x60], { mode: 32 })); // inc eax; pusha
  assert.equal((o.gpr[0] ?? 0n) & 0xffffffffn, 2n);
  assert.equal(o.gpr[4], BigInt(STACK_TOP - 32));
  assert.equal(o.dirty.length, 1);
});

test('patches, x87 state and dirty lines arrive, and nothing leaks into the next case', native, () => {
  const fx = initialFx();
  fx.fill(0x5a, 160, 176);
  const gpr = new BigUint64Array(16).fill(BigInt(DATA_BASE + 64));
  const patched = make([0x66, 0x0f, 0xef, 0x00, 0x0f, 0x11, 0x00], {
    fx,
    gpr,
    patches: [{ addr: DATA_BASE + 64, bytes: new Uint8Array(16).fill(0xff) }],
  }); // pxor xmm0, [rax]; movups [rax], xmm0
  const [first, second] = runNative([patched, make([0x8b, 0x00], { gpr })]);
  assert.ok(first && second);
  assert.equal(first.fx[160], 0xa5);
  assert.equal(first.dirty.length, 1);
  assert.deepEqual([...(first.dirty[0]?.bytes.subarray(0, 16) ?? [])], new Array(16).fill(0xa5));
  const again = only(make([0x8b, 0x00], { gpr }));
  assert.deepEqual(differences(patched, again, second), []);
});

test('an endless loop ends as a timeout', native, () => {
  assert.equal(only(make([0xeb, 0xfe])).kind, 'timeout');
});

test('a difference is seen', native, () => {
  const c = make([0x48, 0x01, 0xc8]);
  const o = only(c);
  const gpr = o.gpr.slice();
  gpr[0] = 4n;
  assert.deepEqual(differences(c, o, { ...o, gpr }), ['rax: 0x3, got 0x4']);
  assert.deepEqual(differences(c, o, { ...o, rflags: o.rflags ^ 1 }), ['rflags: 0x206, got 0x207']);
  assert.deepEqual(differences(c, o, { ...o, rflags: o.rflags ^ 1 }, { undefinedFlags: 1 }), []);
});
