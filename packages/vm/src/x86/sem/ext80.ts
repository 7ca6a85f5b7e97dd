/**
 * 80-bit values (SDM volume 1, 4.2.2): a 64-bit significand with its integer bit, and sign (bit 15) with the
 * biased exponent (bits 0–14). Functions on them take significand (i64) and sign-exponent (i32) of each operand.
 */
import type { B } from '../block.ts';
import { call, E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';

/** Bits of FSW; the lower six also mask bits of FCW. */
export const FSW_BIT = {
  IE: 1,
  DE: 2,
  ZE: 4,
  OE: 8,
  UE: 0x10,
  PE: 0x20,
  SF: 0x40,
  ES: 0x80,
  C0: 0x100,
  C1: 0x200,
  C2: 0x400,
  C3: 0x4000,
  B: 0x8000,
} as const;

export const INTEGER_BIT: bigint = 1n << 63n;
export const INDEFINITE_SIG: bigint = 0xc000000000000000n;
export const INDEFINITE_SE = 0xffff;
export const BIAS = 0x3fff;
/** Precision control: 64 bits. */
export const PC_EXTENDED = 0x300;
export const RC = { NEAREST: 0, DOWN: 0x400, UP: 0x800, ZERO: 0xc00 } as const;
export const RC_MASK = 0xc00;

/** An 80-bit value held in two expressions that may be repeated. */
export interface Ext {
  readonly sig: E;
  readonly se: E;
}

export function exponent(x: Ext): E {
  return x.se.and(0x7fff);
}
/** i32 0/1. */
export function sign(x: Ext): E {
  return x.se.shrU(15).and(1);
}
/** Unnormals, pseudo-NaNs, pseudo-infinities: exponent without integer bit. */
export function isUnsupported(x: Ext): E {
  return exponent(x).ne(0).and(x.sig.geS(0));
}
/** NaN or infinity. */
export function isSpecial(x: Ext): E {
  return exponent(x).eq(0x7fff);
}
export function isNan(x: Ext): E {
  return isSpecial(x).and(x.sig.shl(1).ne(0));
}
export function isSignaling(x: Ext): E {
  return isNan(x).and(x.sig.and(1n << 62n).eqz());
}
export function isInfinity(x: Ext): E {
  return isSpecial(x).and(x.sig.shl(1).eqz());
}
export function isZero(x: Ext): E {
  return exponent(x).eq(0).and(x.sig.eqz());
}
/** Denormals and pseudo-denormals. */
export function isDenormal(x: Ext): E {
  return exponent(x).eq(0).and(x.sig.ne(0));
}

/** Calls a function that gives an 80-bit value. */
export function callExt(b: B, name: string, ...args: E[]): Ext {
  const sig = b.let(call(name, 'i64', ...args));
  return { sig, se: b.state32(S.X87_SE) };
}
/** Returns an 80-bit value from a function. */
export function returnExt(b: B, sig: E | bigint, se: E | number): void {
  b.setState32(S.X87_SE, se);
  b.return(i64(sig));
}
export function signal(b: B, bits: E | number): void {
  b.setState32(S.X87_EXCEPTIONS, b.state32(S.X87_EXCEPTIONS).or(bits));
}
/** Returns the default NaN after an invalid operation. */
export function returnInvalid(b: B): void {
  signal(b, FSW_BIT.IE);
  returnExt(b, INDEFINITE_SIG, INDEFINITE_SE);
}
/** Signals DE for a denormal register or memory operand. */
export function signalDenormals(b: B, ...values: Ext[]): void {
  const any = values.map(isDenormal).reduce((a, c) => a.or(c));
  signal(b, b.let(select(any, i32(FSW_BIT.DE), i32(0))).or(b.state32(S.X87_DENORMAL)));
}
/** Binds both halves. */
export function bind(b: B, sig: E, se: E): Ext {
  return { sig: b.let(sig), se: b.let(se) };
}
/** Exponent and normalised significand of a finite non-zero value; the exponent may be zero or negative. */
export function normalise(b: B, x: Ext): { exponent: E; sig: E } {
  const shift = b.let(x.sig.clz());
  const e = b.let(select(exponent(x).eq(0), i32(1), exponent(x)).sub(shift.wrap()));
  return { exponent: e, sig: b.let(x.sig.shl(shift)) };
}
