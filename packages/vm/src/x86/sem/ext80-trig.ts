/**
 * FSIN, FCOS, FPTAN. Arguments are reduced with the 66-bit value of π that the hardware uses (SDM volume 1,
 * 8.3.8), exactly; then Taylor series in 128 bits.
 */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import {
  BIAS,
  type Ext,
  exponent,
  FSW_BIT,
  isSpecial,
  isZero,
  normalise,
  PC_EXTENDED,
  returnExt,
  returnInvalid,
  sign,
  signalDenormals,
} from './ext80.ts';
import { returnIfNan1 } from './ext80-arith.ts';
import {
  callNumber,
  divideNumbers,
  fixed127,
  lessWide,
  multiply,
  normaliseWide,
  polynomial,
  returnNumber,
  shiftRight,
  subtractWide,
  type Wide,
  type WideNumber,
  wideConstant,
} from './ext80-wide.ts';

/** π/2 as the hardware has it, Q1.127. */
const HALF_PI = 0xc90fdaa22168c234cn << 60n;

function factorial(n: number): bigint {
  return n < 2 ? 1n : BigInt(n) * factorial(n - 1);
}
const SINE = Array.from({ length: 14 }, (_, k) => fixed127(1n, factorial(2 * k + 1)));
const COSINE = Array.from({ length: 14 }, (_, k) => fixed127(1n, factorial(2 * k)));

/** Square of r < 1 in Q0.128. */
function square(b: B, r: WideNumber): Wide {
  const product = multiply(b, r, r);
  // Q2.126 at twice the exponent; r < π/4 has an exponent of −1 or less
  return shiftRight(b, product, b.let(i32(-2).sub(r.exponent.shl(1))));
}
function parameters(high: E, low: E, exponentOf: E): WideNumber {
  return { high, low, exponent: exponentOf };
}

/** sin r, 0 < r ≤ π/4, normalised. */
const sine = define('wide_sin', ['i64', 'i64', 'i32'], 'i64', (b, high, low, e) => {
  const r = parameters(high, low, e);
  const p = polynomial(b, square(b, r), SINE, i32(1));
  const product = multiply(b, r, p);
  returnNumber(b, normaliseWide(b, product, b.let(e.add(1))));
});
/** cos r, 0 < r ≤ π/4, normalised. */
const cosine = define('wide_cos', ['i64', 'i64', 'i32'], 'i64', (b, high, low, e) => {
  const p = polynomial(b, square(b, parameters(high, low, e)), COSINE, i32(1));
  returnNumber(b, normaliseWide(b, p, 0));
});

/**
 * |x| modulo π/2, brought to [0, π/4]: r normalised; X87_QUOTIENT = number of quarter turns, X87_SIGN = 1 when
 * r counts downwards.
 */
const reduce = define('trig_reduce', ['i64', 'i32'], 'i64', (b, sig, e) => {
  b.setState32(S.X87_QUOTIENT, 0);
  b.setState32(S.X87_SIGN, 0);
  const pi = wideConstant(HALF_PI);
  b.if(e.ltS(-1).or(e.eq(-1).and(sig.leU(pi.high))), () =>
    returnNumber(b, { high: sig, low: i64(0), exponent: e }),
  );
  const below = b.let(e.ltS(0));
  const rest = {
    high: b.var('i64', select(below, sig.shrU(1), sig)),
    low: b.var('i64', select(below, sig.shl(63), i64(0))),
  };
  const current = (): Wide => ({ high: rest.high.get(), low: rest.low.get() });
  const set = (r: Wide): void => {
    rest.high.set(r.high);
    rest.low.set(r.low);
  };
  const steps = b.var('i32', select(below, i32(0), e));
  const q = b.var('i32', 0);
  const carry = b.var('i64', 0n);
  b.loop(() => {
    q.set(q.get().shl(1));
    b.if(carry.get().wrap().or(lessWide(current(), pi).eqz()), () => {
      set(subtractWide(b, current(), pi));
      q.set(q.get().or(1));
    });
    b.if(steps.get().eqz(), () => b.break());
    steps.set(steps.get().sub(1));
    carry.set(rest.high.get().shrU(63));
    rest.high.set(rest.high.get().shl(1).or(rest.low.get().shrU(63)));
    rest.low.set(rest.low.get().shl(1));
  });
  b.if(lessWide(wideConstant(HALF_PI >> 1n), current()), () => {
    set(subtractWide(b, pi, current()));
    q.set(q.get().add(1));
    b.setState32(S.X87_SIGN, 1);
  });
  b.setState32(S.X87_QUOTIENT, q.get());
  returnNumber(b, normaliseWide(b, current(), 0));
});

