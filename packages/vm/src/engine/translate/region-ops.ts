/**
 * Instruction semantics bound to a region: guest registers are locals, immediates constants, memory goes through the
 * inline TLB, and what cannot go on leaves *before* its instruction. An instruction that would leave after it has
 * changed a register is not translated (NotTranslatable): the interpreter runs it.
 */
import { apply, call, E, i32, i64, local } from '../../x86/expr.ts';
import type { End, Stmt } from '../../x86/block.ts';
import { NO_REGISTER, RIP_BASE } from '../../x86/decode.ts';
import { type Form, Ops, VECTOR, vectorOf } from '../../x86/ops.ts';
import { OPERAND_BIT, type Row, ROW_BIT } from '../../x86/row.ts';
import * as S from '../../x86/state.ts';
import { type WasmOp, wasmOp } from '../../wasm/opcodes.ts';
import type { Instruction } from './instruction.ts';
import { kindNumber, type LazyKind, type Material, materialize } from './flags.ts';
import { FIXED, LOCAL, LOCAL_TYPES } from './locals.ts';

export class NotTranslatable extends Error {}

/** What the translator knows about the arithmetic flags. */
export type Flags =
  /** (kind, a, b) are in the locals; only at run time is the kind known. */
  | { readonly known: 'runtime' }
  | {
      readonly known: 'lazy';
      readonly kind: LazyKind;
      readonly bytes: number;
      readonly a: E;
      readonly b: E;
      /** The three locals hold this. */
      readonly synced: boolean;
    }
  /** Result, CF, OF and AF (i32 0/1) of shifts, rotates and products. */
  | {
      readonly known: 'result';
      readonly bytes: number;
      readonly result: E;
      readonly cf: E;
      readonly of: E;
      readonly af: E;
    };

/** A place where execution may leave in front of an instruction. */
export interface SideExit {
  readonly offset: number;
  /** Instructions of the block before it. */
  readonly before: number;
}

const ALL = -1n;
const FLAGS_A = local('i64', LOCAL.FLAGS_A);
const FLAGS_B = local('i64', LOCAL.FLAGS_B);
const FLAGS_KIND = local('i32', LOCAL.FLAGS_KIND);
const BUDGET = local('i32', LOCAL.BUDGET);
const TLB = local('i32', LOCAL.TLB);
/** Linear RIP of the region's entry. */
export const BASE: E = local('i64', LOCAL.BASE);
export const MATERIAL: Flags = {
  known: 'lazy',
  kind: 'material',
  bytes: 8,
  a: FLAGS_A,
  b: FLAGS_B,
  synced: true,
};
export const RUNTIME_FLAGS: Flags = { known: 'runtime' };

const LOAD: Readonly<Record<number, string>> = {
  1: 'i64.load8_u',
  2: 'i64.load16_u',
  4: 'i64.load32_u',
  8: 'i64.load',
};
const STORE: Readonly<Record<number, string>> = {
  1: 'i64.store8',
  2: 'i64.store16',
  4: 'i64.store32',
  8: 'i64.store',
};
const WRITE = 0x100;
const REGISTERS = LOCAL_TYPES.slice(0, LOCAL.XMM + 16).map((ty, i) => local(ty, i));
/** Of a linear address shifted right by 7: the place of its entry in the TLB. */
const TLB_PLACE = i32((S.TLB_ENTRIES - 1) << 5);

export interface RegionStyle {
  /** RIP is in its local before an instruction that may leave, so that leaving is one branch; nothing is counted there. */
  readonly ripFirst: boolean;
  /** Small code for what is not very hot: memory through functions. */
  readonly compact: boolean;
  /** Host address of the TLB, if it is known: then the region may be entered with this one only. */
  readonly tlb?: number | undefined;
}

