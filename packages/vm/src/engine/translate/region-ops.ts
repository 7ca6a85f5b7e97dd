/**
 * Instruction semantics bound to a region: guest registers are locals, immediates constants, memory goes through the
 * inline TLB, and what cannot go on leaves *before* its instruction. An instruction that would leave after it has
 * changed something is not translated (NotTranslatable): the interpreter runs it.
 */
import { apply, call, E, i32, i64, local } from '../../x86/expr.ts';
import type { End, Stmt } from '../../x86/block.ts';
import { NO_REGISTER, RIP_BASE } from '../../x86/decode.ts';
import { FIXED_REGISTER, type Form, LOAD, STORE, VECTOR, vectorOf } from '../../x86/ops.ts';
import { OPERAND_BIT, ROW_BIT } from '../../x86/row.ts';
import * as S from '../../x86/state.ts';
import type { Instruction } from './instruction.ts';
import { FlagOps, type Flags, NotTranslatable } from './flag-ops.ts';
import { LOCAL, LOCAL_TYPES } from './locals.ts';

/** A place where execution may leave in front of an instruction. */
export interface SideExit {
  readonly offset: number;
  /** Instructions of the block before it. */
  readonly before: number;
}

const ALL = -1n;
const BUDGET = local('i32', LOCAL.BUDGET);
const TLB = local('i32', LOCAL.TLB);
/** Linear RIP of the region's entry. */
export const BASE: E = local('i64', LOCAL.BASE);
const REGISTERS = LOCAL_TYPES.slice(0, LOCAL.XMM + 16).map((ty, i) => local(ty, i));
/** Of a linear address shifted right by 7: the place of its entry in the TLB. */
const TLB_PLACE = i32((S.TLB_ENTRIES - 1) << 5);

export interface RegionStyle {
  /** RIP is in its local before an instruction that may leave, so that leaving is one branch; nothing is counted there. */
  readonly ripFirst: boolean;
  /** Small code for what is not very hot: what all regions do alike is done by a function. */
  readonly compact: boolean;
  /** Host address of the TLB, if it is known: then the region may be entered with this one only. */
  readonly tlb?: number | undefined;
}

export class RegionOps extends FlagOps {
  readonly #style: RegionStyle;
  /** RIP of the instruction being staged is in its local. */
  #ripIsSet = false;
  #insn!: Instruction;
  /** The instruction has changed a register, or called a function that changes more. */
  #changed = false;
  #reloadTlb = false;
  #address: E | null = null;
  #rmw: E | null = null;
  #before = 0;
  /** Registers used and written so far, as bits: general 0–15, xmm 16–31. */
  used = 0;
  written = 0;
  readonly exits: SideExit[] = [];
  /** Where the instruction goes on, when it said so with `jump`. */
  target: E | null = null;

  readonly #wrongRow: string | undefined;

  /** @param wrongRow for tests of tools: rows whose text begins so are translated wrongly */
  constructor(form: Form, style: RegionStyle, wrongRow?: string) {
    super(form);
    this.#style = style;
    this.#wrongRow = wrongRow;
    for (const ty of LOCAL_TYPES) this.var(ty);
  }

  get compact(): boolean {
    return this.#style.compact;
  }
  /** Begins a block with what is known about the flags. */
  beginBlock(flags: Flags): void {
    this.flags = flags;
    this.#before = 0;
  }
  /** Number of instructions of this block staged so far. */
  get instructions(): number {
    return this.#before;
  }

