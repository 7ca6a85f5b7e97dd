/** Conversions, comparisons, rounding to integral values and reciprocal approximations under MXCSR. */
import { type B, define, type Definition } from '../block.ts';
import { apply, call, type E, i32, i64, select, v128 } from '../ops.ts';
import * as S from '../state.ts';
import {
  beginFlags,
  commitFlags,
  DAZ,
  denormalOperand,
  F32,
  F64,
  type Format,
  FORMATS,
  hidden,
  IE,
  indefinite,
  infinity,
  isDenormal,
  isNan,
  isSignaling,
  isZero,
  magnitude,
  PE,
  quietBit,
  raiseFlags,
  roundingControl,
  roundPack,
  signBit,
  signOf,
  unpack,
} from './softfloat.ts';
import { laneBits, orderKey, withLane } from './softfloat-arith.ts';

/** Rounding that a CVT instruction applies: MXCSR.RC, or truncation. */
export const BY_MXCSR = -1;
export const TRUNCATE = 3;

/** Bits (i64) → float value, and back. */
export function toFloat(f: Format, bits: E): E {
  return f.bits === 64 ? apply('f64.reinterpret_i64', [bits]) : apply('f32.reinterpret_i32', [bits.wrap()]);
}
export function toBits(f: Format, value: E): E {
  return f.bits === 64 ? apply('i64.reinterpret_f64', [value]) : apply('i32.reinterpret_f32', [value]).u64();
}

const NARROW: Definition = define('sf.narrow', ['i64'], 'i64', (b, x) => {
  const sign = b.let(x.shrU(63).shl(31));
  b.if(isNan(F64, x), () => {
    b.if(isSignaling(F64, x), () => raiseFlags(b, IE));
    b.return(sign.or(x.shrU(29).and(hidden(F32) - 1n)).or(infinity(F32) | quietBit(F32)));
  });
  const value = b.let(denormalOperand(b, F64, x));
  b.if(isZero(F64, value), () => b.return(sign));
  b.if(magnitude(F64, value).eq(infinity(F64)), () => b.return(sign.or(infinity(F32))));
  const u = unpack(b, F64, value);
  b.return(roundPack(F32, sign, u.exponent.get().sub(F64.bias - F32.bias), u.significand.get()));
});

const WIDEN: Definition = define('sf.widen', ['i64'], 'i64', (b, x) => {
  const sign = b.let(x.shrU(31).shl(63));
  b.if(isNan(F32, x), () => {
    b.if(isSignaling(F32, x), () => raiseFlags(b, IE));
    b.return(sign.or(x.and(hidden(F32) - 1n).shl(29)).or(infinity(F64) | quietBit(F64)));
  });
  const value = b.let(denormalOperand(b, F32, x));
  b.return(toBits(F64, apply('f64.promote_f32', [toFloat(F32, value)])));
});

/** Signed 64-bit integer → float. */
function defineFromInteger(f: Format): Definition {
  return define(`sf.fromint.${f.name}`, ['i64'], 'i64', (b, n) => {
    b.if(n.eqz(), () => b.return(i64(0)));
    const negative = n.ltS(0);
    const size = b.let(select(negative, i64(0).sub(n), n));
    const sign = b.let(select(negative, i64(signBit(f)), i64(0)));
    b.if(size.ltS(0), () => b.return(roundPack(f, sign, i32(f.bias + 63), i64(1n << 62n))));
    const shift = b.let(size.clz().sub(1));
    b.return(roundPack(f, sign, i32(f.bias + 62).sub(shift.wrap()), size.shl(shift)));
  });
}

/** Rounds a float value to an integral one under rounding control `rc`. */
function roundIntegral(b: B, f: Format, value: E, rc: E): E {
  const v = b.let(value);
  const round = (op: string): E => apply(`${f.name}.${op}`, [v]);
  const upOrZero = select(rc.eq(2), round('ceil'), round('trunc'));
  const downOrMore = select(rc.eq(1), round('floor'), b.let(upOrZero));
  return b.let(select(rc.eqz(), round('nearest'), b.let(downOrMore)));
}

/**
 * f64 value → signed integer of `bits` bits, zero-extended; out of range and NaN: IE and the integer indefinite.
 * @param rc rounding control or BY_MXCSR
 */
