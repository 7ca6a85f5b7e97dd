/**
 * Debug registers, breakpoints and single stepping (SDM 3B, 17.2 and 17.3).
 *
 * While `stepping` is true (TF, or any breakpoint) the run loop executes one instruction at a time, between `beforeInstruction` and
 * `afterInstruction`. While data breakpoints are armed
 * every data access comes to `matchData`; an instruction that met one should end its block.
 */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { type MemoryUnit, STATUS } from '../unit.ts';
import { CR4, type Cpu, MODE } from './cpu.ts';
import type { EventState } from './event-state.ts';
import type { Operations } from './operation.ts';

const DR6 = S.DR + 6 * 8;
const DR7 = S.DR + 7 * 8;
const DR6_FIXED = 0xffff_0ff0;
const DR6_WRITABLE = 0xe00f;
const DR6_BD = 0x2000;
const DR6_BS = 0x4000;
const DR7_FIXED = 0x400;
const DR7_WRITABLE = 0xffff_23ff;
const DR7_GD = 0x2000;
/** R/W field of a breakpoint in DR7. */
const KIND = { EXECUTE: 0, WRITE: 1, IO: 2, ACCESS: 3 } as const;

export class Debug {
  readonly #cpu: Cpu;
  readonly #unit: MemoryUnit;
  readonly #events: EventState;
  /** The instruction in progress began with TF set. */
  #trap = false;
  #resumed = false;

  constructor(cpu: Cpu, unit: MemoryUnit, events: EventState) {
    this.#cpu = cpu;
    this.#unit = unit;
    this.#events = events;
  }

  operations(): Operations {
    return {
      READ_DR: (record) => this.#read(record),
      WRITE_DR: (record) => this.#write(record),
    };
  }