  begin(insn: Instruction): void {
    this.#insn = insn;
    this.stage({ row: insn.row, opsize: insn.opsize, memory: insn.memory });
    this.#address = null;
    this.#rmw = null;
    this.#changed = false;
    this.#reloadTlb = false;
    this.#ripIsSet = false;
    this.target = null;
  }
  finish(): void {
    if (this.#reloadTlb)
      this.emit({ k: 'set', local: LOCAL.TLB, value: apply('i32.load', [this.cpu], S.TLB_TABLE) });
    this.#before++;
  }
  /** Stages one whole instruction that goes on behind itself. */
  translate(insn: Instruction): void {
    this.begin(insn);
    if (insn.lock) this.fence();
    insn.row.semantics(this);
    if (this.#wrongRow !== undefined && insn.row.text.startsWith(this.#wrongRow))
      this.set(0, this.get(0).xor(1));
    this.finish();
  }

  // ---- control ----

  override return(): void {
    throw new NotTranslatable();
  }

  /** Leaves before this instruction. */
  override end(how: End): void {
    if (how !== 'exit') throw new NotTranslatable();
    this.leave();
  }
  leave(): void {
    if (this.#changed && !this.has('string')) throw new NotTranslatable();
    // who always leaves is the interpreter's
    if (this.depth === 0) throw new NotTranslatable();
    this.leaves = true;
    this.emit({ k: 'end', how: 'exit', exit: this.exits.length });
    this.exits.push({ offset: this.#insn.offset, before: this.#before });
  }
  protected setRip(): void {
    if (!this.#style.ripFirst || this.#ripIsSet) return;
    this.#ripIsSet = true;
    this.emit({ k: 'set', local: LOCAL.RIP, value: i64(this.#insn.offset) });
  }
  override jump(target: E): void {
    if (this.depth > 0) {
      // a string instruction lets others in between two elements, with RIP at itself
      if (!this.has('string')) throw new NotTranslatable();
      this.leave();
      return;
    }
    if (this.target !== null) throw new NotTranslatable();
    this.target = this.let(target);
  }
  override raise(): void {
    this.leave();
  }
  system(): void {
    this.leave();
  }
  /** Where instructions are counted exactly the count is in a local: the interpreter reads the clock. */
  timestamp(): E {
    this.if(this.state32(S.EXACT_COUNT), () => this.leave());
    return this.let(call('read_tsc', 'i64', i32(0)));
  }

  override callVoid(name: string, ...args: E[]): void {
    this.#changed = true;
    super.callVoid(name, ...args);
  }

  // ---- registers ----

  #gpr(n: number): E {
    this.used |= 1 << n;
    return REGISTERS[LOCAL.GPR + n] as E;
  }
  #setGpr(n: number, value: E): void {
    this.used |= 1 << n;
    this.written |= 1 << n;
    this.#changed = true;
    this.emit({ k: 'set', local: LOCAL.GPR + n, value });
  }
  #xmm(n: number): E {
    this.used |= 1 << (16 + n);
    return REGISTERS[LOCAL.XMM + n] as E;
  }
  #setXmm(n: number, value: E): void {
    this.used |= 1 << (16 + n);
    this.written |= 1 << (16 + n);
    this.#changed = true;
    this.emit({ k: 'set', local: LOCAL.XMM + n, value });
  }
  override reg(n: number, bytes = 8): E {
    const r = this.#gpr(n);
    return this.let(bytes === 8 ? r : r.zeroExtend(bytes));
  }
  override setReg(n: number, value: E | number | bigint, bytes = 8): void {
    const v = i64(value);
    if (bytes === 8) this.#setGpr(n, v);
    else if (bytes === 4) this.#setGpr(n, v.zeroExtend(4));
    else {
      const mask = (1n << BigInt(bytes * 8)) - 1n;
      this.#setGpr(n, this.#gpr(n).and(~mask).or(v.and(mask)));
    }
  }
  override xmm(n: number): E {
    return this.let(this.#xmm(n));
  }
  #highByte(n: number): E {
    return this.let(this.#gpr(n).shrU(8).and(0xff));
  }
  #setHighByte(n: number, value: E): void {
    this.#setGpr(n, this.#gpr(n).and(~0xff00n).or(value.and(0xff).shl(8)));
  }

  /** Number of the register that operand `i` names; fixed ones included. */
  #number(i: number): number {
    const spec = this.operand(i);
    const insn = this.#insn;
    if (spec.kind === 'fixed') {
      const n = FIXED_REGISTER[spec.size];
      if (n === undefined) throw new NotTranslatable();
      return n;
    }
    return (spec.bits & OPERAND_BIT.RM) !== 0 ? insn.rm : insn.reg;
  }
  /** AH CH DH BH. */
  #isHigh(i: number): boolean {
    const spec = this.operand(i);
    if (spec.kind === 'fixed') return spec.size === 'AH';
    if ((spec.bits & OPERAND_BIT.GENERAL) === 0 || this.bytes(i) !== 1 || this.#insn.rex !== 0) return false;
    const n = this.#number(i);
    return n >= 4 && n < 8;
  }

  registerAddress(i: number): E {
    if ((this.operand(i).bits & OPERAND_BIT.MMX) === 0) throw new NotTranslatable();
    return this.cpu.add(S.X87 + this.#number(i) * 16);
  }
  registerNumber(i: number): E {
    return i32(this.#number(i));
  }

  get(i: number): E {
    const spec = this.operand(i);
    const bytes = this.bytes(i);
    switch (spec.kind) {
      case 'I':
        return i64(i > 0 && this.operand(i - 1).kind === 'I' ? this.#insn.immediate2 : this.#insn.immediate);
      case 'A':
        throw new NotTranslatable();
      case 'J':
        return this.at(this.#insn.offset + this.#insn.length + Number(this.#insn.immediate));
      case 'fixed':
        if (spec.size === '1' || spec.size === '3') return i64(Number(spec.size));
        if (spec.size === 'XMM0') return this.xmm(0);
        break;
      case 'V':
      case 'W':
      case 'U':
        if (!this.isMemory(i)) return this.xmm(this.#number(i));
        if (bytes === 16) return this.load128(this.address(i));
        return this.let(vectorOf(this.load(bytes, this.address(i))));
      default:
    }
    if (this.isMemory(i)) {
      const va = this.address(i);
      if (bytes === 16) return this.load128(va);
      return spec.access === 'rw' ? this.#loadForUpdate(bytes, va) : this.load(bytes, va);
    }
    if ((spec.bits & OPERAND_BIT.MMX) !== 0)
      return this.hostLoad(LOAD[bytes] as string, this.registerAddress(i));
    if (this.#isHigh(i)) return this.#highByte(spec.kind === 'fixed' ? 0 : this.#number(i) - 4);
    return this.reg(this.#number(i), bytes);
  }

  set(i: number, value: E): void {
    const spec = this.operand(i);
    const bytes = this.bytes(i);
    if (this.isMemory(i)) {
      if (value.ty === 'v128') {
        if (bytes === 16) this.store128(this.address(i), value);
        else this.store(bytes, this.address(i), value.lane('i64x2.extract_lane', 0));
      } else if (this.#rmw !== null) this.hostStore(STORE[bytes] as string, this.#rmw, value);
      else this.store(bytes, this.address(i), value);
      return;
    }
    if (value.ty === 'v128') this.#setXmm(this.#number(i), value);
    else if ((spec.bits & OPERAND_BIT.MMX) !== 0) this.hostStore('i64.store', this.registerAddress(i), value);
    else if (this.#isHigh(i)) this.#setHighByte(spec.kind === 'fixed' ? 0 : this.#number(i) - 4, value);
    else this.setReg(this.#number(i), value, bytes);
  }

  getLow(i: number, bytes: 4 | 8): E {
    if (this.isMemory(i)) return this.load(bytes, this.address(i));
    if ((this.operand(i).bits & OPERAND_BIT.XMM) === 0)
      return this.hostLoad(LOAD[bytes] as string, this.registerAddress(i));
    const v = this.#xmm(this.#number(i));
    return this.let(
      bytes === 8 ? v.lane('i64x2.extract_lane', 0) : (v.lane('i32x4.extract_lane', 0) as E).u64(),
    );
  }
  setLow(i: number, bytes: 4 | 8, value: E): void {
    if (this.isMemory(i)) this.store(bytes, this.address(i), value);
    else if ((this.operand(i).bits & OPERAND_BIT.XMM) === 0)
      this.hostStore(bytes === 8 ? 'i64.store' : 'i64.store32', this.registerAddress(i), value);
    else {
      const n = this.#number(i);
      const v = this.#xmm(n);
      this.#setXmm(
        n,
        bytes === 8
          ? apply('i64x2.replace_lane', [v, value], 0)
          : apply('i32x4.replace_lane', [v, value.wrap()], 0),
      );
    }
  }

  override getFloat(i: number, bytes: 4 | 8): E {
    const ty = bytes === 8 ? 'f64' : 'f32';
    if (this.isMemory(i)) return this.hostLoad(`${ty}.load`, this.#host(bytes, this.address(i), false));
    return this.let(this.#xmm(this.#number(i)).lane(`${ty}x${16 / bytes}.extract_lane`, 0));
  }
  override setFloat(i: number, bytes: 4 | 8, value: E): void {
    const ty = bytes === 8 ? 'f64' : 'f32';
    if (this.isMemory(i)) this.hostStore(`${ty}.store`, this.#host(bytes, this.address(i), true), value);
    else {
      const n = this.#number(i);
      this.#setXmm(n, apply(`${ty}x${16 / bytes}.replace_lane`, [this.#xmm(n), value], 0));
    }
  }

  // ---- addresses ----

  /** Linear address of the byte `offset` bytes from the entry. */
  at(offset: number): E {
    return BASE.add(i64(offset));
  }
  get rip(): E {
    return this.at(this.#insn.offset);
  }
  get nextRip(): E {
    return this.at(this.#insn.offset + this.#insn.length);
  }
  get addressMask(): E {
    const bits = this.#insn.addressBits;
    return i64(bits === 64 ? ALL : (1n << BigInt(bits)) - 1n);
  }
  get repeat(): E {
    return i32(
      (this.#insn.rep ? S.RECORD_FLAG.REP : 0) |
        (this.#insn.repne && !this.#insn.rep ? S.RECORD_FLAG.REPNE : 0),
    );
  }
  get modrm(): E {
    return i32(this.#insn.modrm);
  }
  get sourceSegment(): E {
    return i32(this.#insn.segment);
  }
  get sourceSegmentBase(): E {
    return this.segmentBase(this.#insn.segment);
  }
  segmentBase(index: number): E {
    if (index < S.SEG.FS) return i64(0);
    return this.state64(S.SEGMENTS + index * S.SEGMENT_STRIDE + S.SEG_BASE);
  }
  override stackMask(): E {
    return i64(ALL);
  }
  override setStackPointer(value: E): void {
    this.setReg(4, value);
  }
  override linear(base: E, offset: E): E {
    return this.let(base.op === 'const' ? offset : base.add(offset));
  }
  effectiveAddress(_i: number): E {
    const insn = this.#insn;
    let more = (insn.row.bits & ROW_BIT.POPEA) !== 0 && insn.base === 4 ? insn.opsize : 0;
    let sum: E | null = null;
    if (insn.base === RIP_BASE) {
      sum = BASE;
      more += insn.offset + insn.length;
    } else if (insn.base !== NO_REGISTER) sum = this.#gpr(insn.base);
    if (insn.index !== NO_REGISTER) {
      const scaled = this.#gpr(insn.index).shl(insn.scale);
      sum = sum === null ? scaled : sum.add(scaled);
    }
    const { displacement } = insn;
    const constant = i64(
      typeof displacement === 'number' ? displacement + more : displacement + BigInt(more),
    );
    return sum === null ? constant : sum.add(constant);
  }
  address(i: number): E {
    if (this.#address === null) {
      const offset = this.effectiveAddress(i).and(this.addressMask);
      const { segment } = this.#insn;
      this.#address = this.let(segment >= S.SEG.FS ? this.segmentBase(segment).add(offset) : offset);
      if (this.#address.op === 'const') this.#address = this.var('i64', this.#address).get();
    }
    return this.#address;
  }

  // ---- memory: through the inline TLB; who misses it leaves, and the interpreter fills it ----

  /** Host address of `bytes` bytes at `va`. */
  #host(bytes: number, va: E, write: boolean): E {
    const index = va.wrap().shrU(7).and(TLB_PLACE);
    const { tlb } = this.#style;
    const entry = this.let(tlb === undefined ? TLB.add(index) : index);
    const at = tlb ?? 0;
    const offset = this.let(va.xor(apply('i64.load', [entry], at + (write ? 8 : 0))));
    this.#readyToLeave();
    const condition = offset.gtU(4096 - bytes);
    this.emit({ k: 'if', condition, then: this.#out(), else: [], unlikely: true });
    return this.let(apply('i32.load', [entry], at + 16).add(offset.wrap()));
  }
  #out(): Stmt[] {
    return this.#branch(() => this.leave());
  }
  /** Before a branch that leaves, which was not staged through `if`. */
  #readyToLeave(): void {
    if (this.depth > 0) {
      this.leaves = true;
      return;
    }
    this.syncFlags();
    this.setRip();
    this.leaves = false;
  }
  #branch(body: () => void): Stmt[] {
    this.depth++;
    const inner = this.collect(body);
    this.depth--;
    return inner;
  }

  load(bytes: number, va: E): E {
    const at = va.op === 'local' ? va : this.#bind(va);
    return this.hostLoad(LOAD[bytes] as string, this.#host(bytes, at, false));
  }
  store(bytes: number, va: E, value: E): void {
    const at = va.op === 'local' ? va : this.#bind(va);
    const host = this.#host(bytes, at, true);
    this.hostStore(STORE[bytes] as string, host, value);
  }
  #bind(va: E): E {
    return this.var('i64', va).get();
  }
  load128(va: E): E {
    this.#checkAlignment(va);
    return this.hostLoad('v128.load', this.#host(16, va, false));
  }
  store128(va: E, value: E): void {
    this.#checkAlignment(va);
    this.hostStore('v128.store', this.#host(16, va, true), value);
  }
  #checkAlignment(va: E): void {
    if (!this.has('unaligned')) this.raiseIf(va.and(15).ne(0), VECTOR.GP, 0);
  }
  probeWrite(bytes: number, va: E): void {
    this.#host(bytes, va.op === 'local' ? va : this.#bind(va), true);
  }
  #loadForUpdate(bytes: number, va: E): E {
    this.#rmw = this.#host(bytes, va, true);
    return this.hostLoad(LOAD[bytes] as string, this.#rmw);
  }

  // ---- the vCPU's state: what the region keeps in locals must not be looked for in memory ----

  override hostLoad(op: string, address: E, offset = 0): E {
    if (address.op === 'cpu') refuseShadowed(offset);
    return super.hostLoad(op, address, offset);
  }
  override hostStore(op: string, address: E, value: E | number | bigint, offset = 0): void {
    if (address.op === 'cpu') {
      refuseShadowed(offset);
      if (offset === S.TLB_TABLE) this.#reloadTlb = true;
    }
    super.hostStore(op, address, value, offset);
  }
  override state32(offset: number): E {
    return offset === S.BUDGET ? this.let(BUDGET) : super.state32(offset);
  }
  override setState32(offset: number, value: E | number | bigint): void {
    if (offset === S.BUDGET) this.emit({ k: 'set', local: LOCAL.BUDGET, value: i32(value) });
    else if (offset !== S.FAULT && offset !== S.FAULT_CODE) super.setState32(offset, value);
  }
}

/** Offsets of state that lives in locals. */
function refuseShadowed(offset: number): void {
  const gpr = offset >= S.GPR && offset < S.GPR + 128;
  const xmm = offset >= S.XMM && offset < S.XMM + 256;
  const flags = offset >= S.FLAG_RESULT && offset < S.FLAG_CARRIES + 8;
  if (gpr || xmm || flags || offset === S.RIP || offset === S.BLOCK_RIP || offset === S.BUDGET)
    throw new NotTranslatable();
}
