/** Far RET and IRET, to the same and to outer privilege levels, in every mode (SDM 2, RET and IRET). */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { ATTRIBUTE, type Cpu, MODE } from './cpu.ts';
import type { DescriptorTables } from './descriptors.ts';
import type { EventState } from './event-state.ts';
import type { LinearMemory } from './linear.ts';
import type { Operations } from './operation.ts';
import type { Segments } from './segments.ts';
import type { Stack } from './stack.ts';
import type { Transfers } from './transfers.ts';

/** Flags that every IRET restores; IF and IOPL need privilege. */
const RESTORED = S.ARITHMETIC_FLAGS | S.FLAG.TF | S.FLAG.DF | S.FLAG.NT | S.FLAG.RF | S.FLAG.AC | S.FLAG.ID;

export class Returns {
  readonly #cpu: Cpu;
  readonly #linear: LinearMemory;
  readonly #tables: DescriptorTables;
  readonly #segments: Segments;
  readonly #stack: Stack;
  readonly #transfers: Transfers;
  readonly #events: EventState;

  constructor(
    cpu: Cpu,
    linear: LinearMemory,
    tables: DescriptorTables,
    segments: Segments,
    stack: Stack,
    transfers: Transfers,
    events: EventState,
  ) {
    this.#cpu = cpu;
    this.#linear = linear;
    this.#tables = tables;
    this.#segments = segments;
    this.#stack = stack;
    this.#transfers = transfers;
    this.#events = events;
  }

  operations(): Operations {
    return {
      FAR_RET: () => this.#farReturn(),
      IRET: () => this.#interruptReturn(),
    };
  }

  #farReturn(): number {
    const cpu = this.#cpu;
    if (!cpu.protectedMode) return cpu.fault(VECTOR.UD);
    const bytes = cpu.operandSize;
    const release = cpu.get64(S.ARG0) & 0xffffn;
    const stack = this.#stack;
    stack.begin();
    const offset = stack.pop(bytes);
    const selector = Number(stack.pop(bytes) & 0xffffn);
    if (this.#linear.failed) return STATUS.EXIT;
    stack.pointer += release;
    return this.#return(offset, selector, bytes, false, release, -1);
  }

  #interruptReturn(): number {
    const cpu = this.#cpu;
    if (!cpu.protectedMode) return cpu.fault(VECTOR.UD);
    this.#events.nmiBlocked = false;
    if ((cpu.systemFlags & S.FLAG.NT) !== 0) return cpu.faultCode(VECTOR.GP, 0);
    const bytes = cpu.operandSize;
    const stack = this.#stack;
    stack.begin();
    const offset = stack.pop(bytes);
    const selector = Number(stack.pop(bytes) & 0xffffn);
    const flags = Number(stack.pop(bytes) & 0xffff_ffffn);
    if (this.#linear.failed) return STATUS.EXIT;
    return this.#return(offset, selector, bytes, cpu.codeMode === MODE.BITS_64, 0n, flags);
  }

  /**
   * @param always SS and the stack pointer are popped whatever the privilege level
   * @param release bytes that RET frees on the outer stack too
   * @param flags image of RFLAGS, -1 for RET
   */
  #return(
    offset: bigint,
    selector: number,
    bytes: number,
    always: boolean,
    release: bigint,
    flags: number,
  ): number {
    const cpu = this.#cpu;
    const tables = this.#tables;
    const stack = this.#stack;
    const code = selector & 0xfffc;
    const rpl = selector & 3;
    const oldCpl = cpu.cpl;
    if (code === 0) return cpu.faultCode(VECTOR.GP, 0);
    if (!tables.read(selector, VECTOR.GP)) return STATUS.EXIT;
    if (!tables.isCode || rpl < oldCpl) return cpu.faultCode(VECTOR.GP, code);
    if (tables.isConforming ? tables.dpl > rpl : tables.dpl !== rpl) return cpu.faultCode(VECTOR.GP, code);
    if (!tables.present) return cpu.faultCode(VECTOR.NP, code);
    const to64 = cpu.longMode && (tables.attributes & ATTRIBUTE.LONG) !== 0;
    if (!this.#transfers.checkTarget(offset, selector)) return STATUS.EXIT;
    if (!tables.setType(ATTRIBUTE.ACCESSED)) return STATUS.EXIT;
    const outer = rpl > oldCpl;
    if (!outer && !always) {
      stack.commit();
    } else {
      const pointer = stack.pop(bytes);
      const stackSelector = Number(stack.pop(bytes) & 0xffffn);
      if (this.#linear.failed) return STATUS.EXIT;
      if (!this.#segments.checkStack(stackSelector, rpl, VECTOR.GP, 0, to64)) return STATUS.EXIT;
      if ((stackSelector & 0xfffc) === 0) this.#segments.setNullStack(stackSelector, rpl);
      else {
        if (!tables.setType(ATTRIBUTE.ACCESSED)) return STATUS.EXIT;
        tables.install(S.SEG.SS, stackSelector);
      }
      const big = to64 || (cpu.attributes(S.SEG.SS) & ATTRIBUTE.BIG) !== 0;
      const mask = to64 ? 0xffff_ffff_ffff_ffffn : big ? 0xffff_ffffn : 0xffffn;
      cpu.setStackPointer(pointer + release, mask);
      if (!tables.read(selector, VECTOR.GP)) return STATUS.EXIT;
    }
    if (flags >= 0) this.#restoreFlags(flags, bytes, oldCpl);
    if (outer) this.#segments.dropPrivileged(rpl);
    const status = this.#transfers.enter(offset, selector, rpl);
    this.#events.openWindow();
    return status;
  }

  #restoreFlags(flags: number, bytes: number, cpl: number): void {
    const cpu = this.#cpu;
    const old = cpu.rflags;
    let mask = RESTORED;
    if (cpl === 0) mask |= S.FLAG.IOPL | S.FLAG.VIF | S.FLAG.VIP;
    if (cpl <= ((old >>> 12) & 3)) mask |= S.FLAG.IF;
    if (bytes === 2) mask &= 0xffff;
    if (!this.#events.resumeMatters) mask &= ~S.FLAG.RF;
    cpu.rflags = (old & ~mask) | (flags & mask);
  }
}
