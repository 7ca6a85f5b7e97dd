/**
 * A vCPU's architectural state (x86/state.ts) as TypeScript sees it. Registers are unsigned bigints; anything of
 * at most 32 bits is a number.
 */
import { PageFlag, VCPU_BASE, VCPU_STRIDE } from '../../machine/layout.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';

export const CR0 = {
  PE: 0x1n,
  MP: 0x2n,
  EM: 0x4n,
  TS: 0x8n,
  ET: 0x10n,
  NE: 0x20n,
  WP: 0x1_0000n,
  AM: 0x4_0000n,
  NW: 0x2000_0000n,
  CD: 0x4000_0000n,
  PG: 0x8000_0000n,
} as const;
export const CR4 = {
  TSD: 0x4n,
  DE: 0x8n,
  PSE: 0x10n,
  PAE: 0x20n,
  PGE: 0x80n,
  PCE: 0x100n,
  OSFXSR: 0x200n,
  OSXMMEXCPT: 0x400n,
  FSGSBASE: 0x1_0000n,
  SMEP: 0x10_0000n,
  SMAP: 0x20_0000n,
} as const;
export const EFER = { SCE: 0x1n, LME: 0x100n, LMA: 0x400n, NXE: 0x800n } as const;
export const MODE = { BITS_16: 0, BITS_32: 1, BITS_64: 2 } as const;

/** Bits of a segment's attributes (x86/state.ts, SEG_ATTRIBUTES). */
export const ATTRIBUTE = {
  TYPE: 0xf,
  ACCESSED: 0x1,
  WRITABLE: 0x2,
  /** Of code: conforming. */
  CONFORMING: 0x4,
  CODE: 0x8,
  S: 0x10,
  DPL_SHIFT: 5,
  PRESENT: 0x80,
  LONG: 0x2000,
  BIG: 0x4000,
  GRANULAR: 0x8000,
} as const;

const SYSTEM_FLAGS = ~BigInt(S.ARITHMETIC_FLAGS | 2);
const MASK_64 = 0xffff_ffff_ffff_ffffn;

export function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
}

export class Cpu {
  readonly index: number;
  /** Offset of the vCPU's area in the shared memory. */
  readonly base: number;
  /** The vCPU's area. */
  readonly area: DataView<SharedArrayBuffer>;
  /** The whole shared memory: instruction records are named by their address in it. */
  readonly memory: DataView<SharedArrayBuffer>;

  readonly #bytes: Uint8Array<SharedArrayBuffer>;

  constructor(buffer: SharedArrayBuffer, index: number) {
    this.#bytes = new Uint8Array(buffer);
    this.index = index;
    this.base = VCPU_BASE + index * VCPU_STRIDE;
    this.area = new DataView(buffer, this.base, VCPU_STRIDE);
    this.memory = new DataView(buffer);
  }

  get32(offset: number): number {
    return this.area.getUint32(offset, true);
  }
  set32(offset: number, value: number): void {
    this.area.setUint32(offset, value, true);
  }
  get64(offset: number): bigint {
    return this.area.getBigUint64(offset, true);
  }
  set64(offset: number, value: bigint): void {
    this.area.setBigUint64(offset, value, true);
  }

  // ---- registers ----

  gpr(n: number): bigint {
    return this.get64(S.GPR + n * 8);
  }
  setGpr(n: number, value: bigint): void {
    this.set64(S.GPR + n * 8, value);
  }
  /** Low 32 bits. */
  gpr32(n: number): number {
    return this.get32(S.GPR + n * 8);
  }
  /** Writes 32 bits and clears the upper half. */
  setGpr32(n: number, value: number): void {
    this.set32(S.GPR + n * 8, value);
    this.set32(S.GPR + n * 8 + 4, 0);
  }
  /** Writes the register at state offset `offset` as an instruction of operand size `bytes` does. */
  writeRegister(offset: number, bytes: number, value: bigint): void {
    if (bytes === 8) this.set64(offset, value);
    else if (bytes === 4) this.set64(offset, value & 0xffff_ffffn);
    else if (bytes === 2) this.area.setUint16(offset, Number(value & 0xffffn), true);
    else this.area.setUint8(offset, Number(value & 0xffn));
  }