  /** Breakpoints that are enabled and of one of `kinds`, as bits 0–3. */
  #armed(...kinds: readonly number[]): number {
    const dr7 = this.#cpu.get32(DR7);
    let armed = 0;
    for (let n = 0; n < 4; n++) {
      const enabled = ((dr7 >>> (n * 2)) & 3) !== 0;
      if (enabled && kinds.includes((dr7 >>> (16 + n * 4)) & 3)) armed |= 1 << n;
    }
    return armed;
  }

  get stepping(): boolean {
    const cpu = this.#cpu;
    return (cpu.systemFlags & S.FLAG.TF) !== 0 || (cpu.get32(DR7) & 0xff) !== 0;
  }

  /** Before an instruction in stepping mode. True: an instruction breakpoint is now a fault in FAULT. */
  beforeInstruction(): boolean {
    const cpu = this.#cpu;
    const flags = cpu.systemFlags;
    this.#trap = (flags & S.FLAG.TF) !== 0;
    this.#resumed = (flags & S.FLAG.RF) !== 0;
    this.#events.skipTrap = false;
    if (this.#resumed || this.#events.shadow === 2) return false;
    const hit = this.#matchAddress(this.#armed(KIND.EXECUTE), cpu.rip);
    if (hit === 0) return false;
    this.#record(hit);
    cpu.fault(VECTOR.DB);
    return true;
  }

  #matchAddress(armed: number, address: bigint): number {
    let hit = 0;
    for (let n = 0; n < 4; n++) {
      if (((armed >>> n) & 1) === 1 && this.#cpu.get64(S.DR + n * 8) === address) hit |= 1 << n;
    }
    return hit;
  }

  /** After an instruction that was completed (not faulted) in stepping mode. */
  afterInstruction(): void {
    const cpu = this.#cpu;
    if (this.#resumed) cpu.systemFlags = cpu.systemFlags & ~S.FLAG.RF;
    if (this.#trap && !this.#events.skipTrap) cpu.set32(S.DEBUG_PENDING, cpu.get32(S.DEBUG_PENDING) | DR6_BS);
    this.#trap = false;
  }

  /** Takes the debug traps that are due; true = DR6 says which, deliver #DB. */
  takeTraps(): boolean {
    const cpu = this.#cpu;
    const pending = cpu.get32(S.DEBUG_PENDING);
    if (pending === 0) return false;
    cpu.set32(S.DEBUG_PENDING, 0);
    this.#record(pending);
    return true;
  }

  #length(n: number): number {
    return [1, 2, 8, 4][(this.#cpu.get32(DR7) >>> (18 + n * 4)) & 3] ?? 1;
  }

  /** A data access: its breakpoints trap after the instruction. */
  matchData(va: bigint, bytes: number, write: boolean): void {
    const cpu = this.#cpu;
    const armed = write ? this.#armed(KIND.WRITE, KIND.ACCESS) : this.#armed(KIND.ACCESS);
    let hit = 0;
    for (let n = 0; n < 4; n++) {
      const length = BigInt(this.#length(n));
      const start = cpu.get64(S.DR + n * 8) & ~(length - 1n);
      if (((armed >>> n) & 1) === 1 && va < start + length && start < va + BigInt(bytes)) hit |= 1 << n;
    }
    this.#trapAfter(hit);
  }

  #trapAfter(hit: number): void {
    if (hit === 0) return;
    const cpu = this.#cpu;
    cpu.set32(S.DEBUG_PENDING, cpu.get32(S.DEBUG_PENDING) | hit);
    cpu.leaveSoon();
  }

  /** An I/O access: its breakpoints trap after the instruction. */
  matchPort(port: number, size: number): void {
    const cpu = this.#cpu;
    if ((cpu.get32(DR7) & 0xff) === 0 || (cpu.cr4 & CR4.DE) === 0n) return;
    const armed = this.#armed(KIND.IO);
    let hit = 0;
    for (let n = 0; n < 4; n++) {
      const length = this.#length(n);
      const start = cpu.get32(S.DR + n * 8);
      if (((armed >>> n) & 1) === 1 && port < start + length && start < port + size) hit |= 1 << n;
    }
    this.#trapAfter(hit);
  }

  #record(bits: number): void {
    const cpu = this.#cpu;
    cpu.set32(DR6, (cpu.get32(DR6) & ~0xf) | bits);
  }

  // ---- MOV from and to DR ----

  /** Checks common to both directions: the register's number, or -1 with a fault set. */
  #check(): number {
    const cpu = this.#cpu;
    let n = Number(cpu.get64(S.ARG0));
    if (n > 7) {
      cpu.fault(VECTOR.UD);
      return -1;
    }
    if (cpu.cpl !== 0) {
      cpu.faultCode(VECTOR.GP, 0);
      return -1;
    }
    if ((n === 4 || n === 5) && (cpu.cr4 & CR4.DE) !== 0n) {
      cpu.fault(VECTOR.UD);
      return -1;
    }
    if (n === 4 || n === 5) n += 2;
    if ((cpu.get32(DR7) & DR7_GD) !== 0) {
      cpu.set32(DR6, cpu.get32(DR6) | DR6_BD);
      cpu.fault(VECTOR.DB);
      return -1;
    }
    return n;
  }

  #read(record: number): number {
    const cpu = this.#cpu;
    const n = this.#check();
    if (n < 0) return STATUS.EXIT;
    const size = cpu.codeMode === MODE.BITS_64 ? 8 : 4;
    cpu.writeRegister(cpu.rmOffset(record), size, cpu.get64(S.DR + n * 8));
    return STATUS.NEXT;
  }

  #write(record: number): number {
    const cpu = this.#cpu;
    const n = this.#check();
    if (n < 0) return STATUS.EXIT;
    const long = cpu.codeMode === MODE.BITS_64;
    const value = cpu.get64(cpu.rmOffset(record)) & (long ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
    if (n >= 6 && value >> 32n !== 0n) return cpu.faultCode(VECTOR.GP, 0);
    const low = Number(value & 0xffff_ffffn);
    if (n === 6) cpu.set64(DR6, BigInt(((low & DR6_WRITABLE) | DR6_FIXED) >>> 0));
    else if (n === 7) cpu.set64(DR7, BigInt(((low & DR7_WRITABLE) | DR7_FIXED) >>> 0));
    else cpu.set64(S.DR + n * 8, value);
    this.#unit.modeChanged();
    cpu.rip = cpu.nextRip(record);
    return STATUS.JUMP;
  }
}
