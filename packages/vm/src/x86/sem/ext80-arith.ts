/** Addition, multiplication, division, square root and comparison of 80-bit values. */
import { type B, type Definition, define } from '../block.ts';
import { apply, call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import {
  BIAS,
  bind,
  type Ext,
  exponent,
  FSW_BIT,
  INTEGER_BIT,
  isDenormal,
  isInfinity,
  isNan,
  isSignaling,
  isUnsupported,
  isZero,
  normalise,
  RC,
  RC_MASK,
  returnExt,
  returnInvalid,
  sign,
  signal,
  signalDenormals,
} from './ext80.ts';

/**
 * Result of a two-operand operation with a NaN or unsupported operand (SDM volume 1, tables 4-7 and 8-10): the
 * quiet NaN, or the one with the larger significand, or the positive one.
 */
const nan = define('ext80_nan', ['i64', 'i32', 'i64', 'i32'], 'i64', (b, sa, ea, sb, eb) => {
  const x = { sig: sa, se: ea };
  const y = { sig: sb, se: eb };
  b.if(isUnsupported(x).or(isUnsupported(y)), () => returnInvalid(b));
  const sx = b.let(isSignaling(x));
  const sy = b.let(isSignaling(y));
  b.if(sx.or(sy), () => signal(b, FSW_BIT.IE));
  const larger = b.let(
    select(sa.eq(sb), ea.ltU(eb), sa.and(0x3fffffffffffffffn).gtU(sb.and(0x3fffffffffffffffn))),
  );
  const both = isNan(x).and(isNan(y));
  const first = b.let(select(both, select(sx.eq(sy), larger, sy), isNan(x)));
  returnExt(b, select(first, sa, sb).or(3n << 62n), select(first, ea, eb));
});

/** The one-operand case: quiets a NaN, or gives the default NaN for an unsupported value. */
const nan1 = define('ext80_nan1', ['i64', 'i32'], 'i64', (b, sa, ea) => {
  const x = { sig: sa, se: ea };
  b.if(isUnsupported(x), () => returnInvalid(b));
  b.if(isSignaling(x), () => signal(b, FSW_BIT.IE));
  returnExt(b, sa.or(3n << 62n), ea);
});

/** Returns the result of ext80_nan if either operand is a NaN or unsupported. */
function returnIfNan(b: B, x: Ext, y: Ext): void {
  b.if(isUnsupported(x).or(isUnsupported(y)).or(isNan(x)).or(isNan(y)), () =>
    b.return(call('ext80_nan', 'i64', x.sig, x.se, y.sig, y.se)),
  );
}
/** Returns the quieted operand if it is a NaN or unsupported. */
export function returnIfNan1(b: B, x: Ext): void {
  b.if(isUnsupported(x).or(isNan(x)), () => b.return(call('ext80_nan1', 'i64', x.sig, x.se)));
}

/** a + b, or a − b when `negate` is 0x8000. */
const add = define(
  'ext80_add',
  ['i64', 'i32', 'i64', 'i32', 'i32', 'i32'],
  'i64',
  (b, sa, ea, sb, eb0, negate, control) => {
    const x = { sig: sa, se: ea };
    returnIfNan(b, x, { sig: sb, se: eb0 });
    const y = bind(b, sb, eb0.xor(negate));
    const opposite = b.let(sign(x).ne(sign(y)));
    b.if(isInfinity(x).and(isInfinity(y)).and(opposite), () => returnInvalid(b));
    signalDenormals(b, x, y);
    b.if(isInfinity(x), () => returnExt(b, x.sig, x.se));
    b.if(isInfinity(y), () => returnExt(b, y.sig, y.se));
    const e1 = b.let(select(exponent(x).eq(0), i32(1), exponent(x)));
    const e2 = b.let(select(exponent(y).eq(0), i32(1), exponent(y)));
    const swap = b.let(select(e1.eq(e2), sa.ltU(sb), e1.ltS(e2)));
    const big = bind(b, select(swap, sb, sa), select(swap, y.se, x.se));
    const e = b.let(select(swap, e2, e1));
    const distance = b.let(select(swap, e2.sub(e1), e1.sub(e2)));
    const small = b.let(call('u128_shift_jam', 'i64', select(swap, sa, sb), i64(0), distance));
    const low = b.state64(S.X87_LOW);
    const negative = b.let(sign(big));
    b.if(opposite.eqz(), () => {
      const sum = b.let(big.sig.add(small));
      b.if(sum.ltU(small), () => {
        const lost = low.and(1).or(low.shrU(1));
        b.return(
          call(
            'ext80_round',
            'i64',
            negative,
            e.add(1),
            sum.shrU(1).or(INTEGER_BIT),
            sum.shl(63).or(lost),
            control,
          ),
        );
      });
      b.if(sum.or(low).eqz(), () => returnExt(b, 0n, negative.shl(15)));
      b.return(call('ext80_normalise_round', 'i64', negative, e, sum, low, control));
    });
    const high = b.let(big.sig.sub(small).sub(low.ne(0).u64()));
    b.if(high.or(low).eqz(), () =>
      returnExt(b, 0n, select(control.and(RC_MASK).eq(RC.DOWN), i32(0x8000), i32(0))),
    );
    b.return(call('ext80_normalise_round', 'i64', negative, e, high, low.neg(), control));
  },
);

const mul = define('ext80_mul', ['i64', 'i32', 'i64', 'i32', 'i32'], 'i64', (b, sa, ea, sb, eb, control) => {
  const x = { sig: sa, se: ea };
  const y = { sig: sb, se: eb };
  returnIfNan(b, x, y);
  const s = b.let(ea.xor(eb).and(0x8000));
  b.if(isInfinity(x).or(isInfinity(y)), () => {
    b.if(isZero(x).or(isZero(y)), () => returnInvalid(b));
    signalDenormals(b, x, y);
    returnExt(b, INTEGER_BIT, s.or(0x7fff));
  });
  signalDenormals(b, x, y);
  b.if(isZero(x).or(isZero(y)), () => returnExt(b, 0n, s));
  const p = normalise(b, x);
  const q = normalise(b, y);
  const high = b.var('i64', call('mul_high_u', 'i64', p.sig, q.sig));
  const low = b.var('i64', p.sig.mul(q.sig));
  const e = b.var('i32', p.exponent.add(q.exponent).sub(BIAS - 1));
  b.if(high.get().geS(0), () => {
    high.set(high.get().shl(1).or(low.get().shrU(63)));
    low.set(low.get().shl(1));
    e.set(e.get().sub(1));
  });
  b.return(call('ext80_round', 'i64', s.ne(0), e.get(), high.get(), low.get(), control));
});

const div = define('ext80_div', ['i64', 'i32', 'i64', 'i32', 'i32'], 'i64', (b, sa, ea, sb, eb, control) => {
  const x = { sig: sa, se: ea };
  const y = { sig: sb, se: eb };
  returnIfNan(b, x, y);
  const s = b.let(ea.xor(eb).and(0x8000));
  b.if(isInfinity(x), () => {
    b.if(isInfinity(y), () => returnInvalid(b));
    signalDenormals(b, x, y);
    returnExt(b, INTEGER_BIT, s.or(0x7fff));
  });
  b.if(isZero(y), () => {
    b.if(isZero(x), () => returnInvalid(b));
    signal(b, FSW_BIT.ZE);
    returnExt(b, INTEGER_BIT, s.or(0x7fff));
  });
  signalDenormals(b, x, y);
  b.if(isInfinity(y).or(isZero(x)), () => returnExt(b, 0n, s));
  const p = normalise(b, x);
  const q = normalise(b, y);
  const big = b.let(p.sig.geU(q.sig));
  const n = b.let(big.u64());
  const quotient = b.let(call('u128_div', 'i64', p.sig.shrU(n), p.sig.shl(63).and(n.neg()), q.sig));
  const rest = b.state64(S.X87_LOW);
  const complement = b.let(q.sig.sub(rest));
  const half = b.let(rest.geU(complement));
  const sticky = select(half, rest.ne(complement), rest.ne(0));
  b.return(
    call(
      'ext80_round',
      'i64',
      s.ne(0),
      p.exponent.sub(q.exponent).add(i32(BIAS - 1).add(big)),
      quotient,
      half.u64().shl(63).or(sticky.u64()),
      control,
    ),
  );
});

/** floor(sqrt(high:low)) for high ≥ 2^62; the remainder is N − r². */
function squareRoot(b: B, high: E, low: E): { root: E; remainderHigh: E; remainder: E } {
  const estimate = b.let(
    apply('i64.trunc_sat_f64_u', [
      apply('f64.mul', [apply('f64.sqrt', [apply('f64.convert_i64_u', [high])]), 4294967296]),
    ]),
  );
  const quotient = b.let(
    select(
      high.geU(estimate),
      i64(-1),
      call('u128_div', 'i64', select(high.geU(estimate), i64(0), high), low, estimate),
    ),
  );
  // one Newton step doubles the 53 bits; then at most a few units are missing
  const root = b.var('i64', estimate.shrU(1).add(quotient.shrU(1)).add(estimate.and(quotient).and(1)));
  const squareHigh = b.var('i64');
  const squareLow = b.var('i64');
  b.loop(() => {
    squareHigh.set(call('mul_high_u', 'i64', root.get(), root.get()));
    squareLow.set(root.get().mul(root.get()));
    const tooBig = squareHigh
      .get()
      .gtU(high)
      .or(squareHigh.get().eq(high).and(squareLow.get().gtU(low)));
    b.if(tooBig.eqz(), () => b.break());
    root.set(root.get().sub(1));
  });
  const remHigh = b.var('i64');
  const rem = b.var('i64');
  b.loop(() => {
    rem.set(low.sub(squareLow.get()));
    remHigh.set(high.sub(squareHigh.get()).sub(low.ltU(squareLow.get()).u64()));
    // (r + 1)² ≤ N  ⇔  N − r² ≥ 2r + 1
    const twice = root.get().shl(1).or(1);
    const twiceHigh = root.get().shrU(63);
    const fits = remHigh
      .get()
      .gtU(twiceHigh)
      .or(remHigh.get().eq(twiceHigh).and(rem.get().geU(twice)));
    b.if(fits.eqz(), () => b.break());
    root.set(root.get().add(1));
    squareHigh.set(call('mul_high_u', 'i64', root.get(), root.get()));
    squareLow.set(root.get().mul(root.get()));
  });
  return { root: root.get(), remainderHigh: remHigh.get(), remainder: rem.get() };
}

const sqrt = define('ext80_sqrt', ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
  const x = { sig: sa, se: ea };
  returnIfNan1(b, x);
  b.if(isZero(x), () => returnExt(b, sa, ea));
  b.if(sign(x), () => returnInvalid(b));
  b.if(isInfinity(x), () => returnExt(b, sa, ea));
  signalDenormals(b, x);
  const p = normalise(b, x);
  const unbiased = b.let(p.exponent.sub(BIAS));
  const odd = b.let(unbiased.and(1));
  const high = b.let(select(odd, p.sig, p.sig.shrU(1)));
  const low = b.let(select(odd, i64(0), p.sig.shl(63)));
  const { root, remainderHigh, remainder } = squareRoot(b, high, low);
  const half = remainderHigh.ne(0).or(remainder.gtU(root));
  const sticky = remainderHigh.or(remainder).ne(0);
  b.return(
    call(
      'ext80_round',
      'i64',
      i32(0),
      unbiased.shrS(1).add(BIAS),
      root,
      half.u64().shl(63).or(sticky.u64()),
      control,
    ),
  );
});