  get rip(): bigint {
    return this.get64(S.RIP);
  }
  set rip(value: bigint) {
    this.set64(S.RIP, value);
  }
  get cpl(): number {
    return this.get32(S.CPL);
  }
  set cpl(value: number) {
    this.set32(S.CPL, value);
  }
  get codeMode(): number {
    return this.get32(S.CODE_MODE);
  }
  get cr0(): bigint {
    return this.get64(S.CR0);
  }
  get cr4(): bigint {
    return this.get64(S.CR4);
  }
  get efer(): bigint {
    return this.get64(S.EFER);
  }
  /** IA-32e mode: 64-bit or compatibility code. */
  get longMode(): boolean {
    return (this.get32(S.EFER) & 0x400) !== 0;
  }
  get protectedMode(): boolean {
    return (this.get32(S.CR0) & 1) !== 0;
  }

  // ---- RFLAGS: x86/ops.ts says how the lazy flags work ----

  /** Flags that instructions do not change as a side effect. */
  get systemFlags(): number {
    return this.get32(S.RFLAGS_SYSTEM);
  }
  set systemFlags(value: number) {
    this.set64(S.RFLAGS_SYSTEM, BigInt(value >>> 0) & SYSTEM_FLAGS);
  }
  get arithmeticFlags(): number {
    const result = this.get64(S.FLAG_RESULT);
    const carriesHigh = this.get32(S.FLAG_CARRIES + 4);
    const carriesLow = this.get32(S.FLAG_CARRIES);
    const cf = carriesHigh >>> 31;
    const of = (carriesHigh ^ (carriesHigh << 1)) >>> 31;
    const af = (carriesLow >>> 3) & 1;
    const zf = result === 0n ? 1 : 0;
    const sf = (this.get32(S.FLAG_RESULT + 4) >>> 31) ^ ((carriesLow >>> 1) & 1);
    let parity = this.get32(S.FLAG_RESULT) & 0xff;
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    const pf = ((parity ^ carriesLow) & 1) ^ 1;
    return cf | (pf << 2) | (af << 4) | (zf << 6) | (sf << 7) | (of << 11);
  }
  set arithmeticFlags(flags: number) {
    const cf = flags & 1;
    const zf = (flags >>> 6) & 1;
    const of = (flags >>> 11) & 1;
    this.set64(S.FLAG_RESULT, zf === 1 ? 0n : 1n);
    this.set32(
      S.FLAG_CARRIES,
      (((flags >>> 4) & 1) << 3) | (((flags >>> 7) & 1) << 1) | (((flags >>> 2) & 1) ^ zf),
    );
    this.set32(S.FLAG_CARRIES + 4, ((cf << 31) | ((cf ^ of) << 30)) >>> 0);
  }
  get rflags(): number {
    return this.systemFlags | this.arithmeticFlags | 2;
  }
  set rflags(value: number) {
    this.systemFlags = value;
    this.arithmeticFlags = value;
  }

  // ---- segments ----

