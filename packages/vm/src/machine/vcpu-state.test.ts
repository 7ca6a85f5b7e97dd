import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VmError } from '../base/errors.ts';
import { linux64Vcpu, pvhVcpu, resetVcpu } from './vcpu-reset.ts';
import { parseVcpu } from './vcpu-state.ts';

const gdt = { base: 0x500n, limit: 31, idtBase: 0x520n };

test('start states survive structured clone and parse to themselves', () => {
  for (const state of [
    resetVcpu(0),
    resetVcpu(3),
    pvhVcpu(0x1000850n, 0x6000n, gdt),
    linux64Vcpu(0x1000200n, 0x7000n, 0x8ff0n, 0x9000n, gdt),
  ]) {
    assert.deepEqual(parseVcpu(structuredClone(state)), state);
  }
});

test('a damaged record is refused with the path of the field', () => {
  const state = resetVcpu(0);
  const damaged: readonly (readonly [unknown, string])[] = [
    [{ ...state, version: 2 }, 'vcpu.version is not one of 1'],
    [{ ...state, gpr: state.gpr.slice(1) }, 'vcpu.gpr is not an array of 16'],
    [{ ...state, gpr: [...state.gpr.slice(1), -1n] }, 'vcpu.gpr[15] is not a bigint of 64 bits'],
    [
      { ...state, cs: { ...state.cs, limit: 2 ** 32 } },
      'vcpu.cs.limit is not an unsigned integer of 32 bits',
    ],
    [{ ...state, msrs: { C0000080: 0n } }, 'vcpu.msrs.C0000080 is not a known name'],
    [{ ...state, fpu: new Uint8Array(511) }, 'vcpu.fpu is not 512 bytes'],
    [null, 'vcpu is not an object'],
  ];
  for (const [value, message] of damaged) {
    assert.throws(
      () => parseVcpu(value),
      (e: unknown) => e instanceof VmError && e.code === 'STATE_INVALID' && e.message === message,
    );
  }
});

test('fields this version does not know are dropped', () => {
  assert.deepEqual(parseVcpu({ ...resetVcpu(0), later: 1 }), resetVcpu(0));
});
