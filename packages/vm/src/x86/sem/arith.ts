/** Integer arithmetic, logic and comparison (SDM volume 1, 7.3). */
import { call, type E, i32, i64, type Ops, select, VECTOR } from '../ops.ts';
import * as S from '../state.ts';

export function add(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  const r = o.let(a.add(b));
  o.set(0, r);
  o.flagsAdd(a, b, r);
}
export function adc(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  const r = o.let(a.add(b).add(o.cf().u64()));
  o.set(0, r);
  o.flagsAdd(a, b, r);
}
export function sub(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  const r = o.let(a.sub(b));
  o.set(0, r);
  o.flagsSub(a, b, r);
}
export function sbb(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  const r = o.let(a.sub(b).sub(o.cf().u64()));
  o.set(0, r);
  o.flagsSub(a, b, r);
}
export function cmp(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  o.flagsSub(a, b, o.let(a.sub(b)));
}
function logic(o: Ops, r: E): void {
  const result = o.let(r);
  o.set(0, result);
  o.flagsLogic(result);
}
export function and(o: Ops): void {
  logic(o, o.get(0).and(o.get(1)));
}
export function or(o: Ops): void {
  logic(o, o.get(0).or(o.get(1)));
}
export function xor(o: Ops): void {
  logic(o, o.get(0).xor(o.get(1)));
}
export function test(o: Ops): void {
  o.flagsLogic(o.let(o.get(0).and(o.get(1))));
}
export function not(o: Ops): void {
  o.set(0, o.get(0).not());
}
export function neg(o: Ops): void {
  const a = o.get(0);
  const r = o.let(i64(0).sub(a));
  o.set(0, r);
  o.flagsSub(i64(0), a, r);
}
export function inc(o: Ops): void {
  const a = o.get(0);
  const r = o.let(a.add(1));
  o.set(0, r);
  o.flagsKeepingCarry('add', a, i64(1), r);
}
export function dec(o: Ops): void {
  const a = o.get(0);
  const r = o.let(a.sub(1));
  o.set(0, r);
  o.flagsKeepingCarry('sub', a, i64(1), r);
}

// ---- multiplication and division ----

/** MUL: CF = OF = the upper half is not zero. */
export function mul(o: Ops): void {
  const { size } = o;
  const a = o.reg(0, size);
  const b = o.get(0);
  const low = o.let(a.mul(b));
  if (size === 8) {
    const high = o.let(call('mul_high_u', 'i64', a, b));
    o.setReg(0, low);
    o.setReg(2, high);
    productFlags(o, low, high.ne(0));
    return;
  }
  const high = o.let(low.shrU(size * 8));
  if (size === 1) o.setReg(0, low, 2);
  else {
    o.setReg(0, low, size);
    o.setReg(2, high, size);
  }
  productFlags(o, low, high.ne(0));
}

/** IMUL with one operand. */
export function imul1(o: Ops): void {
  const { size } = o;
  const a = o.let(o.reg(0, size).signExtend(size));
  const b = o.let(o.get(0).signExtend(size));
  const low = o.let(a.mul(b));
  if (size === 8) {
    const high = o.let(call('mul_high_s', 'i64', a, b));
    o.setReg(0, low);
    o.setReg(2, high);
    productFlags(o, low, high.ne(low.shrS(63)));
    return;
  }
  if (size === 1) o.setReg(0, low, 2);
  else {
    o.setReg(0, low, size);
    o.setReg(2, low.shrS(size * 8), size);
  }
  productFlags(o, low, low.ne(low.signExtend(size)));
}

/** IMUL with two or three operands. */
export function imul(o: Ops): void {
  const { size } = o;
  const three = o.row.operands.length === 3;
  const a = o.let(o.get(three ? 1 : 0).signExtend(size));
  const b = o.let(o.get(three ? 2 : 1).signExtend(size));
  const low = o.let(a.mul(b));
  o.set(0, low);
  productFlags(
    o,
    low,
    size === 8 ? call('mul_high_s', 'i64', a, b).ne(low.shrS(63)) : low.ne(low.signExtend(size)),
  );
}

function productFlags(o: Ops, low: E, overflow: E): void {
  const v = o.let(overflow);
  o.flagsResult(low, v, v);
}

export function div(o: Ops): void {
  const { size } = o;
  const d = o.get(0);
  o.raiseIf(d.eqz(), VECTOR.DE);
  if (size === 8) {
    const high = o.reg(2);
    o.raiseIf(high.geU(d), VECTOR.DE);
    const low = o.reg(0);
    const q = o.let(call('div128', 'i64', high, low, d));
    o.setReg(0, q);
    o.setReg(2, low.sub(q.mul(d)));
    return;
  }
  const n = dividend(o);
  const q = o.let(n.divU(d));
  o.raiseIf(q.gtU((1n << BigInt(size * 8)) - 1n), VECTOR.DE);
  quotient(o, q, o.let(n.remU(d)));
}