  selector(segment: number): number {
    return this.get32(S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEG_SELECTOR);
  }
  segmentBase(segment: number): bigint {
    return this.get64(S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEG_BASE);
  }
  segmentLimit(segment: number): number {
    return this.get32(S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEG_LIMIT);
  }
  attributes(segment: number): number {
    return this.get32(S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEG_ATTRIBUTES);
  }
  setSegment(segment: number, selector: number, base: bigint, limit: number, attributes: number): void {
    const offset = S.SEGMENTS + segment * S.SEGMENT_STRIDE;
    this.set64(offset + S.SEG_BASE, base);
    this.set32(offset + S.SEG_LIMIT, limit);
    this.set32(offset + S.SEG_ATTRIBUTES, attributes);
    this.set32(offset + S.SEG_SELECTOR, selector);
  }
  /** After CS, EFER or CR0 changed: what the code segment's attributes make of the code. */
  updateCodeMode(): void {
    const attributes = this.attributes(S.SEG.CS);
    const long = this.longMode && (attributes & ATTRIBUTE.LONG) !== 0;
    this.set32(
      S.CODE_MODE,
      long ? MODE.BITS_64 : (attributes & ATTRIBUTE.BIG) !== 0 ? MODE.BITS_32 : MODE.BITS_16,
    );
  }
  /** Mask of the stack pointer: 64 bits, or 32 or 16 by SS.B. */
  get stackMask(): bigint {
    if (this.codeMode === MODE.BITS_64) return MASK_64;
    return (this.attributes(S.SEG.SS) & ATTRIBUTE.BIG) !== 0 ? 0xffff_ffffn : 0xffffn;
  }
  /** Changes the stack pointer within `mask`. */
  setStackPointer(value: bigint, mask: bigint): void {
    const old = mask === 0xffffn ? this.gpr(4) & ~mask : 0n;
    this.setGpr(4, old | (value & mask));
  }

  // ---- the instruction in progress, by its record ----

  /** RIP of the instruction whose record is at `record`. */
  instructionRip(record: number): bigint {
    return this.#within(BigInt(this.memory.getUint16(record + S.REC.OFFSET, true)));
  }
  nextRip(record: number): bigint {
    const offset = this.memory.getUint16(record + S.REC.OFFSET, true);
    return this.#within(BigInt(offset + this.memory.getUint8(record + S.REC.LENGTH)));
  }
  #within(offset: bigint): bigint {
    const rip = this.get64(S.BLOCK_RIP) + offset;
    return this.codeMode === MODE.BITS_64 ? rip & MASK_64 : rip & 0xffff_ffffn;
  }
  /** Operand size in bytes of the instruction in progress. */
  get operandSize(): number {
    return this.get32(S.ARG_FORM) & 0xff;
  }
  /** State offset of the register in ModR/M.reg and .rm. */
  regOffset(record: number): number {
    return this.memory.getUint16(record + S.REC.REG, true);
  }
  rmOffset(record: number): number {
    return this.memory.getUint16(record + S.REC.RM, true);
  }

  /** Makes the run loop leave after this block (x86/state.ts, BUDGET_LEAVE). */
  leaveSoon(): void {
    const budget = this.area.getInt32(S.BUDGET, true);
    if (budget > 0) this.area.setInt32(S.BUDGET, budget - S.BUDGET_LEAVE, true);
  }

  /** Is it about to leave for that reason? */
  get leaving(): boolean {
    return this.area.getInt32(S.BUDGET, true) < -S.BUDGET_LEAVE / 2;
  }

  // ---- writes to guest memory ----

  /** Marks the page of host address `host` dirty. True: decoded code was made of the page. */
  markDirty(host: number): boolean {
    const page = (host - this.get32(S.RAM_OFFSET)) >>> 12;
    const flag = this.get32(S.PAGE_FLAGS) + page;
    const bits = this.#bytes[flag] as number;
    if ((bits & PageFlag.DIRTY) === 0) Atomics.or(this.#bytes, flag, PageFlag.DIRTY);
    return (bits & PageFlag.CODE) !== 0;
  }

  // ---- faults ----

  /** A fault without an error code. */
  fault(vector: number): number {
    this.set32(S.FAULT, vector);
    return STATUS.EXIT;
  }
  faultCode(vector: number, errorCode: number): number {
    this.set32(S.FAULT, vector | 0x100);
    this.set32(S.FAULT_CODE, errorCode);
    return STATUS.EXIT;
  }
}
