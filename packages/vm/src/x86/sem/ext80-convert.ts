/** Conversions between 80-bit values and single, double, integer, packed decimal; rounding to an integer. */
import { type B, type Definition, define } from '../block.ts';
import { call, E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import {
  BIAS,
  type Ext,
  exponent,
  FSW_BIT,
  INTEGER_BIT,
  isDenormal,
  isInfinity,
  isNan,
  isSpecial,
  isUnsupported,
  isZero,
  normalise,
  RC,
  RC_MASK,
  returnExt,
  sign,
  signal,
} from './ext80.ts';
import { returnIfNan1 } from './ext80-arith.ts';
import { roundsUp } from './ext80-round.ts';

interface Format {
  readonly fraction: number;
  readonly exponentBits: number;
}
const SINGLE: Format = { fraction: 23, exponentBits: 8 };
const DOUBLE: Format = { fraction: 52, exponentBits: 11 };

/** Widens without signaling: a signaling NaN stays one; a denormal leaves DE in X87_DENORMAL. */
function widen(name: string, f: Format): Definition {
  const maximum = 2 ** f.exponentBits - 1;
  const bias = maximum >> 1;
  return define(name, ['i64'], 'i64', (b, bits) => {
    const s = b.let(
      bits
        .shrU(f.fraction + f.exponentBits)
        .wrap()
        .and(1)
        .shl(15),
    );
    const e = b.let(bits.shrU(f.fraction).wrap().and(maximum));
    const fraction = b.let(bits.shl(63 - f.fraction).and(INTEGER_BIT - 1n));
    b.if(e.eqz(), () => {
      b.if(fraction.eqz(), () => returnExt(b, 0n, s));
      b.setState32(S.X87_DENORMAL, FSW_BIT.DE);
      const n = b.let(fraction.clz());
      returnExt(b, fraction.shl(n), s.or(i32(BIAS - bias + 1).sub(n.wrap())));
    });
    returnExt(b, fraction.or(INTEGER_BIT), s.or(select(e.eq(maximum), i32(0x7fff), e.add(BIAS - bias))));
  });
}

/** Narrows under RC to the bits of a single or double; signals IE, OE, UE, PE, C1. */
function narrow(name: string, f: Format): Definition {
  const maximum = 2 ** f.exponentBits - 1;
  const bias = maximum >> 1;
  const drop = 63 - f.fraction;
  const unit = 1n << BigInt(drop);
  const infinity = BigInt(maximum) << BigInt(f.fraction);
  return define(name, ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
    const x = { sig: sa, se: ea };
    const s = b.let(
      sign(x)
        .u64()
        .shl(f.fraction + f.exponentBits),
    );
    const quiet = 1n << BigInt(f.fraction - 1);
    b.if(isUnsupported(x), () => {
      signal(b, FSW_BIT.IE);
      b.return(i64((1n << BigInt(f.fraction + f.exponentBits)) | infinity | quiet));
    });
    b.if(isNan(x), () => {
      b.if(sa.and(1n << 62n).eqz(), () => signal(b, FSW_BIT.IE));
      const fraction = sa.shrU(drop).and((1n << BigInt(f.fraction)) - 1n);
      b.return(s.or(infinity | quiet).or(fraction));
    });
    b.if(isInfinity(x), () => b.return(s.or(infinity)));
    b.if(isZero(x), () => b.return(s));
    const p = normalise(b, x);
    const e = b.let(p.exponent.sub(BIAS - bias));
    const odd = (kept: E): E => kept.and(unit).ne(0);
    // rounded as if the exponent were unbounded: decides tininess and overflow
    const kept = b.let(p.sig.and(-unit));
    const fraction = b.let(p.sig.shl(64 - drop));
    const up = roundsUp(b, control, sign(x), odd(kept), fraction);
    const carries = b.let(up.and(kept.add(unit).eqz()));
    b.if(e.leS(0), () => {
      const tiny = b.let(e.ltS(0).or(carries.eqz()));
      const high = b.let(call('u128_shift_jam', 'i64', p.sig, i64(0), i32(1).sub(e)));
      const low = b.state64(S.X87_LOW);
      const kept2 = b.let(high.and(-unit));
      const fraction2 = b.let(high.shl(64 - drop).or(low.ne(0).u64()));
      const up2 = roundsUp(b, control, sign(x), odd(kept2), fraction2);
      const inexact = b.let(fraction2.ne(0));
      // an unmasked underflow is signaled for exact tiny results too
      const underflow = tiny.and(inexact.or(control.and(FSW_BIT.UE).eqz()));
      signal(
        b,
        select(inexact, i32(FSW_BIT.PE), i32(0))
          .or(select(underflow, i32(FSW_BIT.UE), i32(0)))
          .or(up2.shl(9)),
      );
      b.return(s.or(kept2.shrU(drop).add(up2.u64())));
    });
    const e2 = b.let(e.add(carries));
    b.if(e2.geS(maximum), () => {
      const rc = b.let(control.and(RC_MASK));
      const infinite = b.let(rc.eq(RC.NEAREST).or(select(sign(x), rc.eq(RC.DOWN), rc.eq(RC.UP))));
      signal(b, i32(FSW_BIT.OE | FSW_BIT.PE).or(infinite.shl(9)));
      b.return(s.or(i64(infinity).sub(infinite.eqz().u64())));
    });
    b.if(fraction.ne(0), () => signal(b, i32(FSW_BIT.PE).or(up.shl(9))));
    // the integer bit adds one to the exponent field
    b.return(s.or(e.sub(1).u64().shl(f.fraction).add(kept.shrU(drop)).add(up.u64())));
  });
}

