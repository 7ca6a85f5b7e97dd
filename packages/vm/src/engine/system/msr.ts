/** Model-specific registers (SDM 4): what Linux reads and writes on this CPU model. Unknown ones are #GP. */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { type MemoryUnit, STATUS } from '../unit.ts';
import type { Apic } from './apic.ts';
import { CR0, type Cpu, EFER, isCanonical } from './cpu.ts';
import type { KvmClock } from './kvmclock.ts';
import type { Operations } from './operation.ts';
import type { TimeStampCounter } from './tsc.ts';
import { readX2apic, writeX2apic, X2APIC_FIRST, X2APIC_LAST } from './x2apic.ts';

/** Write gives false for #GP. `saved` registers are part of the vCPU's record under `msrs`. */
interface Msr {
  readonly saved: boolean;
  /** The value is in `#stored`, or else the reset value. */
  readonly stored: boolean;
  readonly read: () => bigint | null;
  readonly write: (value: bigint) => boolean;
}

const RCX = 1;
const RAX = 0;
const RDX = 2;
/** Memory types a MTRR or a PAT entry may name (SDM 3A, tables 11-8 and 11-10). */
const MTRR_TYPES = [0, 1, 4, 5, 6];
const PAT_TYPES = [...MTRR_TYPES, 7];
export const PAT_RESET = 0x0007_0406_0007_0406n;
/** Eight variable ranges, fixed ranges, write-combining. */
const MTRR_CAP = 0x508n;
export const MSR_EFER = 0xc000_0080;

function bytesAre(value: bigint, allowed: readonly number[]): boolean {
  for (let i = 0n; i < 64n; i += 8n) if (!allowed.includes(Number((value >> i) & 0xffn))) return false;
  return true;
}

export class Msrs {
  readonly #table = new Map<number, Msr>();
  readonly #stored = new Map<number, bigint>();
  readonly #cpu: Cpu;
  readonly #unit: MemoryUnit;
  readonly #apic: Apic;
  readonly #tsc: TimeStampCounter;
  readonly #clock: KvmClock;
  readonly #physicalBits: bigint;

  constructor(
    cpu: Cpu,
    unit: MemoryUnit,
    apic: Apic,
    tsc: TimeStampCounter,
    clock: KvmClock,
    physicalBits: number,
  ) {
    this.#cpu = cpu;
    this.#unit = unit;
    this.#apic = apic;
    this.#tsc = tsc;
    this.#clock = clock;
    this.#physicalBits = BigInt(physicalBits);
    this.#define();
  }

  operations(): Operations {
    return {
      RDMSR: () => this.#readInstruction(),
      WRMSR: (record) => this.#writeInstruction(record),
    };
  }

  read(index: number): bigint | null {
    if (index >= X2APIC_FIRST && index <= X2APIC_LAST) return readX2apic(this.#apic, index);
    return this.#table.get(index)?.read() ?? null;
  }

  write(index: number, value: bigint): boolean {
    if (index >= X2APIC_FIRST && index <= X2APIC_LAST) return writeX2apic(this.#apic, index, value);
    return this.#table.get(index)?.write(value) ?? false;
  }

  /** Values for the record's `msrs`. */
  save(): Record<string, bigint> {
    const values: Record<string, bigint> = {};
    for (const [index, msr] of this.#table) {
      const value = msr.saved ? msr.read() : null;
      if (value !== null) values[index.toString(16)] = value;
    }
    return values;
  }

  /** Sets every saved register, those the record lacks to their reset values. */
  restore(values: Readonly<Record<string, bigint>>): void {
    this.#stored.clear();
    for (const [index, msr] of this.#table) {
      const value = values[index.toString(16)];
      if (!msr.saved) continue;
      if (value !== undefined) msr.write(value);
      else if (!msr.stored) msr.write(0n);
    }
  }

  // ---- RDMSR, WRMSR ----

  #readInstruction(): number {
    const cpu = this.#cpu;
    const value = this.read(cpu.gpr32(RCX));
    if (value === null) return cpu.faultCode(VECTOR.GP, 0);
    cpu.setGpr(RAX, value & 0xffff_ffffn);
    cpu.setGpr(RDX, value >> 32n);
    return STATUS.NEXT;
  }

  #writeInstruction(record: number): number {
    const cpu = this.#cpu;
    const index = cpu.gpr32(RCX);
    const value = (cpu.gpr(RDX) << 32n) | BigInt(cpu.gpr32(RAX));
    if (!this.write(index, BigInt.asUintN(64, value))) return cpu.faultCode(VECTOR.GP, 0);
    if (index !== MSR_EFER) return STATUS.NEXT;
    cpu.rip = cpu.nextRip(record);
    return STATUS.JUMP;
  }

  // ---- the table ----

