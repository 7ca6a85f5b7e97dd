import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutMemory } from '../machine/layout.ts';
import { wasm, type WasmModule } from '../wasm/api.ts';
import * as S from '../x86/state.ts';
import { generateInterpreter } from './interp/generate.ts';
import { Interpreter } from './interpreter.ts';

const module: WasmModule = new wasm.Module(generateInterpreter({ min: 1, max: 65536 }));

/** A vCPU in 64-bit mode with paging off (identity), 16 MiB of RAM, nothing else. */
function machine(): {
  vcpu: Interpreter;
  view: DataView;
  ram: number;
  load: (at: number, code: number[]) => void;
} {
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
  const cs = vcpu.area + S.SEGMENTS + S.SEG.CS * S.SEGMENT_STRIDE;
  view.setUint32(cs + S.SEG_ATTRIBUTES, 0xa09b, true);
  view.setBigUint64(vcpu.area + S.EFER, 0x500n, true);
  vcpu.modeChanged();
  return {
    vcpu,
    view,
    ram: layout.ramOffset,
    load: (at, code) => new Uint8Array(memory.buffer).set(code, layout.ramOffset + at),
  };
}
const UD2 = [0x0f, 0x0b];
function le32(n: number): number[] {
  return [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];
}

test('a loop counts, and an undefined instruction faults with exact state', () => {
  const { vcpu, view, load } = machine();
  // mov eax, 0; mov ecx, 1000; add rax, rcx; dec ecx; jnz -7; ud2
  load(0x1000, [0xb8, 0, 0, 0, 0, 0xb9, 0xe8, 3, 0, 0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, ...UD2]);
  vcpu.rip = 0x1000n;
  vcpu.budget = 100_000;
  assert.equal(vcpu.run(), 'fault');
  assert.equal(view.getUint32(vcpu.area + S.FAULT, true), 6);
  assert.equal(view.getBigUint64(vcpu.area + S.GPR, true), 500500n);
  assert.equal(vcpu.rip, 0x1011n);
  assert.equal(100_000 - vcpu.budget, 3002);
});

test('code that overwrites itself executes what was written', () => {
  const { vcpu, view, load } = machine();
  // mov byte [rip+1+5], 7  → changes the immediate of the following mov al, 1; ud2
  load(0x1000, [0xc6, 0x05, 1, 0, 0, 0, 7, 0xb0, 1, ...UD2]);
  vcpu.rip = 0x1000n;
  vcpu.budget = 1000;
  assert.equal(vcpu.run(), 'fault');
  assert.equal(view.getUint8(vcpu.area + S.GPR), 7);
  assert.equal(vcpu.rip, 0x1009n);
});

test('an instruction across two pages follows a write to its second page', () => {
  const { vcpu, view, load } = machine();
  load(0x1ffd, [0xb8, 1, 0, 0, 0, ...UD2]);
  // mov word [0x1fff + 1], 0x0002 from elsewhere, then jump there: the second byte of the immediate changes
  load(0x3000, [0xc6, 0x04, 0x25, 0, 0x20, 0, 0, 2, 0xe9, ...le32(0x1ffd - 0x300d)]);
  for (const [start, expected] of [
    [0x1ffdn, 1],
    [0x3000n, 0x20001],
  ] as const) {
    view.setUint32(vcpu.area + S.FAULT, 0, true);
    vcpu.rip = start;
    vcpu.budget = 1000;
    assert.equal(vcpu.run(), 'fault');
    assert.equal(view.getUint32(vcpu.area + S.GPR, true), expected);
  }
});

test('strings move whole pages and stop exactly at the end', () => {
  const { vcpu, view, load, ram } = machine();
  load(0x1000, [0xf3, 0x48, 0xa5, ...UD2]); // rep movsq
  for (let i = 0; i < 3000; i++) view.setUint32(ram + 0x10000 + i * 8, i, true);
  view.setBigUint64(vcpu.area + S.GPR + 6 * 8, 0x10000n, true);
  view.setBigUint64(vcpu.area + S.GPR + 7 * 8, 0x20004n, true);
  view.setBigUint64(vcpu.area + S.GPR + 1 * 8, 3000n, true);
  vcpu.rip = 0x1000n;
  vcpu.budget = 1000;
  assert.equal(vcpu.run(), 'fault');
  assert.equal(view.getBigUint64(vcpu.area + S.GPR + 8, true), 0n);
  assert.equal(view.getBigUint64(vcpu.area + S.GPR + 7 * 8, true), 0x20004n + 24000n);
  for (let i = 0; i < 3000; i++) assert.equal(view.getUint32(ram + 0x20004 + i * 8, true), i);
});

test('STAC and CLAC leave every access on the slow path while a data breakpoint is armed', () => {
  const { vcpu, view, load } = machine();
  view.setBigUint64(vcpu.area + S.DR + 7 * 8, 0x10402n, true); // DR0: writes, one byte
  vcpu.modeChanged();
  const table = view.getUint32(vcpu.area + S.TLB_TABLE, true);
  load(0x1000, [0x0f, 0x01, 0xcb, 0x0f, 0x01, 0xca, ...UD2]);
  for (const start of [0x1000n, 0x1003n]) {
    view.setUint32(vcpu.area + S.FAULT, 0, true);
    vcpu.rip = start;
    vcpu.budget = 10;
    assert.equal(vcpu.run(), 'fault');
    assert.equal(vcpu.rip, 0x1006n);
    assert.equal(view.getUint32(vcpu.area + S.TLB_TABLE, true), table);
  }
});

