/**
 * 128-bit arithmetic for the transcendental functions. A wide value is a pair of i64 halves read as a fraction:
 * Q0.128 (value / 2^128) or Q1.127 (value / 2^127); a function returns the high half and leaves the low one in
 * X87_LOW. A normalised wide number has bit 127 set and its exponent in X87_EXPONENT.
 */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';

export interface Wide {
  readonly high: E;
  readonly low: E;
}
export interface WideNumber extends Wide {
  /** Exponent of bit 127, i32. */
  readonly exponent: E;
}

/** A constant numerator / denominator as a wide value with `fractionBits` below its binary point. */
export function wideConstant(value: bigint): Wide {
  return { high: i64(value >> 64n), low: i64(value & 0xffffffffffffffffn) };
}
export function callWide(b: B, name: string, ...args: E[]): Wide {
  const high = b.let(call(name, 'i64', ...args));
  return { high, low: b.state64(S.X87_LOW) };
}
export function callNumber(b: B, name: string, ...args: E[]): WideNumber {
  return { ...callWide(b, name, ...args), exponent: b.state32(S.X87_EXPONENT) };
}
/** High half of the 256-bit product. */
export function multiply(b: B, x: Wide, y: Wide): Wide {
  return callWide(b, 'u128_mul_high', x.high, x.low, y.high, y.low);
}
export function addWide(b: B, x: Wide, y: Wide): Wide {
  const low = b.let(x.low.add(y.low));
  return { high: b.let(x.high.add(y.high).add(low.ltU(y.low).u64())), low };
}
export function subtractWide(b: B, x: Wide, y: Wide): Wide {
  const high = b.let(x.high.sub(y.high).sub(x.low.ltU(y.low).u64()));
  return { high, low: b.let(x.low.sub(y.low)) };
}
/** x < y, i32. */
export function lessWide(x: Wide, y: Wide): E {
  return select(x.high.eq(y.high), x.low.ltU(y.low), x.high.ltU(y.high));
}
export function selectWide(b: B, condition: E, x: Wide, y: Wide): Wide {
  const c = b.let(condition);
  return { high: b.let(select(c, x.high, y.high)), low: b.let(select(c, x.low, y.low)) };
}
export function shiftRight(b: B, x: Wide, count: E): Wide {
  return callWide(b, 'u128_shift_jam', x.high, x.low, count);
}
/** Doubles `x`. */
export function twice(b: B, x: Wide): Wide {
  return { high: b.let(x.high.shl(1).or(x.low.shrU(63))), low: b.let(x.low.shl(1)) };
}
/** Normalises `x`, whose bit 127 has exponent `exponent`. */
export function normaliseWide(b: B, x: Wide, exponent: E | number): WideNumber {
  return callNumber(b, 'wide_normalise', x.high, x.low, i32(exponent));
}
/** Product of two normalised numbers. */
export function multiplyNumbers(b: B, x: WideNumber, y: WideNumber): WideNumber {
  const p = multiply(b, x, y);
  return normaliseWide(b, p, b.let(x.exponent.add(y.exponent).add(1)));
}
/** Quotient of two normalised numbers. */
export function divideNumbers(b: B, x: WideNumber, y: WideNumber): WideNumber {
  const q = callNumber(b, 'wide_div', x.high, x.low, y.high, y.low);
  return { high: q.high, low: q.low, exponent: b.let(q.exponent.add(x.exponent).sub(y.exponent)) };
}
export function returnNumber(b: B, x: WideNumber): void {
  b.setState64(S.X87_LOW, x.low);
  b.setState32(S.X87_EXPONENT, x.exponent);
  b.return(x.high);
}

/**
 * c0 ± z (c1 ± z (c2 …)) in Q1.127 by Horner's rule.
 * @param z Q0.128
 * @param subtracts i32: every second term is subtracted
 */
