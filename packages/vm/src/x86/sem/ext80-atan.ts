/** FPATAN: reduction by arctan(k/8), then the series in 128 bits. */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import {
  isInfinity,
  isNan,
  isUnsupported,
  isZero,
  normalise,
  returnExt,
  sign,
  signalDenormals,
} from './ext80.ts';
import { arctanEighths, PI_126 } from './ext80-constants.ts';
import { returnInexact } from './ext80-trig.ts';
import {
  addWide,
  callNumber,
  divideNumbers,
  fixed127,
  lessWide,
  multiply,
  normaliseWide,
  polynomial,
  returnNumber,
  selectWide,
  shiftRight,
  subtractWide,
  type WideNumber,
  wideConstant,
} from './ext80-wide.ts';

const SERIES = Array.from({ length: 13 }, (_, k) => fixed127(1n, BigInt(2 * k + 1)));

/** arctan of a normalised number up to 1/16. */
const small = define('wide_atan_small', ['i64', 'i64', 'i32'], 'i64', (b, high, low, e) => {
  const u = { high, low, exponent: e };
  const z = shiftRight(b, multiply(b, u, u), b.let(i32(-2).sub(e.shl(1))));
  const series = polynomial(b, z, SERIES, i32(1));
  returnNumber(b, normaliseWide(b, multiply(b, u, series), b.let(e.add(1))));
});

/** arctan of a normalised number up to 1. */
const arctan = define('wide_atan', ['i64', 'i64', 'i32'], 'i64', (b, high, low, e) => {
  b.if(e.ltS(-4), () => b.return(call('wide_atan_small', 'i64', high, low, e)));
  const t = shiftRight(b, { high, low }, b.let(e.neg()));
  const k = b.let(t.high.shrU(59).add(1).shrU(1));
  const base = { high: b.let(k.shl(60)), low: i64(0) };
  const table = { high: b.var('i64', 0n), low: b.var('i64', 0n) };
  for (let n = 1; n <= 8; n++) {
    const value = wideConstant(arctanEighths(n));
    b.if(k.eq(n), () => {
      table.high.set(value.high);
      table.low.set(value.low);
    });
  }
  const origin = { high: table.high.get(), low: table.low.get() };
  const downwards = b.let(lessWide(t, base));
  const distance = selectWide(b, downwards, subtractWide(b, base, t), subtractWide(b, t, base));
  b.if(distance.high.or(distance.low).eqz(), () => returnNumber(b, normaliseWide(b, origin, 0)));
  // (t − k/8) / (1 + t k/8), the denominator in Q2.126
  const denominator = addWide(b, multiply(b, t, base), wideConstant(1n << 126n));
  const u = divideNumbers(b, normaliseWide(b, distance, 0), normaliseWide(b, denominator, 1));
  const a = callNumber(b, 'wide_atan_small', u.high, u.low, u.exponent);
  const fixed = shiftRight(b, a, b.let(a.exponent.neg()));
  const angle = selectWide(b, downwards, subtractWide(b, origin, fixed), addWide(b, origin, fixed));
  returnNumber(b, normaliseWide(b, angle, 0));
});

function returnConstant(b: B, negative: E, value: bigint, control: E): void {
  returnInexact(b, negative, normaliseWide(b, wideConstant(value), 1), control);
}

/** The angle of the point (a, b): arctan(b / a) in the right quadrant. */
const patan = define(
  'ext80_patan',
  ['i64', 'i32', 'i64', 'i32', 'i32'],
  'i64',
  (b, sa, ea, sb, eb, control) => {
    const x = { sig: sa, se: ea };
    const y = { sig: sb, se: eb };
    b.if(isUnsupported(x).or(isUnsupported(y)).or(isNan(x)).or(isNan(y)), () =>
      b.return(call('ext80_nan', 'i64', sa, ea, sb, eb)),
    );
    signalDenormals(b, x, y);
    const s = b.let(sign(y));
    b.if(isInfinity(x).and(isInfinity(y)), () => {
      b.if(sign(x), () => returnConstant(b, s, (3n * PI_126) >> 2n, control));
      returnConstant(b, s, PI_126 >> 2n, control);
    });
    b.if(isZero(y).or(isInfinity(x)), () => {
      b.if(sign(x), () => returnConstant(b, s, PI_126, control));
      returnExt(b, 0n, eb.and(0x8000));
    });
    b.if(isZero(x).or(isInfinity(y)), () => returnConstant(b, s, PI_126 >> 1n, control));
    const p = normalise(b, x);
    const q = normalise(b, y);
    const steep = b.let(select(p.exponent.eq(q.exponent), q.sig.gtU(p.sig), q.exponent.gtS(p.exponent)));
    const xn: WideNumber = { high: p.sig, low: i64(0), exponent: p.exponent };
    const yn: WideNumber = { high: q.sig, low: i64(0), exponent: q.exponent };
    const pick = (c: E, a: WideNumber, d: WideNumber): WideNumber => ({
      ...selectWide(b, c, a, d),
      exponent: b.let(select(c, a.exponent, d.exponent)),
    });
    const t = divideNumbers(b, pick(steep, xn, yn), pick(steep, yn, xn));
    const a = callNumber(b, 'wide_atan', t.high, t.low, t.exponent);
    b.if(sign(x).or(steep).eqz(), () => returnInexact(b, s, a, control));
    const fixed = shiftRight(b, a, b.let(i32(1).sub(a.exponent)));
    const from = selectWide(b, steep, wideConstant(PI_126 >> 1n), wideConstant(PI_126));
    // π/2 + a only for a steep line to the left
    const sum = selectWide(b, steep.and(sign(x)), addWide(b, from, fixed), subtractWide(b, from, fixed));
    returnInexact(b, s, normaliseWide(b, sum, 1), control);
  },
);

export const EXT80_ATAN: readonly Definition[] = [small, arctan, patan];
