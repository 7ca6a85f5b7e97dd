/** What decides whether an MMX or SSE instruction may run at all (SDM volume 3, chapters 12 and 13). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutMemory } from '../machine/layout.ts';
import { wasm, type WasmModule } from '../wasm/api.ts';
import { VECTOR } from '../x86/ops.ts';
import * as S from '../x86/state.ts';
import { generateInterpreter } from './interp/generate.ts';
import { Interpreter } from './interpreter.ts';

const module: WasmModule = new wasm.Module(generateInterpreter({ min: 1, max: 65536 }));
const CR0_EM = 4n;
const CR0_TS = 8n;
const CR4_OSFXSR = 0x200n;
const CR4_OSXMMEXCPT = 0x400n;

interface Given {
  readonly cr0?: bigint;
  readonly cr4?: bigint;
  readonly fsw?: number;
  readonly mxcsr?: number;
}
const layout = layoutMemory(16 << 20);
const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
const view = new DataView(memory.buffer);
const vcpu = new Interpreter({
  memory,
  module,
  layout,
  index: 0,
  hooks: { mmioRead: () => 0, mmioWrite: () => {}, system: () => 0, clockNs: () => 0, watch: () => {} },
});
view.setUint32(vcpu.area + S.SEGMENTS + S.SEG.CS * S.SEGMENT_STRIDE + S.SEG_ATTRIBUTES, 0xa09b, true);
view.setBigUint64(vcpu.area + S.EFER, 0x500n, true);
vcpu.modeChanged();
let at = 0x1000;

/** Runs `code` and UD2 behind it. @returns vector and where it was raised, relative to the start */
function fault(code: readonly number[], given: Given): [vector: number, offset: number] {
  at += 0x100;
  new Uint8Array(memory.buffer).set([...code, 0x0f, 0x0b], layout.ramOffset + at);
  view.setBigUint64(vcpu.area + S.CR0, given.cr0 ?? 1n, true);
  view.setBigUint64(vcpu.area + S.CR4, given.cr4 ?? CR4_OSFXSR, true);
  view.setUint32(vcpu.area + S.FSW, given.fsw ?? 0, true);
  view.setUint32(vcpu.area + S.MXCSR, given.mxcsr ?? 0x1f80, true);
  view.setUint32(vcpu.area + S.FAULT, 0, true);
  vcpu.modeChanged();
  vcpu.rip = BigInt(at);
  vcpu.budget = 100;
  assert.equal(vcpu.run(), 'fault');
  return [view.getUint32(vcpu.area + S.FAULT, true) & 0xff, Number(vcpu.rip) - at];
}
const PADDB_XMM = [0x66, 0x0f, 0xfc, 0xc1];
const PADDB_MM = [0x0f, 0xfc, 0xc1];
const DIVSD = [0xf2, 0x0f, 0x5e, 0xc1];

test('SSE needs OSFXSR and no emulation, and TS defers it', () => {
  assert.deepEqual(fault(PADDB_XMM, {}), [VECTOR.UD, 4]);
  assert.deepEqual(fault(PADDB_XMM, { cr4: 0n }), [VECTOR.UD, 0]);
  assert.deepEqual(fault(PADDB_XMM, { cr0: 1n | CR0_EM | CR0_TS }), [VECTOR.UD, 0]);
  assert.deepEqual(fault(PADDB_XMM, { cr0: 1n | CR0_TS }), [VECTOR.NM, 0]);
});

test('MMX needs no OSFXSR, and reports a pending x87 exception', () => {
  assert.deepEqual(fault(PADDB_MM, { cr4: 0n }), [VECTOR.UD, 3]);
  assert.deepEqual(fault(PADDB_MM, { cr0: 1n | CR0_EM | CR0_TS }), [VECTOR.UD, 0]);
  assert.deepEqual(fault(PADDB_MM, { cr0: 1n | CR0_TS, fsw: 0x80 }), [VECTOR.NM, 0]);
  assert.deepEqual(fault(PADDB_MM, { fsw: 0x80 }), [VECTOR.MF, 0]);
});

test('an unmasked SIMD exception is #XM with OSXMMEXCPT, #UD without, and writes nothing', () => {
  const xmm0 = vcpu.area + S.XMM;
  view.setFloat64(xmm0, 1, true);
  view.setFloat64(xmm0 + 16, 3, true);
  const unmasked = 0x1f80 & ~0x1000;
  const both = CR4_OSFXSR | CR4_OSXMMEXCPT;
  assert.deepEqual(fault(DIVSD, { cr4: both, mxcsr: unmasked }), [VECTOR.XM, 0]);
  assert.equal(view.getUint32(vcpu.area + S.MXCSR, true), unmasked | 0x20);
  assert.deepEqual(fault(DIVSD, { mxcsr: unmasked }), [VECTOR.UD, 0]);
  assert.equal(view.getFloat64(xmm0, true), 1);
  assert.deepEqual(fault(DIVSD, { cr4: both }), [VECTOR.UD, 4]);
  assert.equal(view.getFloat64(xmm0, true), 1 / 3);
});