const TO_INTEGER: Definition = define('sf.toint', ['f64', 'i32', 'i32'], 'i64', (b, x, bits, rc) => {
  const mode = b.let(select(rc.ltS(0), roundingControl(b), rc));
  const rounded = roundIntegral(b, F64, x, mode);
  const wide = bits.eq(64);
  const low = select(wide, apply('f64.ge', [rounded, -(2 ** 63)]), apply('f64.ge', [rounded, -(2 ** 31)]));
  const high = select(wide, apply('f64.lt', [rounded, 2 ** 63]), apply('f64.lt', [rounded, 2 ** 31]));
  b.if(low.and(high).eqz(), () => {
    raiseFlags(b, IE);
    b.return(select(wide, i64(1n << 63n), i64(1n << 31n)));
  });
  b.if(apply('f64.ne', [rounded, x]), () => raiseFlags(b, PE));
  const integer = b.let(apply('i64.trunc_sat_f64_s', [rounded]));
  b.return(b.let(select(wide, integer, integer.and(0xffffffffn))));
});
/** Value of float bits as f64; a denormal is zero under DAZ (conversions to integers raise no DE). */
function wideValue(b: B, f: Format, bits: E): E {
  const flushed = b.let(select(isDenormal(f, bits).and(b.state32(S.MXCSR).and(DAZ).ne(0)), i64(0), bits));
  const value = toFloat(f, flushed);
  return b.let(f.bits === 64 ? value : apply('f64.promote_f32', [value]));
}

/** CVTxx2SI: bits, width of the integer, rounding control. Commits the flags. */
function defineScalarToInteger(f: Format): Definition {
  return define(`sse.toint.${f.name}`, ['i64', 'i32', 'i32'], 'i64', (b, x, bits, rc) => {
    beginFlags(b);
    const result = b.let(call('sf.toint', 'i64', wideValue(b, f, x), bits, rc));
    commitFlags(b);
    b.return(result);
  });
}
/** CVTxx2DQ, CVTxx2PI: all lanes to 32-bit integers, the rest zero. */
function definePackedToInteger(f: Format): Definition {
  return define(`sse.toints.${f.name}`, ['v128', 'i32', 'i32'], 'v128', (b, x, rc, lanes) => {
    beginFlags(b);
    const result = b.var('v128', v128(0n));
    for (let i = 0; i < 16 / f.bytes; i++) {
      const one = (): void => {
        const lane = call('sf.toint', 'i64', wideValue(b, f, b.let(laneBits(f, x, i))), i32(32), rc);
        result.set(withLane(F32, result.get(), i, b.let(lane)));
      };
      if (i < 2) one();
      else b.if(lanes.gtU(i), one);
    }
    commitFlags(b);
    b.return(result.get());
  });
}
/** One conversion with its flags committed: `sse.<name>` around `sf.<name>`. */
function scalar(name: string): Definition {
  return define(`sse.${name}`, ['i64'], 'i64', (b, x) => {
    beginFlags(b);
    const result = b.let(call(`sf.${name}`, 'i64', x));
    commitFlags(b);
    b.return(result);
  });
}
/** CVTPD2PS, CVTPS2PD. */
function packedConvert(name: 'narrow' | 'widen'): Definition {
  const [from, to] = name === 'narrow' ? [F64, F32] : [F32, F64];
  return define(`sse.packed.${name}`, ['v128'], 'v128', (b, x) => {
    beginFlags(b);
    const result = b.var('v128', v128(0n));
    for (let i = 0; i < 2; i++) {
      result.set(withLane(to, result.get(), i, b.let(call(`sf.${name}`, 'i64', laneBits(from, x, i)))));
    }
    commitFlags(b);
    b.return(result.get());
  });
}
/** CVTDQ2PS (4 lanes), CVTPI2PS (2). */
const FROM_INTEGERS: Definition = define('sse.fromints.f32', ['v128', 'i32'], 'v128', (b, x, lanes) => {
  beginFlags(b);
  const result = b.var('v128', v128(0n));
  for (let i = 0; i < 4; i++) {
    const one = (): void => {
      const lane = call('sf.fromint.f32', 'i64', apply('i32x4.extract_lane', [x], i).s64());
      result.set(withLane(F32, result.get(), i, b.let(lane)));
    };
    if (i < 2) one();
    else b.if(lanes.gtU(i), one);
  }
  commitFlags(b);
  b.return(result.get());
});