test('what is known by address stays when a page without code is invalidated, or code is written', () => {
  const { vcpu, view, load, ram } = machine();
  const key = (): number => view.getUint32(vcpu.area + S.JUMP_KEY, true);
  const run = (): number => {
    view.setUint32(vcpu.area + S.FAULT, 0, true);
    vcpu.rip = 0x1000n;
    vcpu.budget = 1000;
    assert.equal(vcpu.run(), 'fault');
    return view.getUint8(vcpu.area + S.GPR);
  };
  load(0x1000, [0xb0, 1, ...UD2]);
  assert.equal(run(), 1);
  const before = key();
  vcpu.invalidate(0x5000n);
  assert.equal(key(), before);
  view.setUint8(ram + 0x1001, 2);
  vcpu.written(ram + 0x1001, 1);
  assert.equal(key(), before);
  assert.equal(run(), 2, 'the jump cache knew a block of the old bytes');
  vcpu.invalidate(0x1fffn);
  assert.notEqual(key(), before);
});

/** `machine` with 4 KiB pages: linear page n of the first 2 MiB → what `map` says. Tables from 0x10000 on. */
function paged(map: (page: number) => number): ReturnType<typeof machine> & {
  set: (page: number, frame: number) => void;
} {
  const m = machine();
  const { vcpu, view, ram } = m;
  for (const [at, to] of [
    [0x10000, 0x11003n],
    [0x11000, 0x12003n],
    [0x12000, 0x13003n],
  ] as const)
    view.setBigUint64(ram + at, to, true);
  const set = (page: number, frame: number): void =>
    view.setBigUint64(ram + 0x13000 + page * 8, BigInt(frame * 4096 + 3), true);
  for (let page = 0; page < 512; page++) set(page, map(page));
  view.setBigUint64(vcpu.area + S.CR3, 0x10000n, true);
  view.setBigUint64(vcpu.area + S.CR4, 0x20n, true);
  view.setBigUint64(vcpu.area + S.CR0, 0x8000_0001n, true);
  vcpu.flush(true);
  vcpu.modeChanged();
  return { ...m, set };
}

test('a branch goes where its address says, not where the same bytes led before', () => {
  const frames = new Map([
    [4, 1],
    [5, 3],
  ]);
  const { vcpu, view, load, set } = paged((page) => frames.get(page) ?? page);
  load(0x1000, [0xe9, ...le32(0x1000 - 5)]); // jmp to the next page's start
  load(0x2000, [0xb0, 2, ...UD2]);
  load(0x3000, [0xb0, 3, ...UD2]);
  const run = (start: bigint): number => {
    view.setUint32(vcpu.area + S.FAULT, 0, true);
    vcpu.rip = start;
    vcpu.budget = 1000;
    assert.equal(vcpu.run(), 'fault');
    return view.getUint8(vcpu.area + S.GPR);
  };
  assert.deepEqual([run(0x1000n), run(0x1000n)], [2, 2]);
  assert.deepEqual([run(0x4000n), run(0x4000n)], [3, 3], 'the same branch at another address');
  assert.equal(run(0x1000n), 2);
  set(2, 3);
  vcpu.flush(true);
  assert.equal(run(0x1000n), 3, 'the page it leads to is another one now');
});

test('a branch does not go on in a block that was dropped', () => {
  const { vcpu, view, load, ram } = machine();
  // mov ecx, 2; L: mov al, 1; jmp M; … M: dec ecx; jnz N; ud2; … N: mov byte [L + 1], 7; jmp L
  load(0x1000, [0xb9, 2, 0, 0, 0, 0xeb, 0x39]); // to L at 0x1040
  load(0x1040, [0xb0, 1, 0xeb, 0x3c]); // to M at 0x1080
  load(0x1080, [0xff, 0xc9, 0x75, 0x3c, ...UD2]); // to N at 0x10c0
  load(0x10c0, [0xc6, 0x04, 0x25, 0x41, 0x10, 0, 0, 7, 0xe9, ...le32(0x1040 - 0x10cd)]);
  for (let i = 0; i < 3; i++) {
    view.setUint8(ram + 0x1041, 1);
    vcpu.written(ram + 0x1041, 1);
    view.setUint32(vcpu.area + S.FAULT, 0, true);
    vcpu.rip = 0x1000n;
    vcpu.budget = 1000;
    assert.equal(vcpu.run(), 'fault');
    assert.equal(view.getUint8(vcpu.area + S.GPR), 7);
  }
});

test('when generations begin again no branch remembers the first ones', () => {
  const { vcpu, view, load } = machine();
  load(0x1000, [0xb0, 1, ...UD2]);
  vcpu.rip = 0x1000n;
  vcpu.budget = 1000;
  assert.equal(vcpu.run(), 'fault');
  const before = vcpu.code.flushes;
  for (const key of [S.KEY_USER, S.KEY_KERNEL]) {
    view.setUint32(vcpu.area + key, 0xffff_fe00, true);
    vcpu.flush(true);
  }
  assert.equal(vcpu.code.flushes, before + 2);
});

test('a module generated from other tables is refused', () => {
  const bytes = generateInterpreter({ min: 1, max: 65536 });
  const at = Buffer.from(bytes).indexOf('vivarium') + 'vivarium'.length;
  bytes[at] = bytes[at] === 0x30 ? 0x31 : 0x30;
  const layout = layoutMemory(16 << 20);
  const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
  const hooks = {
    mmioRead: () => 0,
    mmioWrite: () => {},
    system: () => 0,
    clockNs: () => 0,
    watch: () => {},
  };
  assert.throws(() => new Interpreter({ memory, module: new wasm.Module(bytes), layout, index: 0, hooks }), {
    code: 'ENGINE_UNAVAILABLE',
  });
});
