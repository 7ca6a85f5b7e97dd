/**
 * The vocabulary of instruction semantics. A semantic function runs once per form (row × operand size ×
 * register or memory) and *emits* what the instruction does; JavaScript control flow is decided at staging time.
 *
 * Order matters: an instruction that faults must have changed nothing. So: load, compute, store to memory
 * (`set` of a memory operand, `store`, `push`), and only then write registers and flags.
 * General operands are i64, zero-extended from their size; MMX operands i64; xmm operands v128.
 */
import { apply, call, E, i32, i64, type Operand, select, v128 } from './expr.ts';
import { B, type End } from './block.ts';
import { OPERAND_BIT, type OperandSpec, operandBytes, type Row } from './row.ts';
import * as S from './state.ts';

/** One staged form of a row. */
export interface Form {
  readonly row: Row;
  /** Operand size in bytes (2, 4, 8), 0 where it does not matter. */
  readonly opsize: number;
  /** ModR/M names memory. */
  readonly memory: boolean;
}

export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  XM: 19,
} as const;
/** Set in FAULT when the exception has an error code. */
export const HAS_ERROR_CODE: number = 0x100;
/** Set in FAULT where the vector alone may be 0 (#DE). */
export const RAISED: number = 0x200;

/** Instructions that load (zero-extended) and store the low bytes of an i64, by their number. */
export const LOAD: Readonly<Record<number, string>> = {
  1: 'i64.load8_u',
  2: 'i64.load16_u',
  4: 'i64.load32_u',
  8: 'i64.load',
};
export const STORE: Readonly<Record<number, string>> = {
  1: 'i64.store8',
  2: 'i64.store16',
  4: 'i64.store32',
  8: 'i64.store',
};
/** Numbers of the general registers that operands name by themselves; AH is in that of AL. */
export const FIXED_REGISTER: Readonly<Record<string, number>> = {
  AL: 0,
  AX: 0,
  EAX: 0,
  rAX: 0,
  CL: 1,
  rCX: 1,
  DX: 2,
  rDX: 2,
  AH: 0,
};

export abstract class Ops extends B {
  #form!: Form;
  #size = 0;

  constructor(form: Form) {
    super();
    this.stage(form);
  }

  /** Takes the next form: a translator stages many instructions into one body. */
  protected stage(form: Form): void {
    this.#form = form;
    const first = form.row.operands[0];
    this.#size = form.opsize !== 0 ? form.opsize : first === undefined ? 0 : operandBytes(first, 0);
  }

  get form(): Form {
    return this.#form;
  }
  /** Operand size in bytes; for rows without one, the size of the first operand. */
  get size(): number {
    return this.#size;
  }

  get row(): Row {
    return this.form.row;
  }
  /** Operand size in bits. */
  get bits(): number {
    return this.size * 8;
  }
  has(attribute: string): boolean {
    return this.row.attributes.has(attribute);
  }
  operand(i: number): OperandSpec {
    const spec = this.row.operands[i];
    if (spec === undefined) throw new Error(`${this.row.text} has no operand ${i}`);
    return spec;
  }
  /** Bytes of operand `i`. */
  bytes(i: number): number {
    return operandBytes(this.operand(i), this.form.opsize);
  }
  /** True when operand `i` is in memory in this form. */
  isMemory(i: number): boolean {
    const { bits } = this.operand(i);
    return (
      (bits & (this.form.memory ? OPERAND_BIT.MEMORY | OPERAND_BIT.MAY_BE_MEMORY : OPERAND_BIT.MEMORY)) !== 0
    );
  }

  // ---- given by the tier: the interpreter reads the decoded record, the translator knows constants ----