export class RegionOps extends Ops {
  readonly #style: RegionStyle;
  /** RIP of the instruction being staged is in its local. */
  #ripIsSet = false;
  #insn!: Instruction;
  #flags: Flags = RUNTIME_FLAGS;
  #depth = 0;
  /** The branch being staged touches flags, or may leave. */
  #touchesFlags = false;
  #leaves = false;
  #wroteRegister = false;
  #reloadTlb = false;
  #address: E | null = null;
  #rmw: E | null = null;
  #before = 0;
  /** Registers used and written so far, as bits: general 0–15, xmm 16–31. */
  used = 0;
  written = 0;
  changesFlags = false;
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
  get flags(): Flags {
    return this.#flags;
  }
  set flags(flags: Flags) {
    this.#flags = flags;
  }
  /** Begins a block with what is known about the flags. */
  beginBlock(flags: Flags): void {
    this.#flags = flags;
    this.#before = 0;
  }
  /** The flags at the end of a block for the one that follows it: only the three locals are left. */
  flagsBehind(): Flags {
    const f = this.#flags;
    if (f.known !== 'lazy' || !f.synced) return RUNTIME_FLAGS;
    return f.kind === 'material' ? MATERIAL : { ...f, a: FLAGS_A, b: FLAGS_B };
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
    this.#wroteRegister = false;
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

  override if(condition: E, then: () => void, otherwise: () => void = () => {}): void {
    if (condition.op === 'const') {
      if (condition.imm !== 0) then();
      else otherwise();
      return;
    }
    const [outerTouches, outerLeaves] = [this.#touchesFlags, this.#leaves];
    this.#touchesFlags = false;
    this.#leaves = false;
    this.#depth++;
    const thenBody = this.collect(then);
    const leaves = this.#leaves;
    const elseBody = this.collect(otherwise);
    this.#depth--;
    let bound = condition;
    if (this.#depth === 0) {
      if (this.#touchesFlags) {
        bound = this.let(condition);
        this.makeMaterial();
      } else if (this.#leaves) this.syncFlags();
      if (this.#leaves) this.#setRip();
    }
    const unlikely = leaves && elseBody.length === 0;
    this.emit({ k: 'if', condition: bound, then: thenBody, else: elseBody, unlikely });
    this.#touchesFlags ||= outerTouches;
    this.#leaves ||= outerLeaves;
    if (this.#depth === 0) {
      this.#touchesFlags = false;
      this.#leaves = false;
    }
  }
  override loop(body: () => void): void {
    const [outerTouches, outerLeaves] = [this.#touchesFlags, this.#leaves];
    this.#touchesFlags = false;
    this.#leaves = false;
    this.#depth++;
    const inner = this.collect(body);
    this.#depth--;
    if (this.#depth === 0) {
      if (this.#touchesFlags) this.makeMaterial();
      else if (this.#leaves) this.syncFlags();
      if (this.#leaves) this.#setRip();
      this.#touchesFlags = false;
      this.#leaves = false;
    } else {
      this.#touchesFlags ||= outerTouches;
      this.#leaves ||= outerLeaves;
    }
    this.emit({ k: 'loop', body: inner });
  }
  override return(): void {
    throw new NotTranslatable();
  }

  /** Leaves before this instruction. */
  override end(how: End): void {
    if (how !== 'exit') throw new NotTranslatable();
    this.leave();
  }
  leave(): void {
    if (this.#wroteRegister && !this.has('string')) throw new NotTranslatable();
    // who always leaves is the interpreter's
    if (this.#depth === 0) throw new NotTranslatable();
    this.#leaves = true;
    this.emit({ k: 'end', how: 'exit', exit: this.exits.length });
    this.exits.push({ offset: this.#insn.offset, before: this.#before });
  }
  #setRip(): void {
    if (!this.#style.ripFirst || this.#ripIsSet) return;
    this.#ripIsSet = true;
    this.emit({ k: 'set', local: LOCAL.RIP, value: i64(this.#insn.offset) });
  }
  override jump(target: E): void {
    if (this.#depth > 0) {
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

  // ---- registers ----

  #gpr(n: number): E {
    this.used |= 1 << n;
    return REGISTERS[LOCAL.GPR + n] as E;
  }
  #setGpr(n: number, value: E): void {
    this.used |= 1 << n;
    this.written |= 1 << n;
    this.#wroteRegister = true;
    this.emit({ k: 'set', local: LOCAL.GPR + n, value });
  }
  #xmm(n: number): E {
    this.used |= 1 << (16 + n);
    return REGISTERS[LOCAL.XMM + n] as E;
  }
  #setXmm(n: number, value: E): void {
    this.used |= 1 << (16 + n);
    this.written |= 1 << (16 + n);
    this.#wroteRegister = true;
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
      const n = FIXED[spec.size];
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

  // ---- memory: the inline TLB (engine/mmu/access.ts), then `region_fill`, then out ----

  /** Host address of `bytes` bytes at `va`. */
  #host(bytes: number, va: E, write: boolean): E {
    const host = this.var('i32');
    if (this.#style.compact) {
      this.#readyToLeave();
      host.set(call(write ? 'region_write' : 'region_read', 'i32', va, i32(bytes)));
      this.emit({ k: 'if', condition: host.get().eqz(), then: this.#out(), else: [], unlikely: true });
      return host.get();
    }
    const index = va.wrap().shrU(7).and(TLB_PLACE);
    const { tlb } = this.#style;
    const entry = this.let(tlb === undefined ? TLB.add(index) : index);
    const at = tlb ?? 0;
    const offset = this.let(va.xor(apply('i64.load', [entry], at + (write ? 8 : 0))));
    // not through `if`: the hint is for this shape, and the flags are synchronised before
    const miss = this.#branch(() => {
      host.set(call('region_fill', 'i32', va, i32(bytes | (write ? WRITE : 0))));
      this.emit({ k: 'if', condition: host.get().eqz(), then: this.#out(), else: [], unlikely: true });
    });
    const hit = this.#branch(() => host.set(apply('i32.load', [entry], at + 16).add(offset.wrap())));
    this.#readyToLeave();
    this.emit({ k: 'if', condition: offset.gtU(4096 - bytes), then: miss, else: hit, unlikely: true });
    return host.get();
  }
  #out(): Stmt[] {
    return this.#branch(() => this.leave());
  }
  /** Before a branch that leaves, which was not staged through `if`. */
  #readyToLeave(): void {
    if (this.#depth > 0) {
      this.#leaves = true;
      return;
    }
    this.syncFlags();
    this.#setRip();
    this.#leaves = false;
  }
  #branch(body: () => void): Stmt[] {
    this.#depth++;
    const inner = this.collect(body);
    this.#depth--;
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
  override state64(offset: number): E {
    if (offset === S.FLAG_RESULT || offset === S.FLAG_CARRIES) {
      this.#needMaterial();
      return this.let(offset === S.FLAG_RESULT ? FLAGS_A : FLAGS_B);
    }
    return super.state64(offset);
  }
  override setState64(offset: number, value: E | number | bigint): void {
    if (offset === S.FLAG_RESULT || offset === S.FLAG_CARRIES) {
      if (this.#depth === 0 && overwritesFlags(this.row)) this.#becomeMaterial();
      else this.#needMaterial();
      this.changesFlags = true;
      const local = offset === S.FLAG_RESULT ? LOCAL.FLAGS_A : LOCAL.FLAGS_B;
      this.emit({ k: 'set', local, value: i64(value) });
    } else super.setState64(offset, value);
  }

  // ---- flags ----

  #setFlags(kind: LazyKind, bytes: number, a: E, b: E): void {
    this.changesFlags = true;
    if (this.#depth === 0) {
      this.#flags = { known: 'lazy', kind, bytes, a: this.#pin(a), b: this.#pin(b), synced: false };
      return;
    }
    this.#touchesFlags = true;
    this.#storeMaterial(materialize(this, kind, bytes, a, b));
  }
  /** A value that stays what it is while registers change. */
  #pin(value: E): E {
    return value.op === 'const' || (value.op === 'local' && (value.imm as number) >= LOCAL_TYPES.length)
      ? value
      : this.let(value);
  }
  #storeMaterial({ result, carries }: Material): void {
    const r = this.let(result);
    this.emit({ k: 'set', local: LOCAL.FLAGS_B, value: carries });
    this.emit({ k: 'set', local: LOCAL.FLAGS_A, value: r });
  }
  override flagsAdd(a: E, b: E, r: E, bytes: number = this.size): void {
    if (this.row.mnemonic === 'ADC') this.#computed(() => super.flagsAdd(a, b, r, bytes));
    else this.#setFlags('add', bytes, a, b);
  }
  override flagsSub(a: E, b: E, r: E, bytes: number = this.size): void {
    if (this.row.mnemonic === 'SBB') this.#computed(() => super.flagsSub(a, b, r, bytes));
    else this.#setFlags('sub', bytes, a, b);
  }
  /** Flags that the general formulas give at once. */
  #computed(body: () => void): void {
    if (this.#depth === 0) this.#becomeMaterial();
    body();
  }
  /** What the flags were matters no more: both halves of the interpreter's form are about to be written. */
  #becomeMaterial(): void {
    this.changesFlags = true;
    if (this.#flags === MATERIAL) return;
    this.#flags = MATERIAL;
    this.emit({ k: 'set', local: LOCAL.FLAGS_KIND, value: i32(0) });
  }
  override flagsKeepingCarry(kind: 'add' | 'sub', a: E, b: E, r: E, bytes: number = this.size): void {
    if (this.#depth > 0) super.flagsKeepingCarry(kind, a, b, r, bytes);
    else this.#setFlags(kind === 'add' ? 'inc' : 'dec', bytes, r, this.let(this.cf().u64()));
  }
  override flagsLogic(r: E, bytes: number = this.size): void {
    this.#setFlags('logic', bytes, r, i64(0));
  }
  override flagsResult(r: E, cf: E, of: E, af: E = i32(0), bytes: number = this.size): void {
    this.changesFlags = true;
    if (this.#depth > 0) {
      this.#touchesFlags = true;
      super.flagsResult(r, cf, of, af, bytes);
      return;
    }
    this.#flags = {
      known: 'result',
      bytes,
      result: this.#pin(r),
      cf: this.#pin(cf),
      of: this.#pin(of),
      af: this.#pin(af),
    };
  }

  /** Puts the flags into the three locals, if they are not there. */
  syncFlags(): void {
    const f = this.#flags;
    if (f.known === 'runtime' || (f.known === 'lazy' && f.synced)) return;
    if (f.known === 'result') {
      this.makeMaterial();
      return;
    }
    this.emit({ k: 'set', local: LOCAL.FLAGS_A, value: f.a });
    this.emit({ k: 'set', local: LOCAL.FLAGS_B, value: f.b });
    this.emit({ k: 'set', local: LOCAL.FLAGS_KIND, value: i32(kindNumber(f.kind, f.bytes)) });
    this.#flags = { ...f, synced: true };
  }
  /** As `syncFlags`, in the interpreter's form. */
  makeMaterial(): void {
    const f = this.#flags;
    if (f.known === 'lazy' && f.kind === 'material') return;
    if (f.known === 'runtime') {
      this.emit({
        k: 'if',
        condition: FLAGS_KIND,
        then: [
          { k: 'call', name: 'region_flags', args: [FLAGS_KIND, FLAGS_A, FLAGS_B] },
          { k: 'set', local: LOCAL.FLAGS_A, value: apply('i64.load', [this.cpu], S.FLAG_RESULT) },
          { k: 'set', local: LOCAL.FLAGS_B, value: apply('i64.load', [this.cpu], S.FLAG_CARRIES) },
          { k: 'set', local: LOCAL.FLAGS_KIND, value: i32(0) },
        ],
        else: [],
      });
    } else {
      if (f.known === 'result') {
        const cf = this.let(f.cf.u64());
        const carries = cf.shl(63).or(cf.xor(f.of.u64()).shl(62)).or(f.af.u64().shl(3));
        this.#storeMaterial({ result: f.result.signExtend(f.bytes), carries });
      } else this.#storeMaterial(materialize(this, f.kind, f.bytes, f.a, f.b));
      this.emit({ k: 'set', local: LOCAL.FLAGS_KIND, value: i32(0) });
    }
    this.#flags = MATERIAL;
  }
  /** The flags are about to be read or changed in the interpreter's form. */
  #needMaterial(): void {
    if (this.#depth > 0) this.#touchesFlags = true;
    else this.makeMaterial();
  }

  /** What is known statically, where it may be used: a branch inside an instruction sees the material form. */
  #static(): Flags {
    return this.#depth > 0 ? RUNTIME_FLAGS : this.#flags;
  }
  override cf(): E {
    return this.#bound(this.#carry());
  }
  /** The three locals may be overwritten before the value is used. */
  #bound(e: E): E {
    const f = this.#static();
    return f.known === 'lazy' && f.synced && f.kind !== 'material' ? this.let(e) : e;
  }
  #carry(): E {
    const f = this.#static();
    if (f.known === 'result') return f.cf;
    if (f.known === 'lazy') {
      const narrow = (x: E): E => (f.bytes === 8 ? x : x.wrap().zeroExtend(f.bytes));
      if (f.kind === 'sub') return narrow(f.a).ltU(narrow(f.b));
      if (f.kind === 'add') return narrow(f.a.add(f.b)).ltU(narrow(f.a));
      if (f.kind === 'logic') return i32(0);
      if (f.kind === 'inc' || f.kind === 'dec') return f.b.wrap();
    }
    return super.cf();
  }
  override zf(): E {
    return this.#bound(this.#zero());
  }
  #zero(): E {
    const f = this.#static();
    if (f.known === 'result') return zero(f.result, f.bytes);
    if (f.known === 'lazy') {
      if (f.kind === 'sub') return equal(f.a, f.b, f.bytes);
      if (f.kind === 'add') return zero(f.a.add(f.b), f.bytes);
      if (f.kind !== 'material') return zero(f.a, f.bytes);
    }
    return super.zf();
  }
  override sf(): E {
    return this.#bound(this.#sign());
  }
  #sign(): E {
    const f = this.#static();
    if (f.known === 'result') return negative(f.result, f.bytes);
    if (f.known === 'lazy') {
      if (f.kind === 'sub') return negative(f.a.sub(f.b), f.bytes);
      if (f.kind === 'add') return negative(f.a.add(f.b), f.bytes);
      if (f.kind !== 'material') return negative(f.a, f.bytes);
    }
    return super.sf();
  }
  override of(): E {
    const f = this.#static();
    if (f.known === 'result') return f.of;
    if (f.known === 'lazy' && f.kind === 'logic') return i32(0);
    return super.of();
  }
  override condition(cc: number): E {
    const base = this.#comparison(cc >> 1);
    if (base === null) return super.condition(cc);
    return this.#bound((cc & 1) === 0 ? base : invert(base));
  }
  #comparison(pair: number): E | null {
    const f = this.#static();
    if (f.known !== 'lazy') return null;
    const { kind, bytes } = f;
    if (kind === 'sub') {
      const signed = (x: E): E => (bytes === 8 ? x : x.wrap().signExtend(bytes));
      const unsigned = (x: E): E => (bytes === 8 ? x : x.wrap().zeroExtend(bytes));
      if (pair === 1) return unsigned(f.a).ltU(unsigned(f.b));
      if (pair === 2) return equal(f.a, f.b, bytes);
      if (pair === 3) return unsigned(f.a).leU(unsigned(f.b));
      if (pair === 6) return signed(f.a).ltS(signed(f.b));
      if (pair === 7) return signed(f.a).leS(signed(f.b));
    }
    if (kind === 'logic') {
      if (pair === 3) return zero(f.a, bytes);
      if (pair === 6) return negative(f.a, bytes);
      if (pair === 7) {
        const v = bytes === 8 ? f.a : f.a.wrap().signExtend(bytes);
        return v.leS(0);
      }
    }
    if (pair === 2) return this.zf();
    return null;
  }
}

const ARITHMETIC = [...'oszapc'];
/** Does an instruction write all arithmetic flags, whatever they were? */
function overwritesFlags({ flags }: Row): boolean {
  return (
    ARITHMETIC.every((f) => flags.written.includes(f) || flags.undefined.includes(f)) &&
    !ARITHMETIC.some((f) => flags.read.includes(f))
  );
}

function zero(x: E, bytes: number): E {
  return bytes === 8 ? x.eqz() : x.wrap().zeroExtend(bytes).eqz();
}
function equal(a: E, b: E, bytes: number): E {
  if (bytes === 8) return a.eq(b);
  return a.wrap().zeroExtend(bytes).eq(b.wrap().zeroExtend(bytes));
}
function negative(x: E, bytes: number): E {
  return bytes === 8 ? x.ltS(0) : x.wrap().signExtend(bytes).ltS(0);
}
const INVERSE: ReadonlyMap<WasmOp, WasmOp> = new Map(
  ['lt_u ge_u', 'le_u gt_u', 'lt_s ge_s', 'le_s gt_s', 'eq ne'].flatMap((pair) =>
    ['i32', 'i64'].map((ty) => {
      const [op, inverse] = pair.split(' ').map((name) => wasmOp(`${ty}.${name}`));
      return [op, inverse] as [WasmOp, WasmOp];
    }),
  ),
);
/** The opposite of a comparison, for i32 0/1. */
function invert(e: E): E {
  const inverse = e.instruction === null ? undefined : INVERSE.get(e.instruction);
  return inverse === undefined ? e.eqz() : new E(inverse.name, 'i32', e.args, 0, inverse);
}

/** Offsets of state that lives in locals. */
function refuseShadowed(offset: number): void {
  const gpr = offset >= S.GPR && offset < S.GPR + 128;
  const xmm = offset >= S.XMM && offset < S.XMM + 256;
  const flags = offset >= S.FLAG_RESULT && offset < S.FLAG_CARRIES + 8;
  if (gpr || xmm || flags || offset === S.RIP || offset === S.BLOCK_RIP || offset === S.BUDGET)
    throw new NotTranslatable();
}
