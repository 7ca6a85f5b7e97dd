/** Conversions between integers and floating point, in xmm, mm and general registers. */
import { apply, call, type E, i32, type Ops, v128 } from '../ops.ts';
import * as S from '../state.ts';
import { F32, F64, type Format } from './softfloat.ts';
import { BY_MXCSR, toBits, toFloat, TRUNCATE } from './softfloat-convert.ts';
import { leastNormal, mxcsrAllowsFast, notDenormal, trapOnUnmasked } from './sse-arith.ts';
import { enterMmx, lowLane, lowOnly, checkPending, setMmx } from './sse.ts';

/** Largest binary32. */
const MAX_SINGLE = 3.4028234663852886e38;
/** PM and PE: an inexact result changes nothing. */
const INEXACT_SILENT = 0x1020;

/** CVTSI2SS, CVTSI2SD. */
export function fromInteger(f: Format): (o: Ops) => void {
  return (o) => {
    const wide = o.bytes(1) === 8;
    const n = o.let(wide ? o.get(1) : o.get(1).signExtend(4));
    const result = o.var(f.name, apply(`${f.name}.convert_i64_s`, [n]));
    if (wide || f === F32) {
      // integers that fit the significand are exact
      const limit = 2n << BigInt(f.fraction);
      const exact = n.add(limit).leU(limit * 2n);
      o.if(exact.or(mxcsrAllowsFast(o)).eqz(), () => {
        result.set(toFloat(f, call(`sse.fromint.${f.name}`, 'i64', n)));
        trapOnUnmasked(o);
      });
    }
    o.setFloat(0, f.bytes, result.get());
  };
}

/** CVTSS2SI, CVTSD2SI and their truncating forms. */
export function toInteger(f: Format, rounding: number): (o: Ops) => void {
  return (o) => {
    const source = o.let(o.getFloat(1, f.bytes));
    const bits = toBits(f, source);
    const wide = o.bytes(0) === 8;
    const value = f === F64 ? source : o.let(apply('f64.promote_f32', [source]));
    const rounded = o.let(apply(rounding === TRUNCATE ? 'f64.trunc' : 'f64.nearest', [value]));
    const limit = wide ? 2 ** 63 : 2 ** 31;
    const mxcsr = o.state32(S.MXCSR);
    const within = apply('f64.ge', [rounded, -limit]).and(apply('f64.lt', [rounded, limit]));
    const silent = apply('f64.eq', [rounded, value]).or(mxcsr.and(INEXACT_SILENT).eq(INEXACT_SILENT));
    const nearest = rounding === TRUNCATE ? i32(1) : mxcsr.and(0x6000).eqz();
    const result = o.var('i64');
    o.if(
      within.and(silent).and(nearest),
      () => result.set(apply('i64.trunc_sat_f64_s', [rounded])),
      () => {
        result.set(call(`sse.toint.${f.name}`, 'i64', bits, i32(wide ? 64 : 32), i32(rounding)));
        trapOnUnmasked(o);
      },
    );
    o.set(0, result.get());
  };
}