  /** Value of operand `i`: i64, or v128 for xmm operands (smaller memory operands zero-extended). */
  abstract get(i: number): E;
  /**
   * Writes operand `i`. General registers: 4-byte writes clear the upper half, 1- and 2-byte writes keep the rest.
   * xmm registers: all 16 bytes.
   */
  abstract set(i: number, value: E): void;
  /** Low 4 or 8 bytes of an xmm operand as i64 (zero-extended); loads only that much from memory. */
  abstract getLow(i: number, bytes: 4 | 8): E;
  /** Writes the low bytes of an xmm operand and keeps the others (a memory operand gets just these bytes). */
  abstract setLow(i: number, bytes: 4 | 8, value: E): void;
  /** As `getLow`, as a scalar f32 or f64. */
  getFloat(i: number, bytes: 4 | 8): E {
    const bits = this.getLow(i, bytes);
    return bytes === 8 ? apply('f64.reinterpret_i64', [bits]) : apply('f32.reinterpret_i32', [bits.wrap()]);
  }
  /** As `setLow`, of a scalar f32 or f64. */
  setFloat(i: number, bytes: 4 | 8, value: E): void {
    const bits =
      bytes === 8 ? apply('i64.reinterpret_f64', [value]) : apply('i32.reinterpret_f32', [value]).u64();
    this.setLow(i, bytes, bits);
  }
  /** Linear address of memory operand `i` (segment base included), i64. */
  abstract address(i: number): E;
  /** Effective address (offset) of the memory operand without its segment base, i64: LEA. */
  abstract effectiveAddress(i: number): E;
  /** Host address of the register state of register operand `i` (i32). */
  abstract registerAddress(i: number): E;
  /** Number of the register in ModR/M.reg or .rm, for operands whose file is addressed by number (S, C, D, ST). i32 */
  abstract registerNumber(i: number): E;
  /** RIP of this instruction and of the next one, i64. */
  abstract get rip(): E;
  abstract get nextRip(): E;
  /** Mask of the effective address size: all ones, 32 or 16 bits, i64. */
  abstract get addressMask(): E;
  /** i32: 0, or RECORD_FLAG.REP / REPNE. */
  abstract get repeat(): E;
  /** Guest memory at linear address `va`: i64 zero-extended from 1, 2, 4 or 8 bytes. Faults end the instruction. */
  abstract load(bytes: number, va: E): E;
  abstract store(bytes: number, va: E, value: E): void;
  abstract load128(va: E): E;
  abstract store128(va: E, value: E): void;
  /** Faults now if `bytes` at `va` could not be written, so that later stores there cannot fault. */
  abstract probeWrite(bytes: number, va: E): void;
  /** The ModR/M byte of an instruction that has one, i32. */
  abstract get modrm(): E;
  /** Number of the segment that string instructions read from (override or DS), i32. */
  abstract get sourceSegment(): E;
  /** Base of segment operand used by string instructions' source (override or DS), i64. */
  abstract get sourceSegmentBase(): E;
  /** Segment `index` (SEG) base under the current mode: 0 in 64-bit mode but for FS and GS. */
  abstract segmentBase(index: number): E;

  // ---- how the instruction ends ----

  end(how: End): void {
    this.emit({ k: 'end', how });
  }
  /** Ends the instruction and the block: execution goes on at `target` (i64). */
  jump(target: E): void {
    this.setState64(S.RIP, target);
    this.end('jump');
  }
  /** Raises exception `vector` for this instruction; ends it. */
  raise(vector: number, errorCode?: Operand): void {
    this.setState32(
      S.FAULT,
      (vector === 0 ? RAISED : vector) | (errorCode === undefined ? 0 : HAS_ERROR_CODE),
    );
    if (errorCode !== undefined) this.setState32(S.FAULT_CODE, i32(errorCode));
    this.end('exit');
  }
  raiseIf(condition: E, vector: number, errorCode?: Operand): void {
    this.if(condition, () => this.raise(vector, errorCode));
  }
  /** #GP(0) unless CPL = 0. */
  requireCpl0(): void {
    this.raiseIf(this.state32(S.CPL), VECTOR.GP, 0);
  }
  /** The time-stamp counter, i64. */
  abstract timestamp(): E;
  /** Hands the instruction to TypeScript (engine/system): ends it. `name` is a key of SYSTEM_OPERATIONS. */
  abstract system(name: string): void;

  // ---- registers ----

  /** General register `n` (0–15), i64: the low `bytes` bytes zero-extended. */
  reg(n: number, bytes = 8): E {
    const op = bytes === 8 ? 'i64.load' : `i64.load${bytes * 8}_u`;
    return this.hostLoad(op, this.cpu, S.GPR + n * 8);
  }
  /** Writes general register `n`; 4 bytes clear the upper half, 1 and 2 keep the rest. */
  setReg(n: number, value: Operand, bytes = 8): void {
    const v = i64(value);
    if (bytes >= 4) this.hostStore('i64.store', this.cpu, bytes === 4 ? v.zeroExtend(4) : v, S.GPR + n * 8);
    else this.hostStore(`i64.store${bytes * 8}`, this.cpu, v, S.GPR + n * 8);
  }
  xmm(n: number): E {
    return this.hostLoad('v128.load', this.cpu, S.XMM + n * 16);
  }

