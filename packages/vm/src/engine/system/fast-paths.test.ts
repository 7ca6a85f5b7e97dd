import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutMemory, VCPU_BASE } from '../../machine/layout.ts';
import { VcpuMailbox } from '../../machine/mailbox.ts';
import { wasm, type WasmModule } from '../../wasm/api.ts';
import { portableModel } from '../../x86/cpuid.ts';
import { SYSTEM_NAMES } from '../../x86/system-names.ts';
import * as S from '../../x86/state.ts';
import { generateInterpreter } from '../interp/generate.ts';
import { Interpreter } from '../interpreter.ts';
import { Cpu, createSystem } from './index.ts';
import { longModeRecord, setGate } from './machine.fixture.ts';

const CODE = 0x4000;
const STACK = 0x7000;

/** A vCPU in 64-bit mode without paging, whose cold operations are counted. */
function machine() {
  const layout = layoutMemory(1 << 20);
  const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
  const module: WasmModule = new wasm.Module(generateInterpreter({ min: 1, max: 65536 }));
  let cold = 0;
  const clock = { ns: 0 };
  const interpreter = new Interpreter({
    memory,
    module,
    layout,
    index: 0,
    hooks: {
      mmioRead: () => 0,
      mmioWrite: () => {},
      system: (id, record) => {
        cold++;
        return system.operation(id, record);
      },
      clockNs: () => clock.ns,
      watch: () => {},
    },
  });
  const cpu = new Cpu(memory.buffer, 0);
  const system = createSystem(cpu, interpreter, {
    bus: {
      readPort: () => 0,
      writePort: () => {},
      readMmio: () => 0,
      writeMmio: () => {},
      endOfInterrupt: () => {},
    },
    clock: { nowNs: () => clock.ns, realtimeNs: () => 0n },
    random: { fill: () => {} },
    mailboxes: [new VcpuMailbox(memory.buffer, VCPU_BASE)],
    model: portableModel(),
  });
  system.load({ ...longModeRecord(0), cr0: 0x11n });
  const ram = new DataView(memory.buffer, layout.ramOffset, 1 << 20);
  // Linux's selectors
  for (const [selector, value] of [
    [0x10, 0x00af_9b00_0000_ffffn],
    [0x18, 0x00cf_9300_0000_ffffn],
    [0x28, 0x00cf_f300_0000_ffffn],
    [0x30, 0x00af_fb00_0000_ffffn],
  ] as const)
    ram.setBigUint64(0x1000 + selector, value, true);
  return { cpu, system, interpreter, ram, clock, cold: () => cold };
}

/** All that software can see, and what the run loop derives from it. */
function visible(cpu: Cpu, fault: boolean): unknown {
  return {
    gpr: Array.from({ length: 16 }, (_, n) => cpu.gpr(n)),
    rip: fault ? 0n : cpu.rip,
    rflags: cpu.rflags,
    cr3: cpu.get64(S.CR3),
    cpl: cpu.cpl,
    segments: Array.from({ length: 8 }, (_, n) => [
      cpu.selector(n),
      cpu.segmentBase(n),
      cpu.segmentLimit(n),
      cpu.attributes(n),
    ]),
    fault: cpu.get32(S.FAULT) & 0x1ff,
    table: cpu.get32(S.TLB_TABLE),
    key: cpu.get32(S.JUMP_KEY),
    blockMode: cpu.get32(S.BLOCK_MODE),
    checks: [cpu.get32(S.ALIGNMENT_CHECK), cpu.get32(S.DATA_BREAKPOINTS)],
    leaving: cpu.area.getInt32(S.BUDGET, true) < -S.BUDGET_LEAVE / 2,
  };
}

