/** F2XM1, FYL2X, FYL2XP1 by series in 128 bits. */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import {
  BIAS,
  exponent,
  FSW_BIT,
  INTEGER_BIT,
  isInfinity,
  isNan,
  isSpecial,
  isUnsupported,
  isZero,
  normalise,
  returnExt,
  returnInvalid,
  sign,
  signal,
  signalDenormals,
} from './ext80.ts';
import { returnIfNan1 } from './ext80-arith.ts';
import { LN2_128, LOG2_E_127 } from './ext80-constants.ts';
import { returnInexact } from './ext80-trig.ts';
import {
  addWide,
  callNumber,
  divideNumbers,
  fixed127,
  multiply,
  multiplyNumbers,
  normaliseWide,
  polynomial,
  returnNumber,
  selectWide,
  shiftRight,
  subtractWide,
  type WideNumber,
  wideConstant,
} from './ext80-wide.ts';

function factorial(n: number): bigint {
  return n < 2 ? 1n : BigInt(n) * factorial(n - 1);
}
/** (e^y − 1) / y. */
const EXPONENTIAL = Array.from({ length: 27 }, (_, k) => fixed127(1n, factorial(k + 1)));
/** artanh(s) / s in powers of s². */
const ARTANH = Array.from({ length: 22 }, (_, k) => fixed127(1n, BigInt(2 * k + 1)));

const f2xm1 = define('ext80_2xm1', ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
  const x = { sig: sa, se: ea };
  returnIfNan1(b, x);
  b.if(isZero(x), () => returnExt(b, sa, ea));
  b.if(isSpecial(x), () => returnExt(b, INTEGER_BIT, select(sign(x), i32(0x8000 | BIAS), i32(0x7fff))));
  signalDenormals(b, x);
  b.if(exponent(x).geS(BIAS), () => {
    // outside of −1 to 1 the operand stays; 2^−1 − 1 is exact
    signal(b, FSW_BIT.PE);
    const minusOne = sign(x).and(exponent(x).eq(BIAS)).and(sa.eq(INTEGER_BIT));
    returnExt(b, sa, ea.sub(minusOne));
  });
  const p = normalise(b, x);
  const ln2 = { ...wideConstant(LN2_128), exponent: i32(-1) };
  const y = multiplyNumbers(b, { high: p.sig, low: i64(0), exponent: b.let(p.exponent.sub(BIAS)) }, ln2);
  const fixed = shiftRight(b, y, b.let(i32(-1).sub(y.exponent)));
  const series = polynomial(b, fixed, EXPONENTIAL, b.let(sign(x)));
  const value = normaliseWide(b, multiply(b, y, series), b.let(y.exponent.add(1)));
  returnInexact(b, sign(x), value, control);
});

/** 2 / ln 2 × artanh(s) for a normalised |s| < 0.18. */
const artanh = define('wide_artanh2', ['i64', 'i64', 'i32'], 'i64', (b, high, low, e) => {
  const s = { high, low, exponent: e };
  const z = shiftRight(b, multiply(b, s, s), b.let(i32(-2).sub(e.shl(1))));
  const series = polynomial(b, z, ARTANH, i32(0));
  const product = normaliseWide(b, multiply(b, s, series), b.let(e.add(1)));
  returnNumber(b, multiplyNumbers(b, product, { ...wideConstant(LOG2_E_127), exponent: i32(1) }));
});

const SQRT2 = 0xb504f333f9de6484n;

/**
 * |log2 m| of a normalised m ≠ 1; X87_SIGN = 1 when it is negative. m = f × 2^n with f in √½ … √2, and
 * log2 f = 2 / ln 2 × artanh((f − 1) / (f + 1)).
 */
const log2 = define('wide_log2', ['i64', 'i64', 'i32'], 'i64', (b, high, low, e) => {
  const upper = b.let(high.gtU(SQRT2));
  const n = b.let(e.add(upper));
  // |f − 1| and f + 1 in units of 2^−127 or, above √2, 2^−128
  const zero = { high: i64(0), low: i64(0) };
  const one = { high: i64(INTEGER_BIT), low: i64(0) };
  const m = { high, low };
  const above = normaliseWide(b, selectWide(b, upper, subtractWide(b, zero, m), subtractWide(b, m, one)), 0);
  const sumHigh = b.let(select(upper, high, high.sub(INTEGER_BIT)));
  const below: WideNumber = {
    high: b.let(sumHigh.shrU(1).or(INTEGER_BIT)),
    low: b.let(sumHigh.shl(63).or(low.shrU(1))),
    exponent: i32(1),
  };
  const exact = b.let(above.high.eqz());
  const fraction = { high: b.var('i64', 0n), low: b.var('i64', 0n), exponent: b.var('i32', 0) };
  b.if(exact.eqz(), () => {
    const s = divideNumbers(b, above, below);
    const r = callNumber(b, 'wide_artanh2', s.high, s.low, s.exponent);
    fraction.high.set(r.high);
    fraction.low.set(r.low);
    fraction.exponent.set(r.exponent);
  });
  const part: WideNumber = {
    high: fraction.high.get(),
    low: fraction.low.get(),
    exponent: fraction.exponent.get(),
  };
  b.if(n.eqz(), () => {
    b.setState32(S.X87_SIGN, upper);
    returnNumber(b, part);
  });
  const negative = b.let(n.ltS(0));
  b.setState32(S.X87_SIGN, negative);
  const whole = normaliseWide(b, { high: b.let(select(negative, n.neg(), n).u64()), low: i64(0) }, 63);
  b.if(exact, () => returnNumber(b, whole));
  const aligned = shiftRight(b, part, b.let(whole.exponent.sub(part.exponent)));
  const total = selectWide(
    b,
    upper.eq(negative),
    addWide(b, whole, aligned),
    subtractWide(b, whole, aligned),
  );
  returnNumber(b, normaliseWide(b, total, whole.exponent));
});