// ---- comparison ----

/** Order of two values: 1 less, 2 equal, 4 greater, 8 unordered. @param signal QNaNs raise IE too */
function defineOrder(f: Format): Definition {
  return define(`sf.order.${f.name}`, ['i64', 'i64', 'i32'], 'i32', (b, x, y, signal) => {
    b.if(isNan(f, x).or(isNan(f, y)), () => {
      b.if(signal.or(isSignaling(f, x)).or(isSignaling(f, y)), () => raiseFlags(b, IE));
      b.return(i32(8));
    });
    const kx = orderKey(b, f, b.let(denormalOperand(b, f, x)));
    const ky = orderKey(b, f, b.let(denormalOperand(b, f, y)));
    b.return(b.let(kx.ltS(ky).or(kx.eq(ky).shl(1)).or(kx.gtS(ky).shl(2))));
  });
}
/** Orders that satisfy CMPxx predicates 0–7, one hexadecimal digit each (LSB first). */
const PREDICATES = 0x7ced8312;
/** All ones or zero by predicate `imm`. */
function defineCompareLane(f: Format): Definition {
  return define(`sf.compare.${f.name}`, ['i64', 'i64', 'i32'], 'i64', (b, x, y, imm) => {
    const predicate = b.let(imm.and(7));
    // LT, LE, NLT, NLE signal
    const low = b.let(predicate.and(3));
    const order = b.let(call(`sf.order.${f.name}`, 'i32', x, y, low.sub(1).ltU(2)));
    const holds = i32(PREDICATES).shrU(predicate.shl(2)).and(order).and(15).ne(0);
    b.return(i64(0).sub(holds.u64()));
  });
}
function defineCompareScalar(f: Format): Definition {
  return define(`sse.compare.${f.name}`, ['i64', 'i64', 'i32'], 'i64', (b, x, y, imm) => {
    beginFlags(b);
    const result = b.let(call(`sf.compare.${f.name}`, 'i64', x, y, imm));
    commitFlags(b);
    b.return(result);
  });
}
function defineComparePacked(f: Format): Definition {
  const [shape, mask] = f.bits === 64 ? ['f64x2', 'i64x2'] : ['f32x4', 'i32x4'];
  return define(`sse.compares.${f.name}`, ['v128', 'v128', 'i32'], 'v128', (b, x, y, imm) => {
    b.setState32(S.SIMD_TRAP, 0);
    // zeros and normal numbers raise nothing
    const least = apply(`${shape}.splat`, [f.bits === 64 ? 2 ** -1022 : 2 ** -126]);
    const plain = (v: E): E =>
      apply(`${shape}.ge`, [apply(`${shape}.abs`, [v]), least]).or(apply(`${shape}.eq`, [v, v128(0n)]));
    b.if(apply(`${mask}.all_true`, [plain(x).and(plain(y))]), () => {
      const orders = b.let(i32(PREDICATES).shrU(imm.and(7).shl(2)));
      const chosen = (op: string, bit: number): E =>
        apply(`${shape}.${op}`, [x, y]).and(apply('i32x4.splat', [i32(0).sub(orders.shrU(bit).and(1))]));
      b.return(chosen('lt', 0).or(chosen('eq', 1)).or(chosen('gt', 2)));
    });
    beginFlags(b);
    const result = b.var('v128', v128(0n));
    for (let i = 0; i < 16 / f.bytes; i++) {
      const lane = call(`sf.compare.${f.name}`, 'i64', laneBits(f, x, i), laneBits(f, y, i), imm);
      result.set(withLane(f, result.get(), i, b.let(lane)));
    }
    commitFlags(b);
    b.return(result.get());
  });
}
/** COMIS, UCOMIS. */
function defineOrdered(f: Format): Definition {
  return define(`sse.order.${f.name}`, ['i64', 'i64', 'i32'], 'i32', (b, x, y, signal) => {
    beginFlags(b);
    const result = b.let(call(`sf.order.${f.name}`, 'i32', x, y, signal));
    commitFlags(b);
    b.return(result);
  });
}

// ---- ROUNDxx ----

