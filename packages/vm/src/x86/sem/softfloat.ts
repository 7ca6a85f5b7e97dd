/**
 * IEEE 754 binary32 and binary64 on integers, as MXCSR wants it: all rounding modes, flush-to-zero, denormals-are-
 * zero, flags. Values are bit patterns in i64. Exceptions gather in SIMD_FLAGS (MXCSR bits 0–5).
 *
 * Unpacked: exponent as in the format's exponent field (may leave its range), significand with its leading one at
 * bit 62: value = significand · 2^(exponent − bias − 62).
 */
import { type B, define, type Definition, type Var } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';

export interface Format {
  readonly name: 'f32' | 'f64';
  readonly bits: 32 | 64;
  readonly bytes: 4 | 8;
  /** Stored bits of the significand. */
  readonly fraction: number;
  readonly maxExponent: number;
  readonly bias: number;
}
export const F32: Format = { name: 'f32', bits: 32, bytes: 4, fraction: 23, maxExponent: 255, bias: 127 };
export const F64: Format = { name: 'f64', bits: 64, bytes: 8, fraction: 52, maxExponent: 2047, bias: 1023 };
export const FORMATS: readonly Format[] = [F32, F64];

/** Exception flags, MXCSR bits 0–5. */
export const IE = 1;
export const DE = 2;
export const ZE = 4;
export const OE = 8;
export const UE = 16;
export const PE = 32;
export const DAZ = 0x40;
const UNDERFLOW_MASK = 0x800;
const FTZ = 0x8000;

export function signBit(f: Format): bigint {
  return 1n << BigInt(f.bits - 1);
}
export function hidden(f: Format): bigint {
  return 1n << BigInt(f.fraction);
}
export function infinity(f: Format): bigint {
  return BigInt(f.maxExponent) << BigInt(f.fraction);
}
export function quietBit(f: Format): bigint {
  return 1n << BigInt(f.fraction - 1);
}
/** Real indefinite: the quiet NaN that invalid operations give. */
export function indefinite(f: Format): bigint {
  return signBit(f) | infinity(f) | quietBit(f);
}

export function raiseFlags(b: B, flags: number | E): void {
  b.setState32(S.SIMD_FLAGS, b.state32(S.SIMD_FLAGS).or(flags));
}
export function magnitude(f: Format, x: E): E {
  return x.and(signBit(f) - 1n);
}
export function signOf(f: Format, x: E): E {
  return x.and(signBit(f));
}
export function isNan(f: Format, x: E): E {
  return magnitude(f, x).gtU(infinity(f));
}
export function isSignaling(f: Format, x: E): E {
  return isNan(f, x).and(x.and(quietBit(f)).eqz());
}
export function isDenormal(f: Format, x: E): E {
  return magnitude(f, x)
    .sub(1)
    .ltU(hidden(f) - 1n);
}
export function isZero(f: Format, x: E): E {
  return magnitude(f, x).eqz();
}
/** MXCSR.RC: 0 nearest, 1 down, 2 up, 3 toward zero. */
export function roundingControl(b: B): E {
  return b.let(b.state32(S.MXCSR).shrU(13).and(3));
}

/** Zero of the same sign for a denormal under DAZ; otherwise the value, with DE raised for a denormal. */
export function denormalOperand(b: B, f: Format, x: E): E {
  const v = b.var('i64', x);
  b.if(isDenormal(f, x), () => {
    b.if(
      b.state32(S.MXCSR).and(DAZ),
      () => v.set(signOf(f, x)),
      () => raiseFlags(b, DE),
    );
  });
  return v.get();
}

export interface Unpacked {
  /** Sign in the format's sign bit. */
  readonly sign: E;
  readonly exponent: Var;
  /** Leading one at bit 62, or 0. */
  readonly significand: Var;
}
/** Takes a finite value apart. */
export function unpack(b: B, f: Format, x: E): Unpacked {
  const exponent = b.var('i32', x.shrU(f.fraction).wrap().and(f.maxExponent));
  const fraction = b.let(x.and(hidden(f) - 1n));
  const significand = b.var('i64');
  b.if(
    exponent.get(),
    () => significand.set(fraction.or(hidden(f)).shl(62 - f.fraction)),
    () => {
      significand.set(0);
      b.if(fraction.ne(0), () => {
        const shift = b.let(fraction.clz().sub(1));
        significand.set(fraction.shl(shift));
        exponent.set(i32(63 - f.fraction).sub(shift.wrap()));
      });
    },
  );
  return { sign: b.let(signOf(f, x)), exponent, significand };
}

