/** Packed integer arithmetic: lane functions for xmm and mm operands alike (`packed` in sse.ts). */
import { apply, type E, i64, type Ops, select, v128 } from '../ops.ts';
import * as S from '../state.ts';
import {
  blend,
  iota,
  isMmx,
  type Lanes,
  lanesOf,
  lowLane,
  pick,
  checkPending,
  setVector,
  splatOf,
} from './sse.ts';

export function lanes(op: string): Lanes {
  return (a, b) => apply(op, [a, b]);
}
/** PANDN: complement of the destination. */
export const andNot: Lanes = (a, b) => apply('v128.andnot', [b, a]);

/** PMULHW, PMULHUW: high halves of the products. */
export function multiplyHigh(sign: 's' | 'u'): Lanes {
  return (a, b, o) => {
    const low = o.let(apply(`i32x4.extmul_low_i16x8_${sign}`, [a, b]));
    const high = o.let(apply(`i32x4.extmul_high_i16x8_${sign}`, [a, b]));
    return pick(2, low, high, [1, 3, 5, 7, 9, 11, 13, 15]);
  };
}
/** PMULUDQ, PMULDQ: products of the even dwords. */
export function multiplyEven(sign: 's' | 'u'): Lanes {
  return (a, b, o) => {
    const x = o.let(pick(4, a, a, [0, 2, 0, 2]));
    const y = o.let(pick(4, b, b, [0, 2, 0, 2]));
    return apply(`i64x2.extmul_low_i32x4_${sign}`, [x, y]);
  };
}
/** Absolute difference of unsigned bytes. */
export function byteDistance(a: E, b: E): E {
  return apply('i8x16.sub_sat_u', [a, b]).or(apply('i8x16.sub_sat_u', [b, a]));
}
/** PSADBW: sums of 8 absolute differences. */
export const sumOfDifferences: Lanes = (a, b, o) => {
  const words = apply('i16x8.extadd_pairwise_i8x16_u', [o.let(byteDistance(a, b))]);
  const dwords = o.let(apply('i32x4.extadd_pairwise_i16x8_u', [words]));
  const even = dwords.and(splatOf(8, 0xffffffffn));
  return apply('i64x2.add', [even, apply('i64x2.shr_u', [dwords, 32])]);
};
/** PMADDUBSW: unsigned bytes of a by signed bytes of b, neighbours added with saturation. */
export const multiplyAddBytes: Lanes = (a, b, o) => {
  const even = o.let(
    apply('i16x8.mul', [a.and(splatOf(2, 0xff)), apply('i16x8.shr_s', [apply('i16x8.shl', [b, 8]), 8])]),
  );
  const odd = apply('i16x8.mul', [apply('i16x8.shr_u', [a, 8]), apply('i16x8.shr_s', [b, 8])]);
  return apply('i16x8.add_sat_s', [even, odd]);
};
/** PMULHRSW; the wasm operation saturates 0x8000 × 0x8000, x86 wraps. */
export const multiplyRounded: Lanes = (a, b) => {
  const both = (v: E): E => apply('i16x8.eq', [v, splatOf(2, 0x8000)]);
  return apply('i16x8.q15mulr_sat_s', [a, b]).xor(both(a).and(both(b)));
};
/** PSIGNB/W/D. */
export function applySign(bytes: 1 | 2 | 4): Lanes {
  const type = laneType(bytes);
  return (a, b, o) => {
    const negative = o.let(apply(`${type}.lt_s`, [b, v128(0n)]));
    const flipped = apply(`${type}.sub`, [a.xor(negative), negative]);
    return flipped.and(apply(`${type}.ne`, [b, v128(0n)]));
  };
}
/** PHADDx, PHSUBx: operation on neighbours, of a then of b. */
export function horizontal(op: string, bytes: 2 | 4): Lanes {
  return (a, b, o) => {
    const half = isMmx(o) ? 4 / bytes : 8 / bytes;
    const all = 16 / bytes;
    const places = (odd: number): number[] => [
      ...Array.from({ length: half }, (_, i) => 2 * i + odd),
      ...Array.from({ length: all - half }, (_, i) => all + ((2 * i) % all) + odd),
    ];
    const even = o.let(pick(bytes, a, b, places(0)));
    return apply(op, [even, pick(bytes, a, b, places(1))]);
  };
}
/** PACKxx: lanes of a, then of b, narrowed. */
export function pack(op: string): Lanes {
  return (a, b, o) => {
    if (!isMmx(o)) return apply(op, [a, b]);
    const both = o.let(pick(8, a, b, [0, 2]));
    return apply(op, [both, both]);
  };
}
/** PUNPCKL, PUNPCKH. */
export function interleave(bytes: 1 | 2 | 4 | 8, part: 'low' | 'high'): Lanes {
  return (a, b, o) => {
    const all = 16 / bytes;
    const start = part === 'low' ? 0 : isMmx(o) ? all / 4 : all / 2;
    const places = Array.from({ length: all }, (_, i) => start + (i >> 1) + (i & 1) * all);
    return pick(bytes, a, b, places);
  };
}
function laneType(bytes: number): string {
  return { 1: 'i8x16', 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' }[bytes] ?? '';
}

/** PHMINPOSUW: the least word and where it is. */
export function minimumPosition(b: E, o: Ops): E {
  const fold4 = o.let(apply('i16x8.min_u', [b, pick(8, b, b, [1, 0])]));
  const fold2 = o.let(apply('i16x8.min_u', [fold4, pick(4, fold4, fold4, [1, 0, 1, 0])]));
  const fold1 = o.let(apply('i16x8.min_u', [fold2, pick(2, fold2, fold2, [1, 0, 1, 0, 1, 0, 1, 0])]));
  const least = o.let(apply('i16x8.extract_lane_u', [fold1], 0));
  const place = apply('i16x8.bitmask', [apply('i16x8.eq', [b, apply('i16x8.splat', [least])])]).ctz();
  return apply('i32x4.replace_lane', [v128(0n), least.or(place.shl(16))], 0);
}

/** PMOVSX, PMOVZX. @param steps widening instructions, narrowest first */
export function widen(...steps: readonly string[]): (b: E) => E {
  return (b) => steps.reduce((v, op) => apply(op, [v]), b);
}

// ---- shifts ----

/** PSLL, PSRL, PSRA by an immediate or by the low quadword of operand 1. */
export function shift(op: 'shl' | 'shr_u' | 'shr_s', bytes: 2 | 4 | 8): (o: Ops) => void {
  const name = `${laneType(bytes)}.${op}`;
  const bits = bytes * 8;
  return (o) => {
    const mmx = isMmx(o);
    if (mmx) checkPending(o);

    const source = o.operand(1).kind === 'W' ? lowLane(o.get(1)) : o.get(1);
    const count = o.let(o.operand(1).kind === 'I' ? source.and(0xff) : source);
    const value = o.let(mmx ? apply('i64x2.splat', [o.get(0)]) : o.get(0));
    const within = count.ltU(bits);
    if (op === 'shr_s')
      setVector(o, apply(name, [value, o.let(select(within, count, i64(bits - 1))).wrap()]));
    else setVector(o, o.let(select(within, o.let(apply(name, [value, count.wrap()])), v128(0n))));
  };
}
/** PSLLDQ, PSRLDQ: by bytes. */
export function shiftBytes(direction: 'left' | 'right'): (o: Ops) => void {
  return (o) => {
    const count = o.let(o.get(1).wrap().and(0xff));
    const value = o.let(o.get(0));
    const clamped = apply('i8x16.splat', [o.let(select(count.ltU(16), count, 16))]);
    const places =
      direction === 'left' ? apply('i8x16.sub', [iota(1), clamped]) : apply('i8x16.add', [iota(1), clamped]);
    o.set(0, apply('i8x16.swizzle', [value, places]));
  };
}

// ---- tests and differences by immediate ----

/** PTEST: ZF = no bit in common, CF = the source has none outside the destination. */
export function ptest(o: Ops): void {
  const b = o.let(o.get(1));
  const a = o.let(o.get(0));
  const zf = o.let(
    apply('v128.any_true', [a.and(b)])
      .eqz()
      .u64(),
  );
  const cf = o.let(
    apply('v128.any_true', [apply('v128.andnot', [b, a])])
      .eqz()
      .u64(),
  );
  setCompareFlags(o, cf, zf, i64(0));
}

/** CF, ZF and PF as given (i64 0/1); OF, SF and AF cleared. */
export function setCompareFlags(o: Ops, cf: E, zf: E, pf: E): void {
  // result 0 has PF 1, result 1 has PF 0; carries hold CF in bit 63, CF ^ OF in bit 62, a correction of PF in bit 0
  o.setState64(S.FLAG_RESULT, zf.xor(1));
  o.setState64(S.FLAG_CARRIES, cf.shl(63).or(cf.shl(62)).or(pf.xor(zf)));
}

/** MPSADBW: eight sums of four differences, 4-byte block of b against a sliding window of a. */
export function slidingDifferences(o: Ops): void {
  const b = o.let(o.get(1));
  const a = o.let(o.get(0));
  const control = o.let(o.get(2).wrap());
  const window = o.let(apply('i8x16.splat', [control.and(4)]));
  const block = o.let(apply('i8x16.splat', [control.and(3).shl(2)]));
  let sum: E = v128(0n);
  for (let j = 0; j < 4; j++) {
    const slide = lanesOf(
      1,
      Array.from({ length: 16 }, (_, i) => (i & 7) + j),
    );
    const x = o.let(apply('i8x16.swizzle', [a, apply('i8x16.add', [window, slide])]));
    const y = o.let(apply('i8x16.swizzle', [b, apply('i8x16.add', [block, splatOf(1, j)])]));
    const distance = apply('i16x8.extend_low_i8x16_u', [byteDistance(x, y)]);
    sum = o.let(apply('i16x8.add', [sum, distance]));
  }
  o.set(0, sum);
}

/** PBLENDVB, BLENDVPS, BLENDVPD: lanes of b where XMM0's lane is negative. */
export function blendVariable(bytes: 1 | 4 | 8): (o: Ops) => void {
  return (o) => {
    const b = o.let(o.get(1));
    const negative = apply(`${laneType(bytes)}.lt_s`, [o.xmm(0), v128(0n)]);
    o.set(0, blend(negative, b, o.get(0)));
  };
}
