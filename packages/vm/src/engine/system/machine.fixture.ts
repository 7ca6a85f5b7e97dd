/**
 * For tests of the cold part: a vCPU with a little RAM that every linear address below its size reaches
 * directly (no paging), a clock that only tests move, and a bus that remembers what was written.
 */
import type { IoBus } from '../../machine/bus.ts';
import { layoutMemory, VCPU_BASE } from '../../machine/layout.ts';
import { VcpuMailbox } from '../../machine/mailbox.ts';
import { resetVcpu } from '../../machine/vcpu-reset.ts';
import type { VcpuRecord } from '../../machine/vcpu-state.ts';
import { wasm } from '../../wasm/api.ts';
import { portableModel } from '../../x86/cpuid.ts';
import { SYSTEM_NAMES } from '../../x86/system-names.ts';
import * as S from '../../x86/state.ts';
import type { MemoryUnit } from '../unit.ts';
import { Cpu, createSystem, type SystemUnit } from './index.ts';

const RAM_BYTES = 1 << 20;

export interface TestMachine {
  readonly cpu: Cpu;
  readonly system: SystemUnit;
  readonly mailbox: VcpuMailbox;
  /** Guest RAM. */
  readonly ram: DataView;
  readonly clock: { ns: number };
  readonly written: [port: number, size: number, value: number][];
  readonly endOfInterrupts: number[];
  /** Linear pages that fault. */
  readonly missing: Set<bigint>;
  /** Runs a cold operation as the instruction of `length` bytes at RIP would. */
  readonly run: (
    name: string,
    args?: { arg0?: bigint; arg1?: bigint; size?: number; memory?: boolean; length?: number },
  ) => number;
}

/** 64-bit mode at CPL `cpl`: GDT at 0x1000 with Linux's selectors, TSS at 0x2000 (RSP0 0x8000), IDT at 0x3000. */
export function longModeRecord(cpl: 0 | 3): VcpuRecord {
  const state = resetVcpu(0);
  const code = {
    selector: cpl === 0 ? 0x10 : 0x33,
    base: 0n,
    limit: 0xffff_ffff,
    attributes: cpl === 0 ? 0xa9b : 0xafb,
  };
  const data = {
    selector: cpl === 0 ? 0x18 : 0x2b,
    base: 0n,
    limit: 0xffff_ffff,
    attributes: cpl === 0 ? 0xc93 : 0xcf3,
  };
  return {
    ...state,
    rip: 0x4000n,
    gpr: state.gpr.map((_, n) => (n === 4 ? 0x7000n : BigInt(n))),
    cs: code,
    ss: data,
    tr: { selector: 0x38, base: 0x2000n, limit: 0x67, attributes: 0x08b },
    gdtr: { base: 0x1000n, limit: 0x7f },
    idtr: { base: 0x3000n, limit: 0xfff },
    cr0: 0x8000_0011n,
    cr4: 0x20n,
    efer: 0xd01n,
  };
}

export function testMachine(record: VcpuRecord = longModeRecord(0)): TestMachine {
  const layout = layoutMemory(RAM_BYTES);
  const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
  const cpu = new Cpu(memory.buffer, 0);
  cpu.set32(S.RAM_OFFSET, layout.ramOffset);
  cpu.set32(S.PAGE_FLAGS, layout.pageFlags);
  cpu.set64(S.RAM_LOW_SIZE, BigInt(RAM_BYTES));
  const ram = new DataView(memory.buffer, layout.ramOffset, RAM_BYTES);
  const missing = new Set<bigint>();
  const unit: MemoryUnit = {
    translate: (va, access) => {
      if (va < BigInt(RAM_BYTES) && !missing.has(va >> 12n)) return layout.ramOffset + Number(va);
      cpu.faultCode(14, access);
      cpu.set64(S.FAULT_ADDRESS, va);
      return 0;
    },
    flush: () => {},
    modeChanged: () => {},
    written: () => {},
  };
  const clock = { ns: 1000 };
  const written: [number, number, number][] = [];
  const endOfInterrupts: number[] = [];
  const bus: IoBus = {
    readPort: (port, size) => port * size,
    writePort: (port, size, value) => written.push([port, size, value]),
    readMmio: () => 0,
    writeMmio: () => {},
    endOfInterrupt: (vector) => endOfInterrupts.push(vector),
  };
  const mailbox = new VcpuMailbox(memory.buffer, VCPU_BASE);
  const system = createSystem(cpu, unit, {
    bus,
    clock: { nowNs: () => clock.ns, realtimeNs: () => 1_700_000_000_000_000_000n + BigInt(clock.ns) },
    random: { fill: (target) => target.fill(0xa5) },
    mailboxes: [mailbox],
    model: portableModel(),
  });
  system.load(record);
  writeTables(ram);
  const at = cpu.base + S.RECORDS;
  return {
    cpu,
    system,
    mailbox,
    ram,
    clock,
    written,
    endOfInterrupts,
    missing,
    run: (name, { arg0 = 0n, arg1 = 0n, size = 8, memory: inMemory = true, length = 2 } = {}) => {
      cpu.set64(S.BLOCK_RIP, cpu.rip);
      cpu.set64(S.ARG0, arg0);
      cpu.set64(S.ARG1, arg1);
      cpu.set32(S.ARG_FORM, size | (inMemory ? 0x100 : 0));
      cpu.memory.setUint8(at + S.REC.LENGTH, length);
      cpu.memory.setUint16(at + S.REC.REG, S.GPR, true);
      cpu.memory.setUint16(at + S.REC.RM, S.GPR, true);
      return system.operation(SYSTEM_NAMES.indexOf(name), at);
    },
  };
}

/** Descriptors with Linux's selectors, RSP0 and IST1 of the TSS, an interrupt gate for every vector. */
function writeTables(ram: DataView): void {
  const descriptors: readonly (readonly [selector: number, value: bigint])[] = [
    [0x08, 0x00cf_9b00_0000_ffffn],
    [0x10, 0x00af_9b00_0000_ffffn],
    [0x18, 0x00cf_9300_0000_ffffn],
    [0x20, 0x00cf_fb00_0000_ffffn],
    [0x28, 0x00cf_f300_0000_ffffn],
    [0x30, 0x00af_fb00_0000_ffffn],
    [0x38, 0x0000_8b00_2000_0067n],
  ];
  for (const [selector, value] of descriptors) ram.setBigUint64(0x1000 + selector, value, true);
  ram.setBigUint64(0x2000 + 4, 0x8000n, true);
  ram.setBigUint64(0x2000 + 0x24, 0x9000n, true);
  for (let vector = 0; vector < 256; vector++) setGate(ram, vector, 0x8e, 0);
}

/** A gate whose handler is at 0x10000 + 16 × vector. @param type 0x8e interrupt, 0x8f trap, 0xee for INT n at CPL 3 */
export function setGate(ram: DataView, vector: number, type: number, ist: number): void {
  const target = 0x10000 + vector * 16;
  ram.setUint32(0x3000 + vector * 16, (0x10 << 16) | (target & 0xffff), true);
  ram.setUint32(0x3004 + vector * 16, ((target & 0xffff0000) | (type << 8) | ist) >>> 0, true);
  ram.setUint32(0x3008 + vector * 16, 0, true);
}