/** One lane under the control byte: bits 0–1 mode, bit 2 = by MXCSR, bit 3 = no PE. */
function defineRoundLane(f: Format): Definition {
  return define(`sf.integral.${f.name}`, ['i64', 'i32'], 'i64', (b, x, imm) => {
    b.if(isNan(f, x), () => {
      b.if(isSignaling(f, x), () => raiseFlags(b, IE));
      b.return(x.or(quietBit(f)));
    });
    b.if(isDenormal(f, x).and(b.state32(S.MXCSR).and(DAZ).ne(0)), () => b.return(signOf(f, x)));
    const rc = b.let(select(imm.and(4), roundingControl(b), imm.and(3)));
    const rounded = b.let(toBits(f, roundIntegral(b, f, toFloat(f, x), rc)));
    b.if(rounded.ne(x).and(imm.and(8).eqz()), () => raiseFlags(b, PE));
    b.return(rounded);
  });
}
function defineRoundScalar(f: Format): Definition {
  return define(`sse.integral.${f.name}`, ['i64', 'i32'], 'i64', (b, x, imm) => {
    beginFlags(b);
    const result = b.let(call(`sf.integral.${f.name}`, 'i64', x, imm));
    commitFlags(b);
    b.return(result);
  });
}
function defineRoundPacked(f: Format): Definition {
  return define(`sse.integrals.${f.name}`, ['v128', 'i32'], 'v128', (b, x, imm) => {
    beginFlags(b);
    const result = b.var('v128', v128(0n));
    for (let i = 0; i < 16 / f.bytes; i++) {
      const lane = call(`sf.integral.${f.name}`, 'i64', laneBits(f, x, i), imm);
      result.set(withLane(f, result.get(), i, b.let(lane)));
    }
    commitFlags(b);
    b.return(result.get());
  });
}

// ---- RCP, RSQRT: no exceptions, denormals are zero; exact to 24 bits where the SDM asks for 11.4 ----

const RECIPROCAL: Definition = define('sse.rcp', ['i64'], 'i64', (b, x) => {
  b.if(isNan(F32, x), () => b.return(x.or(quietBit(F32))));
  const sign = b.let(signOf(F32, x));
  b.if(magnitude(F32, x).ltU(hidden(F32)), () => b.return(sign.or(infinity(F32))));
  const result = b.let(toBits(F32, apply('f32.div', [1, toFloat(F32, x)])));
  b.return(b.let(select(magnitude(F32, result).leU(hidden(F32)), sign, result)));
});
const RECIPROCAL_ROOT: Definition = define('sse.rsqrt', ['i64'], 'i64', (b, x) => {
  b.if(isNan(F32, x), () => b.return(x.or(quietBit(F32))));
  const sign = b.let(signOf(F32, x));
  b.if(magnitude(F32, x).ltU(hidden(F32)), () => b.return(sign.or(infinity(F32))));
  b.if(sign.ne(0), () => b.return(i64(indefinite(F32))));
  const wide = apply('f64.sqrt', [apply('f64.promote_f32', [toFloat(F32, x)])]);
  b.return(toBits(F32, apply('f32.demote_f64', [apply('f64.div', [1, wide])])));
});
/** All lanes through a function of one lane that raises nothing. */
function eachLane(name: string): Definition {
  return define(`${name}.packed`, ['v128'], 'v128', (b, x) => {
    const result = b.var('v128', v128(0n));
    for (let i = 0; i < 4; i++) {
      result.set(withLane(F32, result.get(), i, b.let(call(name, 'i64', laneBits(F32, x, i)))));
    }
    b.return(result.get());
  });
}

export const CONVERT_DEFINITIONS: readonly Definition[] = [
  NARROW,
  WIDEN,
  TO_INTEGER,
  FROM_INTEGERS,
  ...FORMATS.flatMap((f) => [
    defineFromInteger(f),
    defineScalarToInteger(f),
    definePackedToInteger(f),
    defineOrder(f),
    defineCompareLane(f),
    defineCompareScalar(f),
    defineComparePacked(f),
    defineOrdered(f),
    defineRoundLane(f),
    defineRoundScalar(f),
    defineRoundPacked(f),
  ]),
  scalar('narrow'),
  scalar('widen'),
  scalar('fromint.f32'),
  scalar('fromint.f64'),
  packedConvert('narrow'),
  packedConvert('widen'),
  RECIPROCAL,
  RECIPROCAL_ROOT,
  eachLane('sse.rcp'),
  eachLane('sse.rsqrt'),
];