/**
 * Compares a with b: 0 = a > b, C0 = a < b, C3 = equal, C3|C2|C0 = unordered.
 * @param quiet only signaling NaNs are invalid (FUCOM)
 */
const compare = define(
  'ext80_compare',
  ['i64', 'i32', 'i64', 'i32', 'i32'],
  'i32',
  (b, sa, ea, sb, eb, quiet) => {
    const x = { sig: sa, se: ea };
    const y = { sig: sb, se: eb };
    const unsupported = b.let(isUnsupported(x).or(isUnsupported(y)));
    b.if(unsupported.or(isNan(x)).or(isNan(y)), () => {
      const invalid = quiet.eqz().or(unsupported).or(isSignaling(x)).or(isSignaling(y));
      b.if(invalid, () => signal(b, FSW_BIT.IE));
      b.return(i32(FSW_BIT.C3 | FSW_BIT.C2 | FSW_BIT.C0));
    });
    signalDenormals(b, x, y);
    b.if(sa.or(sb).eqz(), () => b.return(i32(FSW_BIT.C3)));
    b.if(sign(x).ne(sign(y)), () => b.return(select(sign(x), i32(FSW_BIT.C0), i32(0))));
    const e1 = b.let(select(isDenormal(x), i32(1), exponent(x)));
    const e2 = b.let(select(isDenormal(y), i32(1), exponent(y)));
    const equal = e1.eq(e2).and(sa.eq(sb));
    b.if(equal, () => b.return(i32(FSW_BIT.C3)));
    const less = b.let(select(e1.eq(e2), sa.ltU(sb), e1.ltU(e2)));
    b.return(select(less.xor(sign(x)), i32(FSW_BIT.C0), i32(0)));
  },
);

/** ModR/M.reg of D8, DC and DE: 0 ADD 1 MUL 4 SUB 5 SUBR 6 DIV 7 DIVR. */
const operation = define(
  'ext80_operation',
  ['i32', 'i64', 'i32', 'i64', 'i32', 'i32'],
  'i64',
  (b, op, sa, ea, sb, eb, control) => {
    b.if(op.eq(0), () => b.return(call('ext80_add', 'i64', sa, ea, sb, eb, i32(0), control)));
    b.if(op.eq(1), () => b.return(call('ext80_mul', 'i64', sa, ea, sb, eb, control)));
    b.if(op.eq(4), () => b.return(call('ext80_add', 'i64', sa, ea, sb, eb, i32(0x8000), control)));
    b.if(op.eq(5), () => b.return(call('ext80_add', 'i64', sb, eb, sa, ea, i32(0x8000), control)));
    b.if(op.eq(6), () => b.return(call('ext80_div', 'i64', sa, ea, sb, eb, control)));
    b.return(call('ext80_div', 'i64', sb, eb, sa, ea, control));
  },
);

export const EXT80_ARITH: readonly Definition[] = [nan, nan1, add, mul, div, sqrt, compare, operation];
