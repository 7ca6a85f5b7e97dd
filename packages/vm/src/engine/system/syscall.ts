/** SYSCALL, SYSRET, SYSENTER, SYSEXIT: flat segments without descriptors (SDM 3A, 5.8.7 and 5.8.8). */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { type MemoryUnit, STATUS } from '../unit.ts';
import { type Cpu, EFER, isCanonical, MODE } from './cpu.ts';
import type { EventState } from './event-state.ts';
import type { Operations } from './operation.ts';

const FLAT = 0xffff_ffff;
/** Attributes of flat segments at DPL 0; DPL 3 adds 0x60. */
const CODE_64 = 0xa09b;
const CODE_32 = 0xc09b;
const DATA = 0xc093;
const DPL_3 = 0x60;
/** Flags that SYSRET takes from R11. */
const SYSRET_FLAGS = 0x3c_7fd7;

const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;

export class SystemCalls {
  readonly #cpu: Cpu;
  readonly #unit: MemoryUnit;
  readonly #events: EventState;

  constructor(cpu: Cpu, unit: MemoryUnit, events: EventState) {
    this.#cpu = cpu;
    this.#unit = unit;
    this.#events = events;
  }

  operations(): Operations {
    return {
      SYSCALL: (record) => this.#syscall(record),
      SYSRET: () => this.#sysret(),
      SYSENTER: () => this.#sysenter(),
      SYSEXIT: () => this.#sysexit(),
    };
  }

  #flat(selector: number, code: number, cpl: number): void {
    const cpu = this.#cpu;
    const dpl = cpl === 3 ? DPL_3 : 0;
    cpu.setSegment(S.SEG.CS, (selector & 0xfffc) | cpl, 0n, FLAT, code | dpl);
    cpu.setSegment(S.SEG.SS, ((selector + 8) & 0xfffc) | cpl, 0n, FLAT, DATA | dpl);
  }

  #enter(rip: bigint, cpl: number, mode: number): number {
    const cpu = this.#cpu;
    cpu.rip = rip;
    cpu.cpl = cpl;
    cpu.set32(S.CODE_MODE, mode);
    this.#unit.modeChanged();
    return STATUS.JUMP;
  }

  #enabled(): boolean {
    return this.#cpu.codeMode === MODE.BITS_64 && (this.#cpu.efer & EFER.SCE) !== 0n;
  }

  #syscall(record: number): number {
    const cpu = this.#cpu;
    if (!this.#enabled()) return cpu.fault(VECTOR.UD);
    const flags = cpu.rflags & ~S.FLAG.RF;
    cpu.setGpr(RCX, cpu.nextRip(record));
    cpu.setGpr(R11, BigInt(flags));
    cpu.rflags = flags & ~cpu.get32(S.MSR_SFMASK);
    this.#flat(cpu.get32(S.MSR_STAR + 4) & 0xffff, CODE_64, 0);
    if ((cpu.systemFlags & S.FLAG.TF) === 0) this.#events.skipTrap = true;
    return this.#enter(cpu.get64(S.MSR_LSTAR), 0, MODE.BITS_64);
  }

  #sysret(): number {
    const cpu = this.#cpu;
    if (!this.#enabled()) return cpu.fault(VECTOR.UD);
    const selector = cpu.get32(S.MSR_STAR + 4) >>> 16;
    const wide = cpu.operandSize === 8;
    const rip = cpu.gpr(RCX);
    if (wide && !isCanonical(rip)) return cpu.faultCode(VECTOR.GP, 0);
    cpu.rflags = cpu.gpr32(R11) & SYSRET_FLAGS;
    this.#flat(selector, wide ? CODE_64 : CODE_32, 3);
    if (wide) {
      const attributes = CODE_64 | DPL_3;
      cpu.setSegment(S.SEG.CS, ((selector + 16) & 0xfffc) | 3, 0n, FLAT, attributes);
    }
    const status = this.#enter(wide ? rip : rip & 0xffff_ffffn, 3, wide ? MODE.BITS_64 : MODE.BITS_32);
    this.#events.openWindow();
    return status;
  }

  #sysenter(): number {
    const cpu = this.#cpu;
    const selector = cpu.get32(S.MSR_SYSENTER_CS) & 0xfffc;
    if (!cpu.protectedMode || selector === 0) return cpu.faultCode(VECTOR.GP, 0);
    const long = cpu.longMode;
    cpu.systemFlags = cpu.systemFlags & ~(S.FLAG.IF | S.FLAG.VM | S.FLAG.RF);
    this.#flat(selector, long ? CODE_64 : CODE_32, 0);
    const mask = long ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
    cpu.setGpr(RSP, cpu.get64(S.MSR_SYSENTER_ESP) & mask);
    const target = cpu.get64(S.MSR_SYSENTER_EIP) & mask;
    return this.#enter(target, 0, long ? MODE.BITS_64 : MODE.BITS_32);
  }

  #sysexit(): number {
    const cpu = this.#cpu;
    const selector = cpu.get32(S.MSR_SYSENTER_CS) & 0xfffc;
    if (!cpu.protectedMode || selector === 0) return cpu.faultCode(VECTOR.GP, 0);
    const wide = cpu.operandSize === 8;
    const rip = cpu.gpr(RDX);
    const rsp = cpu.gpr(RCX);
    if (wide && !(isCanonical(rip) && isCanonical(rsp))) return cpu.faultCode(VECTOR.GP, 0);
    this.#flat(selector + (wide ? 32 : 16), wide ? CODE_64 : CODE_32, 3);
    cpu.setGpr(RSP, wide ? rsp : rsp & 0xffff_ffffn);
    return this.#enter(wide ? rip : rip & 0xffff_ffffn, 3, wide ? MODE.BITS_64 : MODE.BITS_32);
  }
}