export function polynomial(b: B, z: Wide, coefficients: readonly bigint[], subtracts: E): Wide {
  const constants = coefficients.map(wideConstant);
  const accumulator = { high: b.var('i64'), low: b.var('i64') };
  const last = constants.at(-1) as Wide;
  accumulator.high.set(last.high);
  accumulator.low.set(last.low);
  for (const c of constants.slice(0, -1).reverse()) {
    const term = multiply(b, { high: accumulator.high.get(), low: accumulator.low.get() }, z);
    const set = (r: Wide): void => {
      accumulator.high.set(r.high);
      accumulator.low.set(r.low);
    };
    if (subtracts.op === 'const') set(subtracts.imm === 0 ? addWide(b, c, term) : subtractWide(b, c, term));
    else
      b.if(
        subtracts,
        () => set(subtractWide(b, c, term)),
        () => set(addWide(b, c, term)),
      );
  }
  return { high: b.let(accumulator.high.get()), low: b.let(accumulator.low.get()) };
}
/** numerator / denominator in Q1.127. */
export function fixed127(numerator: bigint, denominator: bigint): bigint {
  return ((numerator << 128n) / denominator + 1n) >> 1n;
}

const mulHigh = define('u128_mul_high', ['i64', 'i64', 'i64', 'i64'], 'i64', (b, xh, xl, yh, yl) => {
  const cross1 = b.let(call('mul_high_u', 'i64', xh, yl));
  const cross2 = b.let(call('mul_high_u', 'i64', xl, yh));
  const low0 = b.let(xh.mul(yh));
  // carries out of the word below: products' low halves
  const a = b.let(xh.mul(yl));
  const below = b.let(a.add(xl.mul(yh)));
  const sum1 = b.let(low0.add(cross1));
  const sum2 = b.let(sum1.add(cross2));
  const sum3 = b.let(sum2.add(below.ltU(a).u64()));
  const carry = sum1.ltU(low0).u64().add(sum2.ltU(sum1).u64()).add(sum3.ltU(sum2).u64());
  const high = b.let(call('mul_high_u', 'i64', xh, yh).add(carry));
  b.setState64(S.X87_LOW, sum3);
  b.return(high);
});

const normalise = define('wide_normalise', ['i64', 'i64', 'i32'], 'i64', (b, high, low, exponent) => {
  const h = b.var('i64', high);
  const l = b.var('i64', low);
  const e = b.var('i32', exponent);
  b.if(high.eqz(), () => {
    h.set(low);
    l.set(0n);
    e.set(exponent.sub(64));
  });
  const n = b.let(h.get().clz());
  b.if(n.ne(0), () => {
    h.set(
      h
        .get()
        .shl(n)
        .or(l.get().shrU(i64(64).sub(n))),
    );
    l.set(l.get().shl(n));
    e.set(e.get().sub(n.wrap()));
  });
  b.setState64(S.X87_LOW, l.get());
  b.setState32(S.X87_EXPONENT, e.get());
  b.return(h.get());
});

/** Quotient of two values with bit 127 set, normalised: exponent 0 or −1. One bit a step. */
const divide = define('wide_div', ['i64', 'i64', 'i64', 'i64'], 'i64', (b, xh, xl, yh, yl) => {
  const rest = { high: b.var('i64', xh), low: b.var('i64', xl) };
  const q = { high: b.var('i64', 0n), low: b.var('i64', 0n) };
  const carry = b.var('i64', 0n);
  const n = b.var('i32', 0);
  const y = { high: yh, low: yl };
  b.loop(() => {
    q.high.set(q.high.get().shl(1).or(q.low.get().shrU(63)));
    q.low.set(q.low.get().shl(1));
    const r = { high: rest.high.get(), low: rest.low.get() };
    b.if(carry.get().wrap().or(lessWide(r, y).eqz()), () => {
      const difference = subtractWide(b, r, y);
      rest.high.set(difference.high);
      rest.low.set(difference.low);
      q.low.set(q.low.get().or(1));
    });
    n.set(n.get().add(1));
    b.if(n.get().eq(128), () => b.break());
    carry.set(rest.high.get().shrU(63));
    rest.high.set(rest.high.get().shl(1).or(rest.low.get().shrU(63)));
    rest.low.set(rest.low.get().shl(1));
  });
  b.return(call('wide_normalise', 'i64', q.high.get(), q.low.get(), i32(0)));
});

export const EXT80_WIDE: readonly Definition[] = [mulHigh, normalise, divide];