/** CVTSS2SD. */
export function widenScalar(o: Ops): void {
  const value = o.let(o.getFloat(1, 4));
  const bits = toBits(F32, value);
  const result = o.var('f64', apply('f64.promote_f32', [value]));
  o.if(apply('f32.eq', [value, value]).and(notDenormal(F32, bits)).eqz(), () => {
    result.set(toFloat(F64, call('sse.widen', 'i64', bits)));
    trapOnUnmasked(o);
  });
  o.setFloat(0, 8, result.get());
}
/** CVTSD2SS. */
export function narrowScalar(o: Ops): void {
  const value = o.let(o.getFloat(1, 8));
  const bits = toBits(F64, value);
  const size = o.let(apply('f64.abs', [value]));
  const result = o.var('f32', apply('f32.demote_f64', [value]));
  const normal = apply('f64.gt', [size, leastNormal(F32)]).and(apply('f64.le', [size, MAX_SINGLE]));
  const plain = normal.and(mxcsrAllowsFast(o)).or(apply('f64.eq', [size, 0]));
  o.if(plain.eqz(), () => {
    result.set(toFloat(F32, call('sse.narrow', 'i64', bits)));
    trapOnUnmasked(o);
  });
  o.setFloat(0, 4, result.get());
}
/** CVTPS2PD. */
export function widenPacked(o: Ops): void {
  const v = o.let(o.get(1));
  const result = o.var('v128', apply('f64x2.promote_low_f32x4', [v]));
  const least = apply('f64x2.splat', [leastNormal(F32)]);
  const size = apply('f64x2.abs', [result.get()]);
  const plain = apply('f64x2.ge', [size, least]).or(apply('f64x2.eq', [result.get(), v128(0n)]));
  o.if(apply('i64x2.all_true', [plain]).eqz(), () => {
    result.set(call('sse.packed.widen', 'v128', v));
    trapOnUnmasked(o);
  });
  o.set(0, result.get());
}
/** CVTPD2PS. */
export function narrowPacked(o: Ops): void {
  const v = o.let(o.get(1));
  const result = o.var('v128', apply('f32x4.demote_f64x2_zero', [v]));
  const size = o.let(apply('f64x2.abs', [v]));
  const above = apply('f64x2.gt', [size, apply('f64x2.splat', [leastNormal(F32)])]);
  const below = apply('f64x2.le', [size, apply('f64x2.splat', [MAX_SINGLE])]);
  const plain = above.and(below).or(apply('f64x2.eq', [v, v128(0n)]));
  o.if(apply('i64x2.all_true', [plain]).and(mxcsrAllowsFast(o)).eqz(), () => {
    result.set(call('sse.packed.narrow', 'v128', v));
    trapOnUnmasked(o);
  });
  o.set(0, result.get());
}

/** Dwords → singles; `lanes` of them count. */
function singles(o: Ops, v: E, lanes: number): E {
  const result = o.var('v128', apply('f32x4.convert_i32x4_s', [v]));
  o.if(mxcsrAllowsFast(o).eqz(), () => {
    result.set(call('sse.fromints.f32', 'v128', v, i32(lanes)));
    trapOnUnmasked(o);
  });
  return result.get();
}
/** CVTDQ2PS. */
export function fromDwords(o: Ops): void {
  o.set(0, singles(o, o.let(o.get(1)), 4));
}
/** CVTDQ2PD: always exact. */
export function fromDwordsToDouble(o: Ops): void {
  o.set(0, apply('f64x2.convert_low_i32x4_s', [o.get(1)]));
}
/** CVTPS2DQ, CVTPD2DQ and their truncating forms. */
export function toDwords(f: Format, rounding: number): (o: Ops) => void {
  return (o) => {
    const result = o.let(integers(f, rounding, o.let(o.get(1)), 4));
    trapOnUnmasked(o);
    o.set(0, result);
  };
}
function integers(f: Format, rounding: number, v: E, lanes: number): E {
  return call(`sse.toints.${f.name}`, 'v128', v, i32(rounding), i32(lanes));
}

// ---- mm ----

/** CVTPI2PS: the low two lanes. A memory operand leaves the x87 state alone; #XM comes after the switch to MMX. */
export function fromMmx(o: Ops): void {
  if (!o.isMemory(1)) checkPending(o);
  const v = o.let(lowOnly(o.get(1)));
  if (!o.isMemory(1)) enterMmx(o);
  o.setLow(0, 8, o.let(lowLane(singles(o, v, 2))));
}
/** CVTPI2PD: a memory operand leaves the x87 state alone. */
export function fromMmxToDouble(o: Ops): void {
  if (!o.isMemory(1)) checkPending(o);
  o.set(0, apply('f64x2.convert_low_i32x4_s', [lowOnly(o.get(1))]));
  if (!o.isMemory(1)) enterMmx(o);
}
/** CVTPS2PI, CVTPD2PI and their truncating forms. */
export function toMmx(f: Format, rounding: number): (o: Ops) => void {
  return (o) => {
    checkPending(o);
    const source = o.let(o.get(1));
    enterMmx(o);
    const result = o.let(integers(f, rounding, source, 2));
    trapOnUnmasked(o);
    setMmx(o, 0, o.let(lowLane(result)));
  };
}

export { BY_MXCSR, TRUNCATE };