/** Pseudo-random numbers below what is asked for. */
function numbers(): (below: number) => number {
  let x = 88172645;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

const INSTRUCTIONS: Readonly<Record<string, readonly number[]>> = {
  SYSCALL: [0x0f, 0x05],
  SYSRET: [0x48, 0x0f, 0x07],
  IRET: [0x48, 0xcf],
  // MOV CR3, RAX
  WRITE_CR: [0x0f, 0x22, 0xd8],
};

test('generated and cold SYSCALL, SYSRET, IRET and MOV to CR3 come to the same', () => {
  const { cpu, system, interpreter, ram, cold } = machine();
  const next = numbers();
  const fast: Record<string, number> = {};
  Object.entries(INSTRUCTIONS).forEach(([, bytes], i) => {
    bytes.forEach((byte, n) => {
      ram.setUint8(CODE + i * 16 + n, byte);
    });
  });
  const flags = (): number =>
    next(4) === 0
      ? next(0x40_0000) & ~0x2_0000
      : 0x202 | (next(2) * 0x40) | next(2) | (next(4) === 0 ? 0x400 : 0);
  for (let round = 0; round < 4000; round++) {
    const index = next(4);
    const name = Object.keys(INSTRUCTIONS)[index] as string;
    const cpl = name === 'SYSCALL' ? 3 : next(16) === 0 ? 3 : 0;
    const kernel = { selector: 0x10, base: 0n, limit: 0xffff_ffff, attributes: 0xa9b };
    const state = longModeRecord(cpl);
    system.load({
      ...state,
      cr0: 0x11n | (next(8) === 0 ? 1n << 18n : 0n),
      cr4: next(2) === 0 ? 0x20_0020n : 0x20n,
      efer: next(16) === 0 ? 0x500n : 0x501n,
      rip: BigInt(CODE + index * 16),
      gpr: state.gpr.map((_, n) =>
        n === 0 && next(4) === 0
          ? 0x8000_0000_0000n >> BigInt(next(16))
          : n === 4
            ? BigInt(STACK)
            : n === 1
              ? ([0x5000n, 0xffff_8000_0000_0000n, 0x8000_0000_0000n][next(3)] as bigint)
              : BigInt(flags()),
      ),
      rflags: BigInt(flags() | 2),
      cs: cpl === 0 ? kernel : state.cs,
      msrs: {
        c0000081: 0x0023_0010_0000_0000n,
        c0000082: 0xffff_ffff_8100_0000n,
        c0000084: BigInt(next(2) === 0 ? 0x47700 : next(0x40_0000)),
      },
    });
    cpu.set32(S.INTERRUPT_WINDOW, next(2));
    cpu.set32(S.NMI_BLOCKED, next(8) === 0 ? 1 : 0);
    const rip = [0x5000n, 0xffff_8000_0000_0000n, 0x8000_0000_0000n][next(16) === 0 ? 2 : next(2)] as bigint;
    const user = next(3) === 0;
    [rip, user ? 0x33n : 0x10n, BigInt(flags()), 0x6000n, user ? 0x2bn : 0x18n].forEach((word, n) => {
      ram.setBigUint64(STACK + n * 8, word, true);
    });
    const before = new Uint8Array(cpu.memory.buffer, cpu.base + S.GPR, S.REGISTERS_END - S.GPR).slice();
    const coldBefore = cold();
    // enough for the one instruction; what it jumps to is never executed
    cpu.set32(S.BUDGET, 1);
    const result = interpreter.run();
    if (cold() === coldBefore && result === 'boundary') fast[name] = (fast[name] ?? 0) + 1;
    const generated = visible(cpu, result === 'fault');
    const record = cpu.get32(S.RECORD);
    new Uint8Array(cpu.memory.buffer, cpu.base + S.GPR, before.length).set(before);
    assert.equal(record === 0, result === 'boundary');
    const at = cpu.base + S.RECORDS + 0x100_0000;
    cpu.memory.setUint8(at + S.REC.LENGTH, (INSTRUCTIONS[name] as readonly number[]).length);
    cpu.memory.setUint16(at + S.REC.OFFSET, 0, true);
    cpu.memory.setUint16(at + S.REC.RM, S.GPR, true);
    cpu.set64(S.ARG0, 3n);
    cpu.set64(S.BLOCK_RIP, cpu.rip);
    cpu.set32(S.ARG_FORM, 8);
    // as fetching the instruction has left it
    cpu.set32(S.KERNEL_CODE_MOVES, cpl === 0 ? 1 : 0);
    cpu.set32(S.BUDGET, 1);
    if (name === 'SYSRET' && cpl !== 0) cpu.faultCode(13, 0);
    else system.operation(SYSTEM_NAMES.indexOf(name), at);
    if (cpu.area.getInt32(S.BUDGET, true) === 1) cpu.set32(S.BUDGET, 0);
    assert.deepEqual(generated, visible(cpu, result === 'fault'), `round ${round}: ${name}`);
  }
  for (const name of Object.keys(INSTRUCTIONS))
    assert.ok((fast[name] ?? 0) > 50, `${name} took the fast path`);
});

const NOP = 0x90;
const IDT = 0x3000;
const TSS = 0x2000;
const UNDEFINED = 6;
const PROTECTION = 13;

test('exceptions delivered by generated code and by TypeScript come to the same', () => {
  const { cpu, system, interpreter, ram } = machine();
  const next = numbers();
  const oneOf = <T>(usual: T, ...others: T[]): T =>
    next(4) === 0 ? (others[next(others.length)] as T) : usual;
  // UD2 has no error code, HLT at CPL 3 has one
  [
    [NOP, 0x0f, 0x0b],
    [NOP, 0xf4],
  ].forEach((bytes, i) => {
    bytes.forEach((byte, n) => {
      ram.setUint8(CODE + i * 16 + n, byte);
    });
  });
  let fast = 0;
  for (let round = 0; round < 4000; round++) {
    const cpl = next(2) === 0 ? 3 : 0;
    const index = cpl === 3 ? next(2) : 0;
    const vector = index === 0 ? UNDEFINED : PROTECTION;
    const state = longModeRecord(cpl);
    const stack = BigInt(oneOf(STACK, STACK + 8, 0x6008, 0x6ff4));
    const kernel = { selector: 0x10, base: 0n, limit: 0xffff_ffff, attributes: 0xa9b };
    system.load({
      ...state,
      cr0: 0x11n | oneOf(0n, 1n << 18n),
      cr4: next(2) === 0 ? 0x20_0020n : 0x20n,
      rip: BigInt(CODE + index * 16),
      gpr: state.gpr.map((value, n) => (n === 4 ? stack : value)),
      rflags: BigInt(oneOf(0x202, next(0x40_0000) & ~0x2_0100) | next(0x1000) | 2) & ~0x100n,
      cs: cpl === 0 ? kernel : state.cs,
      idtr: { base: BigInt(IDT), limit: oneOf(0xfff, 0x60) },
      tr: { ...state.tr, limit: oneOf(0x67, 10) },
    });
    setGate(ram, vector, oneOf(0x8e, 0x8f, 0xee, 0x0e, 0x8c), oneOf(0, 0, 1));
    if (next(8) === 0) ram.setUint32(IDT + vector * 16 + 8, 0x8000, true);
    ram.setUint16(IDT + vector * 16 + 2, oneOf(0x10, 0x18, 0x33, 0x11, 0, 0x14), true);
    ram.setBigUint64(TSS + 4, oneOf(0x8000n, 0x8004n, 0x8018n, 0x8000_0000_0000n), true);
    ram.setBigUint64(TSS + 0x24, 0x9000n, true);
    cpu.set32(S.FAULT_BUDGET, -1);
    const before = new Uint8Array(cpu.memory.buffer, cpu.base + S.GPR, S.REGISTERS_END - S.GPR).slice();
    const stacks = new Uint8Array(ram.buffer, ram.byteOffset + 0x5000, 0x5000);
    stacks.fill(0xcc);
    // used up by the NOP: nothing of the handler is executed
    cpu.set32(S.BUDGET, 1);
    const result = interpreter.run();
    const delivered = result === 'boundary';
    if (delivered) fast++;
    else system.deliverException();
    const generated = { ...(visible(cpu, false) as object), stacks: stacks.slice() };
    new Uint8Array(cpu.memory.buffer, cpu.base + S.GPR, before.length).set(before);
    stacks.fill(0xcc);
    cpu.rip = BigInt(CODE + index * 16 + 1);
    cpu.set32(S.BUDGET, 0);
    if (index === 0) cpu.fault(UNDEFINED);
    else cpu.faultCode(PROTECTION, 0);
    system.deliverException();
    assert.deepEqual(
      generated,
      { ...(visible(cpu, false) as object), stacks: stacks.slice() },
      `round ${round}`,
    );
  }
  assert.ok(fast > 200, `${fast} of them by generated code`);
  assert.ok(fast < 3800, `not all`);
});

test('RDTSC reads what the rest of the vCPU takes for the time-stamp counter', () => {
  const { cpu, system, interpreter, ram, clock, cold } = machine();
  const next = numbers();
  [0x0f, 0x31].forEach((byte, n) => {
    ram.setUint8(CODE + n, byte);
  });
  const read = (cpl: 0 | 3, cr4: bigint, tsc: bigint): bigint => {
    system.load({ ...longModeRecord(cpl), cr0: 0x11n, cr4, rip: BigInt(CODE), tsc });
    clock.ns += next(2 ** 30) * 1.37;
    cpu.set32(S.BUDGET, 1);
    assert.equal(interpreter.run(), 'boundary');
    return cpu.gpr(0) | (cpu.gpr(2) << 32n);
  };
  for (let round = 0; round < 300; round++) {
    clock.ns = [0.5, 2 ** 40, 2 ** 50][next(3)] as number;
    // counters that wrap, too
    const tsc = BigInt.asUintN(64, BigInt(next(2 ** 32)) << BigInt(next(40))) | (BigInt(next(2)) << 63n);
    assert.equal(read(next(2) === 0 ? 0 : 3, 0x20n, tsc), system.save().tsc, `round ${round}`);
  }
  assert.equal(cold(), 0);
  read(0, 0x24n, 0n);
  assert.throws(() => read(3, 0x24n, 0n), 'CR4.TSD');
  assert.equal(cpu.get32(S.FAULT) & 0xff, PROTECTION);
});