export function idiv(o: Ops): void {
  const { size } = o;
  const d = o.let(o.get(0).signExtend(size));
  o.raiseIf(d.eqz(), VECTOR.DE);
  if (size === 8) {
    const high = o.reg(2);
    const low = o.reg(0);
    const negative = o.let(high.ltS(0));
    // magnitude of the 128-bit dividend
    const absLow = o.let(select(negative, i64(0).sub(low), low));
    const absHigh = o.let(select(negative, i64(0).sub(high).sub(low.ne(0).u64()), high));
    const divisor = o.let(select(d.ltS(0), i64(0).sub(d), d));
    o.raiseIf(absHigh.geU(divisor), VECTOR.DE);
    const q = o.let(call('div128', 'i64', absHigh, absLow, divisor));
    const minus = o.let(negative.xor(d.ltS(0)));
    o.raiseIf(q.gtU(i64(0x7fffffffffffffffn).add(minus.u64())), VECTOR.DE);
    const r = o.let(absLow.sub(q.mul(divisor)));
    o.setReg(0, select(minus, i64(0).sub(q), q));
    o.setReg(2, select(negative, i64(0).sub(r), r));
    return;
  }
  const n = o.let(dividend(o).signExtend(size === 4 ? 8 : size * 2));
  // −2^63 / −1 traps in WebAssembly; it overflows here anyway
  o.raiseIf(n.eq(-(1n << 63n)).and(d.eq(-1)), VECTOR.DE);
  const q = o.let(n.divS(d));
  o.raiseIf(q.ne(q.signExtend(size)), VECTOR.DE);
  quotient(o, q, o.let(n.remS(d)));
}

/** AX, DX:AX or EDX:EAX, zero-extended. */
function dividend(o: Ops): E {
  if (o.size === 1) return o.reg(0, 2);
  return o.let(
    o
      .reg(2, o.size)
      .shl(o.size * 8)
      .or(o.reg(0, o.size)),
  );
}
function quotient(o: Ops, q: E, r: E): void {
  if (o.size === 1) o.setReg(0, q.zeroExtend(1).or(r.zeroExtend(1).shl(8)), 2);
  else {
    o.setReg(0, q, o.size);
    o.setReg(2, r, o.size);
  }
}

// ---- decimal adjustments (not in 64-bit mode) ----

/** DAA and DAS. */
export function decimalAdjust(kind: 'add' | 'sub'): (o: Ops) => void {
  return (o) => {
    const al = o.reg(0, 1);
    const cf = o.let(o.cf());
    const low = o.let(al.and(15).gtU(9).or(o.af()));
    const high = o.let(al.gtU(0x99).or(cf));
    const borrow = o.let(kind === 'add' ? i32(0) : low.and(al.ltU(6)));
    const six = o.let(select(low, i64(6), i64(0)).add(select(high, i64(0x60), i64(0))));
    const r = o.let(kind === 'add' ? al.add(six) : al.sub(six));
    o.setReg(0, r, 1);
    o.flagsResult(r, high.or(borrow), i32(0), low, 1);
  };
}

/** AAA and AAS. */
export function asciiAdjust(kind: 'add' | 'sub'): (o: Ops) => void {
  return (o) => {
    const ax = o.reg(0, 2);
    const adjust = o.let(ax.and(15).gtU(9).or(o.af()));
    const changed = kind === 'add' ? ax.add(0x106) : ax.sub(0x106);
    const r = o.let(select(adjust, changed, ax).and(0xff0f));
    o.setReg(0, r, 2);
    o.flagsResult(r, adjust, i32(0), adjust, 1);
  };
}

export function aam(o: Ops): void {
  const base = o.let(o.get(0).zeroExtend(1));
  o.raiseIf(base.eqz(), VECTOR.DE);
  const al = o.reg(0, 1);
  const r = o.let(al.remU(base));
  o.setReg(0, al.divU(base).shl(8).or(r), 2);
  o.flagsLogic(r, 1);
}
export function aad(o: Ops): void {
  const r = o.let(o.reg(0, 2).shrU(8).mul(o.get(0).zeroExtend(1)).add(o.reg(0, 1)).zeroExtend(1));
  o.setReg(0, r, 2);
  o.flagsLogic(r, 1);
}

// ---- flags ----

export function setCarry(o: Ops, cf: E): void {
  const c = o.let(cf.u64());
  const of = o.let(o.of().u64());
  const kept = o.state64(S.FLAG_CARRIES).and(0x3fffffffffffffffn);
  o.setState64(S.FLAG_CARRIES, kept.or(c.shl(63)).or(c.xor(of).shl(62)));
}
export function clc(o: Ops): void {
  setCarry(o, i32(0));
}
export function stc(o: Ops): void {
  setCarry(o, i32(1));
}
export function cmc(o: Ops): void {
  setCarry(o, o.cf().xor(1));
}
export function cld(o: Ops): void {
  o.setState64(S.RFLAGS_SYSTEM, o.state64(S.RFLAGS_SYSTEM).and(~S.FLAG.DF));
}
export function std(o: Ops): void {
  o.setState64(S.RFLAGS_SYSTEM, o.state64(S.RFLAGS_SYSTEM).or(S.FLAG.DF));
}
export function lahf(o: Ops): void {
  const flags = o.arithmeticFlags().and(0xd5).or(2);
  o.setReg(0, o.reg(0, 2).and(0xff).or(flags.shl(8)), 2);
}
export function sahf(o: Ops): void {
  const of = o.let(o.of().u64());
  o.setArithmeticFlags(o.reg(0, 2).shrU(8).and(0xd5).or(of.shl(11)));
}
/** SALC: AL = CF ? FF : 0, in no manual but in every CPU. */
export function salc(o: Ops): void {
  o.setReg(0, i64(0).sub(o.cf().u64()), 1);
}