  // ---- the stack ----

  /** Mask of the stack pointer (i64): SS.B outside 64-bit mode. */
  stackMask(): E {
    return this.size === 8 ? i64(-1) : this.state64(S.STACK_MASK);
  }
  /** Linear address of `offset` in the stack segment; checked where segments are not flat. */
  #stackAddress(offset: E, bytes: number, write: boolean): E {
    return this.size === 8
      ? offset
      : this.linear(this.segmentBase(S.SEG.SS), offset, i32(S.SEG.SS), bytes, write);
  }
  /** Moves the stack pointer to `value` under its mask. */
  setStackPointer(value: E): void {
    if (this.size === 8) this.setReg(4, value);
    else {
      const mask = this.state64(S.STACK_MASK);
      this.setReg(4, select(mask.eq(0xffff), this.reg(4).and(~0xffffn), i64(0)).or(value.and(mask)));
    }
  }
  /**
   * Segment base + offset under the mode's linear address width. Where segments are not flat the access is checked
   * first, which may fault.
   * @param segment its number (SEG), i32
   */
  linear(base: E, offset: E, segment: E, bytes: number, write: boolean): E {
    this.if(this.state32(S.BLOCK_MODE).and(S.BLOCK_MODE_BIT.SEGMENTED), () => {
      this.callVoid('check_segment', offset, i64(bytes), segment, i32(write ? 1 : 0));
      this.if(this.state32(S.FAULT), () => this.end('exit'));
    });
    return this.let(base.add(offset).and(this.state64(S.LINEAR_MASK)));
  }
  /** Stores `value` below the stack pointer, then moves it. */
  push(value: E, bytes: number = this.size): void {
    const rsp = this.let(this.reg(4).sub(bytes).and(this.stackMask()));
    this.store(bytes, this.#stackAddress(rsp, bytes, true), value);
    this.setStackPointer(rsp);
  }
  /** Loads the value at the stack pointer + `offset`; the pointer does not move (see `moveStack`). */
  peek(bytes: number = this.size, offset = 0): E {
    const rsp = this.let(this.reg(4).add(offset).and(this.stackMask()));
    return this.load(bytes, this.#stackAddress(rsp, bytes, false));
  }
  /** Adds `bytes` to the stack pointer. */
  moveStack(bytes: Operand): void {
    this.setStackPointer(this.let(this.reg(4).add(bytes)));
  }

  // ---- flags: FLAG_RESULT gives ZF, SF and PF; FLAG_CARRIES gives CF (bit 63), OF (63 ^ 62), AF (bit 3) and
  //      corrections of SF (bit 1) and PF (bit 0) for states no result can have ----

  #carries(c: E, bytes: number): E {
    const high = (bytes === 8 ? c : c.shl(64 - bytes * 8)).and(0xc000000000000000n);
    return high.or(c.and(8));
  }
  /** Flags of r = a + b (+ carry); all i64, upper bits of any value. */
  flagsAdd(a: E, b: E, r: E, bytes: number = this.size): void {
    const c = this.let(a.and(b).or(a.or(b).and(r.not())));
    this.setState64(S.FLAG_RESULT, r.signExtend(bytes));
    this.setState64(S.FLAG_CARRIES, this.#carries(c, bytes));
  }
  /** Flags of r = a − b (− borrow). */
  flagsSub(a: E, b: E, r: E, bytes: number = this.size): void {
    const na = this.let(a.not());
    const c = this.let(na.and(b).or(na.or(b).and(r)));
    this.setState64(S.FLAG_RESULT, r.signExtend(bytes));
    this.setState64(S.FLAG_CARRIES, this.#carries(c, bytes));
  }
  /** As flagsAdd/flagsSub, but CF keeps its value (INC, DEC). */
  flagsKeepingCarry(kind: 'add' | 'sub', a: E, b: E, r: E, bytes: number = this.size): void {
    const old = this.let(this.state64(S.FLAG_CARRIES).and(1n << 63n));
    if (kind === 'add') this.flagsAdd(a, b, r, bytes);
    else this.flagsSub(a, b, r, bytes);
    const fresh = this.state64(S.FLAG_CARRIES);
    const overflow = this.let(fresh.xor(fresh.shl(1)).and(1n << 63n));
    this.setState64(S.FLAG_CARRIES, fresh.and(8).or(old).or(old.xor(overflow).shrU(1)));
  }
  /** Flags of a logic result: CF = OF = AF = 0. */
  flagsLogic(r: E, bytes: number = this.size): void {
    this.setState64(S.FLAG_RESULT, r.signExtend(bytes));
    this.setState64(S.FLAG_CARRIES, 0n);
  }
  /** SF, ZF, PF from a result, the others explicit (i32 0/1). */
  flagsResult(r: E, cf: E, of: E, af: E = i32(0), bytes: number = this.size): void {
    const c = this.let(cf.u64());
    this.setState64(S.FLAG_RESULT, r.signExtend(bytes));
    this.setState64(S.FLAG_CARRIES, c.shl(63).or(c.xor(of.u64()).shl(62)).or(af.u64().shl(3)));
  }
  /** Changes CF and OF (i32 0/1), keeping the rest. */
  setCarryOverflow(cf: E, of: E): void {
    const c = this.let(cf.u64());
    const kept = this.state64(S.FLAG_CARRIES).and(0x3fffffffffffffffn);
    this.setState64(S.FLAG_CARRIES, kept.or(c.shl(63)).or(c.xor(of.u64()).shl(62)));
  }
  /** Sets all six arithmetic flags from RFLAGS bit positions (i64). */
  setArithmeticFlags(flags: E): void {
    const f = this.let(flags);
    const bit = (n: number): E => f.shrU(n).and(1);
    const zf = this.let(bit(6));
    const cf = this.let(bit(0));
    // result 0 has SF 0 and PF 1; result 1 has SF 0 and PF 0
    this.setState64(S.FLAG_RESULT, zf.xor(1));
    this.setState64(
      S.FLAG_CARRIES,
      cf
        .shl(63)
        .or(cf.xor(bit(11)).shl(62))
        .or(bit(4).shl(3))
        .or(bit(7).shl(1))
        .or(bit(2).xor(zf)),
    );
  }
  /** The six arithmetic flags at their RFLAGS positions (i64). */
  arithmeticFlags(): E {
    return this.let(
      this.cf()
        .or(this.pf().shl(2))
        .or(this.af().shl(4))
        .or(this.zf().shl(6))
        .or(this.sf().shl(7))
        .or(this.of().shl(11))
        .u64(),
    );
  }
  cf(): E {
    return this.state64(S.FLAG_CARRIES).ltS(0);
  }
  zf(): E {
    return this.state64(S.FLAG_RESULT).eqz();
  }
  sf(): E {
    const result = this.state64(S.FLAG_RESULT).shrU(63);
    return this.let(result.xor(this.state64(S.FLAG_CARRIES).shrU(1).and(1)).wrap());
  }
  of(): E {
    const c = this.state64(S.FLAG_CARRIES);
    return this.let(c.xor(c.shl(1)).ltS(0));
  }
  af(): E {
    return this.let(this.state64(S.FLAG_CARRIES).shrU(3).and(1).wrap());
  }
  pf(): E {
    const low = this.let(this.state64(S.FLAG_RESULT).wrap().and(0xff));
    const odd = low.popcnt().xor(this.state64(S.FLAG_CARRIES).wrap());
    return this.let(odd.and(1).xor(1));
  }
  /** Condition code 0–15 as in Jcc (SDM volume 1, appendix B), i32 0/1. */
  condition(cc: number): E {
    const base = ((): E => {
      switch (cc >> 1) {
        case 0:
          return this.of();
        case 1:
          return this.cf();
        case 2:
          return this.zf();
        case 3:
          return this.cf().or(this.zf());
        case 4:
          return this.sf();
        case 5:
          return this.pf();
        case 6:
          return this.sf().xor(this.of());
        default:
          return this.sf().xor(this.of()).or(this.zf());
      }
    })();
    return (cc & 1) === 0 ? base : base.eqz();
  }
}

/** v128 whose low 8 bytes are `low` and high 8 bytes are `high` (i64). */
export function vectorOf(low: E, high: E = i64(0)): E {
  return apply('i64x2.replace_lane', [apply('i64x2.replace_lane', [v128(0n), low], 0), high], 1);
}

export { apply, call, E, i32, i64, select, v128 };