/** y × a wide logarithm whose sign is in X87_SIGN. */
function returnTimes(b: B, y: { exponent: E; sig: E }, ySign: E, logarithm: WideNumber, control: E): void {
  const negative = b.let(b.state32(S.X87_SIGN).xor(ySign));
  const factor = { high: y.sig, low: i64(0), exponent: b.let(y.exponent.sub(BIAS)) };
  returnInexact(b, negative, multiplyNumbers(b, factor, logarithm), control);
}

/** b × log2(a). */
const yl2x = define(
  'ext80_yl2x',
  ['i64', 'i32', 'i64', 'i32', 'i32'],
  'i64',
  (b, sa, ea, sb, eb, control) => {
    const x = { sig: sa, se: ea };
    const y = { sig: sb, se: eb };
    b.if(isUnsupported(x).or(isUnsupported(y)).or(isNan(x)).or(isNan(y)), () =>
      b.return(call('ext80_nan', 'i64', sa, ea, sb, eb)),
    );
    const ySign = b.let(eb.and(0x8000));
    b.if(isZero(x), () => {
      b.if(isZero(y), () => returnInvalid(b));
      b.if(isInfinity(y).eqz(), () => signal(b, FSW_BIT.ZE));
      returnExt(b, INTEGER_BIT, ySign.xor(0xffff));
    });
    b.if(sign(x), () => returnInvalid(b));
    const isOne = b.let(ea.eq(BIAS).and(sa.eq(INTEGER_BIT)));
    b.if(
      isInfinity(y)
        .and(isOne)
        .or(isInfinity(x).and(isZero(y))),
      () => returnInvalid(b),
    );
    signalDenormals(b, x, y);
    const lessThanOne = b.let(ea.ltS(BIAS));
    const s = b.let(ySign.xor(lessThanOne.shl(15)));
    b.if(isInfinity(x).or(isInfinity(y)), () => returnExt(b, INTEGER_BIT, s.or(0x7fff)));
    b.if(isOne.or(isZero(y)), () => returnExt(b, 0n, s));
    const p = normalise(b, x);
    const logarithm = callNumber(b, 'wide_log2', p.sig, i64(0), p.exponent.sub(BIAS));
    returnTimes(b, normalise(b, y), sign(y), logarithm, control);
  },
);

/** b × log2(a + 1). */
const yl2xp1 = define(
  'ext80_yl2xp1',
  ['i64', 'i32', 'i64', 'i32', 'i32'],
  'i64',
  (b, sa, ea, sb, eb, control) => {
    const x = { sig: sa, se: ea };
    const y = { sig: sb, se: eb };
    b.if(isUnsupported(x).or(isUnsupported(y)).or(isNan(x)).or(isNan(y)), () =>
      b.return(call('ext80_nan', 'i64', sa, ea, sb, eb)),
    );
    const s = b.let(ea.xor(eb).and(0x8000));
    const negativeInfinity = isInfinity(x).and(sign(x));
    const undetermined = isZero(x)
      .and(isInfinity(y))
      .or(isInfinity(x).and(isZero(y)));
    b.if(negativeInfinity.or(undetermined), () => returnInvalid(b));
    signalDenormals(b, x, y);
    b.if(isInfinity(x).or(isInfinity(y)), () => returnExt(b, INTEGER_BIT, s.or(0x7fff)));
    b.if(isZero(x).or(isZero(y)), () => returnExt(b, 0n, s));
    const e = b.let(exponent(x).sub(BIAS));
    b.if(sign(x).and(e.geS(0)), () => {
      // a + 1 ≤ 0 is outside of the instruction's range: the operand stays
      signal(b, FSW_BIT.PE);
      returnExt(b, sa, ea);
    });
    const q = normalise(b, y);
    const p = normalise(b, x);
    const magnitude = { high: p.sig, low: i64(0), exponent: b.let(p.exponent.sub(BIAS)) };
    const one = { high: i64(INTEGER_BIT), low: i64(0) };
    b.if(e.ltS(-2), () => {
      // artanh(x / (2 + x))
      const aligned = shiftRight(b, magnitude, b.let(i32(1).sub(magnitude.exponent)));
      const sum = selectWide(b, sign(x), subtractWide(b, one, aligned), addWide(b, one, aligned));
      const ratio = divideNumbers(b, magnitude, normaliseWide(b, sum, 1));
      const logarithm = callNumber(b, 'wide_artanh2', ratio.high, ratio.low, ratio.exponent);
      b.setState32(S.X87_SIGN, sign(x));
      returnTimes(b, q, sign(y), logarithm, control);
    });
    // 1 + x, halved so that it cannot overflow, at the larger exponent
    const big = b.let(e.geS(0));
    const top = b.let(select(big, e.add(1), i32(1)));
    const a = shiftRight(b, magnitude, b.let(top.sub(e)));
    const c = shiftRight(b, one, top);
    const sum = selectWide(b, sign(x), subtractWide(b, c, a), addWide(b, c, a));
    const m = normaliseWide(b, sum, top);
    const logarithm = callNumber(b, 'wide_log2', m.high, m.low, m.exponent);
    returnTimes(b, q, sign(y), logarithm, control);
  },
);

export const EXT80_LOG: readonly Definition[] = [f2xm1, artanh, log2, yl2x, yl2xp1];