/** Returns for operands that need no computation; C2 = out of range is the caller's. */
function specialCases(b: B, x: Ext, ofZero: () => void): void {
  returnIfNan1(b, x);
  b.if(isSpecial(x), () => returnInvalid(b));
  b.if(isZero(x), ofZero);
  signalDenormals(b, x);
}
interface Reduced {
  readonly r: WideNumber;
  readonly quarter: E;
  readonly negative: E;
}
function reduced(b: B, x: Ext): Reduced {
  const p = normalise(b, x);
  const r = callNumber(b, 'trig_reduce', p.sig, p.exponent.sub(BIAS));
  return { r, quarter: b.state32(S.X87_QUOTIENT), negative: b.state32(S.X87_SIGN) };
}
/** Rounds a result that cannot be exact. */
export function returnInexact(b: B, negative: E, x: WideNumber, control: E): void {
  b.return(
    call('ext80_round', 'i64', negative, x.exponent.add(BIAS), x.high, x.low.or(1), control.or(PC_EXTENDED)),
  );
}
function choose(b: B, swap: E, r: WideNumber, a: string, other: string): WideNumber {
  const result = { high: b.var('i64'), low: b.var('i64'), exponent: b.var('i32') };
  const set = (n: WideNumber): void => {
    result.high.set(n.high);
    result.low.set(n.low);
    result.exponent.set(n.exponent);
  };
  b.if(
    swap,
    () => set(callNumber(b, other, r.high, r.low, r.exponent)),
    () => set(callNumber(b, a, r.high, r.low, r.exponent)),
  );
  return { high: result.high.get(), low: result.low.get(), exponent: result.exponent.get() };
}

const sin = define('ext80_sin', ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
  const x = { sig: sa, se: ea };
  specialCases(b, x, () => returnExt(b, sa, ea));
  const { r, quarter, negative } = reduced(b, x);
  const swap = b.let(quarter.and(1));
  const value = choose(b, swap, r, 'wide_sin', 'wide_cos');
  // cos is even, so a downward r only counts for sin
  const s = sign(x)
    .xor(quarter.shrU(1).and(1))
    .xor(select(swap, i32(0), negative));
  returnInexact(b, b.let(s), value, control);
});

const cos = define('ext80_cos', ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
  const x = { sig: sa, se: ea };
  specialCases(b, x, () => returnExt(b, 1n << 63n, BIAS));
  const { r, quarter, negative } = reduced(b, x);
  const swap = b.let(quarter.and(1));
  const value = choose(b, swap, r, 'wide_cos', 'wide_sin');
  const s = quarter
    .shrU(1)
    .and(1)
    .xor(select(swap, negative.xor(1), i32(0)));
  returnInexact(b, b.let(s), value, control);
});

const tan = define('ext80_tan', ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
  const x = { sig: sa, se: ea };
  specialCases(b, x, () => returnExt(b, sa, ea));
  const { r, quarter, negative } = reduced(b, x);
  const swap = b.let(quarter.and(1));
  const above = choose(b, swap, r, 'wide_sin', 'wide_cos');
  const below = choose(b, swap, r, 'wide_cos', 'wide_sin');
  const value = divideNumbers(b, above, below);
  returnInexact(b, b.let(sign(x).xor(negative).xor(swap)), value, control);
});

/** |x| ≥ 2^63, finite: the instruction sets C2 and does nothing else. */
export function outOfRange(x: Ext): E {
  return exponent(x)
    .geS(BIAS + 63)
    .and(isSpecial(x).eqz())
    .and(x.sig.ltS(0));
}
export const OUT_OF_RANGE: number = FSW_BIT.C2;

export const EXT80_TRIG: readonly Definition[] = [sine, cosine, reduce, sin, cos, tan];
