/** Control registers with all their rules (SDM 3A, 2.5), CLTS, LMSW, HLT, POPF. */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { type MemoryUnit, STATUS } from '../unit.ts';
import type { Apic } from './apic.ts';
import { ATTRIBUTE, CR0, CR4, type Cpu, EFER, MODE } from './cpu.ts';
import type { EventState } from './event-state.ts';
import type { Operations } from './operation.ts';

const CR0_DEFINED = Object.values(CR0).reduce((all, bit) => all | bit, 0n);
const CR4_DEFINED = Object.values(CR4).reduce((all, bit) => all | bit, 0n);
/** Bits whose change makes cached translations wrong. */
const CR0_PAGING = CR0.PG | CR0.PE | CR0.WP;
const CR4_PAGING = CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP | CR4.SMAP;

/** State offsets of the control registers that are stored. */
const CONTROL_REGISTER: Readonly<Record<number, number>> = { 0: S.CR0, 2: S.CR2, 3: S.CR3, 4: S.CR4 };

export class Control {
  readonly #cpu: Cpu;
  readonly #unit: MemoryUnit;
  readonly #apic: Apic;
  readonly #events: EventState;
  readonly #physicalBits: bigint;

  constructor(cpu: Cpu, unit: MemoryUnit, apic: Apic, events: EventState, physicalBits: number) {
    this.#cpu = cpu;
    this.#unit = unit;
    this.#apic = apic;
    this.#events = events;
    this.#physicalBits = BigInt(physicalBits);
  }

  operations(): Operations {
    const cpu = this.#cpu;
    return {
      READ_CR: (record) => this.#read(record),
      WRITE_CR: (record) => this.#write(record),
      LMSW: (record) => {
        // PE can be set but not cleared.
        const value = (cpu.cr0 & ~0xen) | (cpu.get64(S.ARG0) & 0xfn);
        return this.#after(record, this.#writeCr0(value));
      },
      CLTS: (record) => this.#after(record, this.#writeCr0(cpu.cr0 & ~CR0.TS)),
      HLT: (record) => {
        this.#events.activity = 'halted';
        cpu.leaveSoon();
        cpu.rip = cpu.nextRip(record);
        return STATUS.JUMP;
      },
      POPF: (record) => this.#popFlags(record),
    };
  }

  /** Ends an instruction that changed a control register. */
  #after(record: number, ok: boolean): number {
    if (!ok) return STATUS.EXIT;
    this.#cpu.rip = this.#cpu.nextRip(record);
    return STATUS.JUMP;
  }

  #gp(): false {
    this.#cpu.faultCode(VECTOR.GP, 0);
    return false;
  }

  #validNumber(n: number): boolean {
    return n === 0 || n === 2 || n === 3 || n === 4 || (n === 8 && this.#cpu.codeMode === MODE.BITS_64);
  }

  #read(record: number): number {
    const cpu = this.#cpu;
    const n = Number(cpu.get64(S.ARG0));
    if (!this.#validNumber(n)) return cpu.fault(VECTOR.UD);
    if (cpu.cpl !== 0) return cpu.faultCode(VECTOR.GP, 0);
    const value = n === 8 ? BigInt(this.#apic.cr8) : cpu.get64(CONTROL_REGISTER[n] as number);
    cpu.writeRegister(cpu.rmOffset(record), cpu.codeMode === MODE.BITS_64 ? 8 : 4, value);
    return STATUS.NEXT;
  }

  #write(record: number): number {
    const cpu = this.#cpu;
    const n = Number(cpu.get64(S.ARG0));
    if (!this.#validNumber(n)) return cpu.fault(VECTOR.UD);
    if (cpu.cpl !== 0) return cpu.faultCode(VECTOR.GP, 0);
    const mask = cpu.codeMode === MODE.BITS_64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
    const value = cpu.get64(cpu.rmOffset(record)) & mask;
    return this.#after(record, this.#writeNumber(n, value));
  }

  #writeNumber(n: number, value: bigint): boolean {
    const cpu = this.#cpu;
    switch (n) {
      case 0:
        return this.#writeCr0(value);
      case 2:
        cpu.set64(S.CR2, value);
        return true;
      case 3:
        if (cpu.longMode && value >> this.#physicalBits !== 0n) return this.#gp();
        cpu.set64(S.CR3, value);
        this.#unit.flush(false);
        return true;
      case 4:
        return this.#writeCr4(value);
      default:
        if (value > 15n) return this.#gp();
        this.#apic.cr8 = Number(value);
        return true;
    }
  }

  #writeCr0(requested: bigint): boolean {
    const cpu = this.#cpu;
    const old = cpu.cr0;
    const paging = (requested & CR0.PG) !== 0n;
    if (requested >> 32n !== 0n) return this.#gp();
    if (paging && (requested & CR0.PE) === 0n) return this.#gp();
    if ((requested & CR0.NW) !== 0n && (requested & CR0.CD) === 0n) return this.#gp();
    const longCode = (cpu.attributes(S.SEG.CS) & ATTRIBUTE.LONG) !== 0;
    if (paging && (old & CR0.PG) === 0n && (cpu.efer & EFER.LME) !== 0n) {
      if ((cpu.cr4 & CR4.PAE) === 0n || longCode) return this.#gp();
    }
    if (!paging && cpu.codeMode === MODE.BITS_64) return this.#gp();
    const value = (requested & CR0_DEFINED) | CR0.ET;
    cpu.set64(S.CR0, value);
    const active = paging && (cpu.efer & EFER.LME) !== 0n;
    cpu.set64(S.EFER, (cpu.efer & ~EFER.LMA) | (active ? EFER.LMA : 0n));
    cpu.updateCodeMode();
    if (((old ^ value) & CR0_PAGING) !== 0n) this.#unit.flush(true);
    this.#unit.modeChanged();
    return true;
  }

  #writeCr4(value: bigint): boolean {
    const cpu = this.#cpu;
    const old = cpu.cr4;
    if ((value & ~CR4_DEFINED) !== 0n) return this.#gp();
    if (cpu.longMode && (value & CR4.PAE) === 0n) return this.#gp();
    cpu.set64(S.CR4, value);
    if (((old ^ value) & CR4_PAGING) !== 0n) this.#unit.flush(true);
    this.#unit.modeChanged();
    return true;
  }

  /** POPF where more than arithmetic flags, DF and IF change; the stack pointer has moved already. */
  #popFlags(record: number): number {
    const cpu = this.#cpu;
    const old = cpu.rflags;
    const image = cpu.get32(S.ARG0);
    const { cpl } = cpu;
    let mask = S.ARITHMETIC_FLAGS | S.FLAG.TF | S.FLAG.DF | S.FLAG.NT | S.FLAG.AC | S.FLAG.ID;
    if (cpl === 0) mask |= S.FLAG.IOPL;
    if (cpl <= ((old >>> 12) & 3)) mask |= S.FLAG.IF;
    if (cpu.operandSize === 2) mask &= 0xffff;
    cpu.rflags = ((old & ~mask) | (image & mask)) & ~S.FLAG.RF;
    cpu.rip = cpu.nextRip(record);
    this.#unit.modeChanged();
    this.#events.openWindow();
    return STATUS.JUMP;
  }
}
