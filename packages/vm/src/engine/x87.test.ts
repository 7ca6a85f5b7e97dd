/** x87 instructions in the interpreter: stack faults, pending exceptions, saved images. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutMemory } from '../machine/layout.ts';
import { wasm, type WasmModule } from '../wasm/api.ts';
import { VECTOR } from '../x86/ops.ts';
import * as S from '../x86/state.ts';
import { generateInterpreter } from './interp/generate.ts';
import { Interpreter } from './interpreter.ts';

const module: WasmModule = new wasm.Module(generateInterpreter({ min: 1, max: 65536 }));
const DATA = 0x8000;

class Machine {
  readonly vcpu: Interpreter;
  readonly view: DataView;
  readonly ram: number;
  #code = 0x1000;
  constructor() {
    const layout = layoutMemory(16 << 20);
    const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
    const hooks = {
      mmioRead: () => 0,
      mmioWrite: () => {},
      system: () => 0,
      clockNs: () => 0,
      watch: () => {},
    };
    this.view = new DataView(memory.buffer);
    this.ram = layout.ramOffset;
    this.vcpu = new Interpreter({ memory, module, layout, index: 0, hooks });
    const cs = this.vcpu.area + S.SEGMENTS + S.SEG.CS * S.SEGMENT_STRIDE;
    this.view.setUint32(cs + S.SEG_ATTRIBUTES, 0xa09b, true);
    this.view.setBigUint64(this.vcpu.area + S.EFER, 0x500n, true);
    this.view.setBigUint64(this.vcpu.area + S.GPR, BigInt(DATA), true);
    this.vcpu.modeChanged();
  }
  /** Runs `code` and UD2 behind it, with RAX = DATA. @returns the exception and where it was, from the start */
  run(...code: number[]): { vector: number; at: number } {
    this.#code += 0x100;
    new Uint8Array(this.view.buffer).set([...code, 0x0f, 0x0b], this.ram + this.#code);
    this.view.setInt32(this.vcpu.area + S.FAULT, 0, true);
    this.vcpu.rip = BigInt(this.#code);
    this.vcpu.budget = 1000;
    assert.equal(this.vcpu.run(), 'fault');
    return { vector: this.#get(S.FAULT) & 0xff, at: Number(this.vcpu.rip) - this.#code };
  }
  #get(offset: number): number {
    return this.view.getInt32(this.vcpu.area + offset, true);
  }
  get fsw(): number {
    return this.#get(S.FSW);
  }
  word(offset: number): number {
    return this.view.getUint16(this.ram + DATA + offset, true);
  }
  setWord(offset: number, value: number): void {
    this.view.setUint16(this.ram + DATA + offset, value, true);
  }
  quad(offset: number): bigint {
    return this.view.getBigUint64(this.ram + DATA + offset, true);
  }
}
const FNINIT = [0xdb, 0xe3];
const FLDZ = [0xd9, 0xee];
const FLD1 = [0xd9, 0xe8];
const FDIV = [0xd8, 0xf1]; // ST(0) / ST(1)
const FNOP = [0xd9, 0xd0];
const FNSTSW_AX = [0xdf, 0xe0];
const FLDCW = [0xd9, 0x28]; // [rax]

test('the ninth push overflows the stack and gives the default NaN', () => {
  const m = new Machine();
  const pushes = Array.from({ length: 9 }, () => FLD1).flat();
  const code = [...FNINIT, ...pushes, 0xdb, 0x38]; // fstp tbyte [rax]
  assert.deepEqual(m.run(...code), { vector: VECTOR.UD, at: code.length });
  assert.equal(m.quad(0), 0xc000000000000000n);
  assert.equal(m.word(8), 0xffff);
  assert.equal(m.fsw & 0x7f, 0x41);
});

test('an unmasked exception waits for the next waiting instruction', () => {
  const m = new Machine();
  m.setWord(0, 0x37b); // ZE unmasked
  const code = [...FNINIT, ...FLDCW, ...FLDZ, ...FLD1, ...FDIV, ...FNSTSW_AX, ...FNOP];
  assert.deepEqual(m.run(...code), { vector: VECTOR.MF, at: code.length - 2 });
  // summary and busy, ZE; ST(0) keeps the dividend
  assert.equal(m.view.getUint16(m.vcpu.area + S.GPR, true), 0xb084);
  assert.equal(m.view.getBigUint64(m.vcpu.area + S.X87 + 6 * 16, true), 1n << 63n);
});

test('an unmasked overflow keeps FST from storing', () => {
  const m = new Machine();
  m.setWord(0, 0x377); // OE unmasked
  // fld1; fldcw; fld tbyte [rax+16]; fst dword [rax+32]
  const code = [...FNINIT, ...FLDCW, 0xdb, 0x68, 16, 0xd9, 0x50, 32];
  m.view.setBigUint64(m.ram + DATA + 16, 1n << 63n, true);
  m.setWord(24, 0x7000);
  m.setWord(32, 0x1234);
  assert.deepEqual(m.run(...code), { vector: VECTOR.UD, at: code.length });
  assert.equal(m.word(32), 0x1234);
  assert.equal(m.fsw & 0xbf, 0x88);
});

test('CR0.TS makes every x87 instruction #NM, and WAIT only with CR0.MP', () => {
  const m = new Machine();
  const cr0 = m.vcpu.area + S.CR0;
  m.view.setUint32(cr0, 8, true);
  m.vcpu.modeChanged();
  assert.deepEqual(m.run(...FNINIT), { vector: VECTOR.NM, at: 0 });
  assert.deepEqual(m.run(0x9b), { vector: VECTOR.UD, at: 1 });
  m.view.setUint32(cr0, 10, true);
  assert.deepEqual(m.run(0x9b), { vector: VECTOR.NM, at: 0 });
});

test('FXSAVE and FXRSTOR carry the whole state, and refuse what is reserved or unaligned', () => {
  const m = new Machine();
  const saveRestore = [...FNINIT, ...FLD1, ...FLDZ, 0x0f, 0xae, 0x00, ...FNINIT, 0x0f, 0xae, 0x08];
  assert.deepEqual(m.run(...saveRestore), { vector: VECTOR.UD, at: saveRestore.length });
  assert.equal(m.fsw, 0x3000);
  assert.equal(m.word(0), 0x37f);
  assert.equal(m.word(4), 0xc0);
  assert.equal(m.word(28), 0xffff);
  assert.equal(m.quad(48), 1n << 63n);
  assert.deepEqual(m.run(0x0f, 0xae, 0x40, 8), { vector: VECTOR.GP, at: 0 });
  m.view.setUint32(m.ram + DATA + 24, 0x10000, true);
  assert.deepEqual(m.run(0x0f, 0xae, 0x08), { vector: VECTOR.GP, at: 0 });
});

test('FNSAVE stores environment and registers, and FRSTOR brings them back', () => {
  const m = new Machine();
  const code = [...FNINIT, ...FLD1, ...FLDZ, 0xdd, 0x30, 0xdd, 0x20];
  assert.deepEqual(m.run(...code), { vector: VECTOR.UD, at: code.length });
  assert.deepEqual([m.word(0), m.word(4), m.word(8)], [0x37f, 0x3000, 0x1fff]);
  assert.equal(m.quad(28), 0n);
  assert.equal(m.quad(38), 1n << 63n);
  assert.equal(m.fsw, 0x3000);
  assert.equal(m.view.getInt32(m.vcpu.area + S.FTW, true), 0xc0);
});

test('FSIN leaves an argument of 2^63 and sets C2', () => {
  const m = new Machine();
  m.view.setBigUint64(m.ram + DATA, 1n << 63n, true);
  m.setWord(8, 0x403e);
  m.run(...FNINIT, 0xdb, 0x28, 0xd9, 0xfe, 0xdb, 0x78, 16);
  assert.equal(m.fsw & 0x4700, 0x400);
  assert.equal(m.word(24), 0x403e);
});

test('compares set the flags that conditional moves read', () => {
  const m = new Machine();
  // fldz; fld1; fcomi st, st1 (1 > 0: CF = 0); fcmovb st, st1; fcmovnb st, st1; fstp tbyte [rax]
  m.run(...FNINIT, ...FLDZ, ...FLD1, 0xdb, 0xf1, 0xda, 0xc1, 0xdb, 0xc1, 0xdb, 0x38);
  assert.equal(m.quad(0), 0n);
  m.run(...FNINIT, ...FLDZ, ...FLD1, 0xdb, 0xf1, 0xda, 0xc1, 0xdb, 0x38);
  assert.equal(m.quad(0), 1n << 63n);
});