  #add(index: number, saved: boolean, read: () => bigint | null, write: (value: bigint) => boolean): void {
    this.#table.set(index, { saved, stored: false, read, write });
  }
  /** A register that only holds its value. */
  #store(index: number, reset: bigint, valid: (value: bigint) => boolean = () => true): void {
    this.#table.set(index, {
      saved: true,
      stored: true,
      read: () => this.#stored.get(index) ?? reset,
      write: (value) => {
        if (!valid(value)) return false;
        this.#stored.set(index, value);
        return true;
      },
    });
  }
  /** A register in the vCPU's area. */
  #state(
    index: number,
    offset: number,
    saved: boolean,
    valid: (value: bigint) => boolean = () => true,
  ): void {
    const cpu = this.#cpu;
    this.#add(
      index,
      saved,
      () => cpu.get64(offset),
      (value) => {
        if (!valid(value)) return false;
        cpu.set64(offset, value);
        return true;
      },
    );
  }
  /** Reads `value`; writes are ignored, or refused. */
  #constant(index: number, value: bigint, writable: boolean): void {
    this.#add(
      index,
      false,
      () => value,
      () => writable,
    );
  }

  #define(): void {
    const narrow = (value: bigint): boolean => value >> 32n === 0n;
    const segment = (n: number): number => S.SEGMENTS + n * S.SEGMENT_STRIDE + S.SEG_BASE;
    const accept =
      (action: (value: bigint) => void) =>
      (value: bigint): boolean => {
        action(value);
        return true;
      };
    const tsc = this.#tsc;
    const apic = this.#apic;
    const clock = this.#clock;

    // system calls and segment bases
    this.#add(
      MSR_EFER,
      false,
      () => this.#cpu.efer,
      (value) => this.#writeEfer(value),
    );
    this.#state(0xc000_0081, S.MSR_STAR, true);
    this.#state(0xc000_0082, S.MSR_LSTAR, true, isCanonical);
    this.#state(0xc000_0083, S.MSR_CSTAR, true, isCanonical);
    this.#state(0xc000_0084, S.MSR_SFMASK, true, narrow);
    this.#state(0xc000_0100, segment(S.SEG.FS), false, isCanonical);
    this.#state(0xc000_0101, segment(S.SEG.GS), false, isCanonical);
    this.#state(0xc000_0102, S.MSR_KERNEL_GS_BASE, true, isCanonical);
    this.#state(0xc000_0103, S.MSR_TSC_AUX, true, narrow);
    this.#state(0x174, S.MSR_SYSENTER_CS, true, narrow);
    this.#state(0x175, S.MSR_SYSENTER_ESP, true, isCanonical);
    this.#state(0x176, S.MSR_SYSENTER_EIP, true, isCanonical);

    // time
    const moved = (write: (value: bigint) => void): ((value: bigint) => boolean) =>
      accept((value) => {
        write(value);
        apic.timer.tscMoved();
        clock.refresh();
      });
    this.#add(
      0x10,
      false,
      () => tsc.now(),
      moved((value) => tsc.write(value)),
    );
    this.#add(
      0x3b,
      false,
      () => BigInt.asUintN(64, tsc.adjust),
      moved((value) => tsc.writeAdjust(value)),
    );
    this.#add(
      0x6e0,
      false,
      () => apic.timer.tscDeadline,
      accept((value) => apic.timer.setTscDeadline(value)),
    );
    this.#add(
      0x4b56_4d00,
      false,
      () => clock.wallClock,
      accept((value) => clock.writeWallClock(value)),
    );
    this.#add(
      0x4b56_4d01,
      false,
      () => clock.systemTime,
      accept((value) => clock.writeSystemTime(value)),
    );

    // local APIC
    this.#add(
      0x1b,
      false,
      () => apic.base,
      (value) => this.#writeApicBase(value),
    );

    // memory types: kept, without effect on emulated memory
    this.#constant(0xfe, MTRR_CAP, false);
    const type = (value: bigint): boolean => MTRR_TYPES.includes(Number(value & 0xffn));
    const address = (value: bigint): boolean => value >> this.#physicalBits === 0n;
    for (let i = 0; i < 8; i++) {
      this.#store(0x200 + i * 2, 0n, (v) => address(v) && type(v) && (v & 0xf00n) === 0n);
      this.#store(0x201 + i * 2, 0n, (v) => address(v) && (v & 0x7ffn) === 0n);
    }
    for (const index of [0x250, 0x258, 0x259, ...Array.from({ length: 8 }, (_, i) => 0x268 + i)])
      this.#store(index, 0n, (v) => bytesAre(v, MTRR_TYPES));
    this.#store(0x277, PAT_RESET, (v) => bytesAre(v, PAT_TYPES));
    this.#store(0x2ff, 0n, (v) => type(v) && (v & ~0xcffn) === 0n);

    // what firmware and old drivers look at
    this.#constant(0x17, 0n, false); // IA32_PLATFORM_ID
    this.#constant(0x2a, 0n, true); // EBL_CR_POWERON
    this.#constant(0x34, 0n, false); // MSR_SMI_COUNT
    this.#constant(0x3a, 1n, false); // IA32_FEATURE_CONTROL: locked, no VMX
    this.#constant(0x8b, 1n << 32n, true); // IA32_BIOS_SIGN_ID: microcode revision
    this.#constant(0x179, 0n, false); // IA32_MCG_CAP: no banks
    this.#constant(0x17a, 0n, true); // IA32_MCG_STATUS
    this.#constant(0x198, 0n, false); // IA32_PERF_STATUS
    this.#store(0x1a0, 1n); // IA32_MISC_ENABLE: fast strings
    this.#store(0x1d9, 0n, (v) => (v & ~0x3n) === 0n); // IA32_DEBUGCTL: LBR and BTF, kept only
  }

  #writeEfer(value: bigint): boolean {
    const cpu = this.#cpu;
    const old = cpu.efer;
    if ((value & ~(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE)) !== 0n) return false;
    if (((old ^ value) & EFER.LME) !== 0n && (cpu.cr0 & CR0.PG) !== 0n) return false;
    cpu.set64(S.EFER, (value & ~EFER.LMA) | (old & EFER.LMA));
    if (((old ^ value) & EFER.NXE) !== 0n) this.#unit.flush(true);
    this.#unit.modeChanged();
    return true;
  }

  #writeApicBase(value: bigint): boolean {
    const reserved = (0x2ffn | (-1n << this.#physicalBits)) & 0xffff_ffff_ffff_ffffn;
    if ((value & reserved) !== 0n) return false;
    const moved = ((value ^ this.#apic.base) & ~0x100n) !== 0n;
    if (!this.#apic.writeBase(value)) return false;
    if (moved) this.#unit.flush(true);
    return true;
  }
}