const fromInteger = define('ext80_from_int', ['i64'], 'i64', (b, value) => {
  b.if(value.eqz(), () => returnExt(b, 0n, 0));
  const negative = b.let(value.ltS(0));
  const magnitude = b.let(select(negative, value.neg(), value));
  const n = b.let(magnitude.clz());
  returnExt(b, magnitude.shl(n), negative.shl(15).or(i32(BIAS + 63).sub(n.wrap())));
});

/** Magnitude of a finite value rounded to an integer (must be below 2^64), with PE and C1 signaled. */
function roundMagnitude(b: B, x: Ext, control: E): E {
  const n = b.let(i32(BIAS + 63).sub(exponent(x)));
  const high = b.let(call('u128_shift_jam', 'i64', x.sig, i64(0), n));
  const low = b.state64(S.X87_LOW);
  const up = roundsUp(b, control, sign(x), high.wrap().and(1), low);
  b.if(low.ne(0), () => signal(b, i32(FSW_BIT.PE).or(up.shl(9))));
  return b.let(high.add(up.u64()));
}

/** Rounds to a signed integer of `bits` (16, 32, 64) under RC; out of range: IE and the integer indefinite. */
const toInteger = define('ext80_to_int', ['i64', 'i32', 'i32', 'i32'], 'i64', (b, sa, ea, control, bits) => {
  const x = { sig: sa, se: ea };
  const minimum = b.let(i64(1).shl(bits.sub(1).u64()));
  const invalid = (): void => {
    b.setState32(S.X87_EXCEPTIONS, FSW_BIT.IE);
    b.return(minimum.neg());
  };
  b.if(
    isUnsupported(x)
      .or(isSpecial(x))
      .or(exponent(x).gtS(BIAS + 63)),
    invalid,
  );
  b.if(isZero(x), () => b.return(i64(0)));
  const magnitude = roundMagnitude(b, x, control);
  const limit = select(sign(x), minimum, minimum.sub(1));
  // 2^64 wraps to zero
  b.if(magnitude.gtU(limit).or(magnitude.eqz().and(exponent(x).eq(BIAS + 63))), invalid);
  b.return(select(sign(x), magnitude.neg(), magnitude));
});

/** FRNDINT. */
const roundToInteger = define('ext80_rint', ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
  const x = { sig: sa, se: ea };
  returnIfNan1(b, x);
  b.if(
    exponent(x)
      .geS(BIAS + 63)
      .or(isZero(x)),
    () => returnExt(b, sa, ea),
  );
  b.if(isDenormal(x), () => signal(b, FSW_BIT.DE));
  const magnitude = roundMagnitude(b, x, control);
  const s = b.let(ea.and(0x8000));
  b.if(magnitude.eqz(), () => returnExt(b, 0n, s));
  const n = b.let(magnitude.clz());
  returnExt(b, magnitude.shl(n), s.or(i32(BIAS + 63).sub(n.wrap())));
});

/** Integer below 10^18 → 18 packed digits: the low 16 in X87_LOW, the upper two returned. */
function packDigits(b: B, value: E): { low: E; high: E } {
  const rest = b.var('i64', value);
  const low = b.var('i64', 0n);
  const place = b.var('i64', 0n);
  b.loop(() => {
    b.if(place.get().eq(64), () => b.break());
    const quotient = b.let(rest.get().divU(10));
    low.set(low.get().or(rest.get().sub(quotient.mul(10)).shl(place.get())));
    rest.set(quotient);
    place.set(place.get().add(4));
  });
  const tens = b.let(rest.get().divU(10));
  return { low: low.get(), high: b.let(tens.shl(4).or(rest.get().sub(tens.mul(10)))) };
}

/** FBSTP: bytes 0–7 to X87_LOW, bytes 8 and 9 returned. */
const toDecimal = define('ext80_to_bcd', ['i64', 'i32', 'i32'], 'i64', (b, sa, ea, control) => {
  const x = { sig: sa, se: ea };
  const invalid = (): void => {
    b.setState32(S.X87_EXCEPTIONS, FSW_BIT.IE);
    b.setState64(S.X87_LOW, 0xc000000000000000n);
    b.return(i64(0xffff));
  };
  b.if(
    isUnsupported(x)
      .or(isSpecial(x))
      .or(exponent(x).gtS(BIAS + 60)),
    invalid,
  );
  const magnitude = b.var('i64', 0n);
  b.if(isZero(x).eqz(), () => magnitude.set(roundMagnitude(b, x, control)));
  b.if(magnitude.get().geU(10n ** 18n), invalid);
  const { low, high } = packDigits(b, magnitude.get());
  b.setState64(S.X87_LOW, low);
  b.return(high.or(sign(x).u64().shl(15)));
});

/** FBLD: bytes 0–7 and 8–9. */
const fromDecimal = define('ext80_from_bcd', ['i64', 'i64'], 'i64', (b, low, high) => {
  const value = b.var('i64', high.shrU(4).and(15).mul(10).add(high.and(15)));
  const place = b.var('i64', 60n);
  b.loop(() => {
    value.set(value.get().mul(10).add(low.shrU(place.get()).and(15)));
    b.if(place.get().eqz(), () => b.break());
    place.set(place.get().sub(4));
  });
  const sig = b.let(call('ext80_from_int', 'i64', value.get()));
  returnExt(b, sig, b.state32(S.X87_SE).or(high.wrap().and(0x8000)));
});

export const EXT80_CONVERT: readonly Definition[] = [
  widen('ext80_from_f32', SINGLE),
  widen('ext80_from_f64', DOUBLE),
  narrow('ext80_to_f32', SINGLE),
  narrow('ext80_to_f64', DOUBLE),
  fromInteger,
  toInteger,
  roundToInteger,
  toDecimal,
  fromDecimal,
];