/** x >> n with every lost bit ORed into bit 0; n ≥ 0, i32. */
export function shiftRightSticky(b: B, x: E, n: E): E {
  const count = b.let(n.u64());
  const lost = x.shl(i64(0).sub(count).and(63)).ne(0);
  const shifted = x.shrU(count).or(lost.u64());
  const within = b.let(select(count.eqz(), x, shifted));
  return b.let(select(count.ltU(64), within, x.ne(0).u64()));
}

/**
 * Rounds and packs: (sign bit in place, exponent, significand with its leading one at bit 62) → bits.
 * Tininess is detected after rounding (SDM volume 1, section 4.9.1.5).
 */
function defineRound(f: Format): Definition {
  const shift = 62 - f.fraction;
  const mask = (1n << BigInt(shift)) - 1n;
  const half = 1n << BigInt(shift - 1);
  return define(`sf.round.${f.name}`, ['i64', 'i32', 'i64'], 'i64', (b, sign, exponent0, significand0) => {
    const mxcsr = b.state32(S.MXCSR);
    const rc = b.let(mxcsr.shrU(13).and(3));
    const exponent = b.var('i32', exponent0);
    const significand = b.var('i64', significand0);
    const negative = b.let(sign.ne(0));
    // away from zero: down for negative, up for positive
    const away = rc.eq(select(negative, i32(1), i32(2)));
    const directed = select(away, i64(mask), i64(0));
    const increment = b.let(select(rc.eqz(), i64(half), directed));
    b.if(exponent.get().leS(0), () => {
      const tiny = b.let(exponent.get().ltS(0).or(significand.get().add(increment).geS(0)));
      b.if(tiny, () => {
        b.if(mxcsr.and(UNDERFLOW_MASK).eqz(), () => {
          raiseFlags(b, select(significand.get().and(mask).ne(0), i32(UE | PE), i32(UE)));
          b.return(sign);
        });
        b.if(mxcsr.and(FTZ), () => {
          raiseFlags(b, UE | PE);
          b.return(sign);
        });
      });
      significand.set(shiftRightSticky(b, significand.get(), i32(1).sub(exponent.get())));
      exponent.set(1);
      // below, one is taken off the exponent for the leading one, which a denormal lacks
      b.if(significand.get().and(mask).ne(0).and(tiny), () => raiseFlags(b, UE));
    });
    const inexact = b.let(significand.get().and(mask));
    const rounded = b.var('i64', significand.get().add(increment).shrU(shift));
    b.if(inexact.eq(half).and(rc.eqz()), () => rounded.set(rounded.get().and(-2)));
    const packed = b.var('i64', exponent.get().sub(1).u64().shl(f.fraction).add(rounded.get()));
    b.if(
      exponent
        .get()
        .geS(f.maxExponent)
        .or(packed.get().geU(infinity(f))),
      () => {
        raiseFlags(
          b,
          select(b.state32(S.MXCSR).and(0x400), i32(OE | PE), select(inexact.ne(0), i32(OE | PE), i32(OE))),
        );
        const toInfinity = rc.eqz().or(away);
        b.return(sign.or(select(toInfinity, i64(infinity(f)), i64(infinity(f) - 1n))));
      },
    );
    b.if(inexact.ne(0), () => raiseFlags(b, PE));
    b.return(sign.or(packed.get()));
  });
}

/** Calls `sf.round`. */
export function roundPack(f: Format, sign: E, exponent: E, significand: E): E {
  return call(`sf.round.${f.name}`, 'i64', sign, exponent, significand);
}

/** SIMD_FLAGS → MXCSR, and SIMD_TRAP when one of them is unmasked (SDM volume 1, section 11.5.3). */
const COMMIT: Definition = define('sf.commit', [], null, (b) => {
  const flags = b.let(b.state32(S.SIMD_FLAGS));
  const mxcsr = b.let(b.state32(S.MXCSR));
  const unmasked = b.let(flags.and(mxcsr.shrU(7).xor(-1)).and(0x3f));
  const before = b.let(unmasked.and(IE | DE | ZE));
  b.setState32(S.MXCSR, mxcsr.or(select(before, flags.and(IE | DE | ZE), flags)));
  b.setState32(S.SIMD_TRAP, 0);
  b.if(unmasked, () => {
    // without CR4.OSXMMEXCPT it is #UD
    b.setState32(S.SIMD_TRAP, select(b.state32(S.CR4).and(0x400), i32(19), i32(6)));
  });
});

/** Starts gathering exceptions. */
export function beginFlags(b: B): void {
  b.setState32(S.SIMD_FLAGS, 0);
}
export function commitFlags(b: B): void {
  b.callVoid('sf.commit');
}

export const SOFTFLOAT_DEFINITIONS: readonly Definition[] = [...FORMATS.map(defineRound), COMMIT];
