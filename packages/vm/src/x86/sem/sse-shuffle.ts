/** Shuffles, inserts, extracts and blends. Immediates are run-time values: they become swizzle indices or masks. */
import { apply, type E, type Ops } from '../ops.ts';
import {
  blend,
  enterMmx,
  immediate,
  iota,
  isMmx,
  lanesOf,
  lowLane,
  pick,
  checkPending,
  setMmx,
  setVector,
  splatOf,
} from './sse.ts';

/** The four 2-bit fields of `imm` in dword lanes (or word lanes, twice). */
function fields(imm: E, bytes: 2 | 4): E {
  const type = bytes === 4 ? 'i32x4' : 'i16x8';
  const shifted = apply(`${type}.mul`, [
    apply(`${type}.splat`, [imm]),
    lanesOf(bytes, bytes === 4 ? [64, 16, 4, 1] : [64, 16, 4, 1, 64, 16, 4, 1]),
  ]);
  return apply(`${type}.shr_u`, [shifted, 6]).and(splatOf(bytes, 3));
}
/** Byte indices of the dwords that `imm` picks. */
function dwordPlaces(imm: E): E {
  return apply('i32x4.add', [
    apply('i32x4.mul', [fields(imm, 4), splatOf(4, 0x04040404)]),
    splatOf(4, 0x03020100),
  ]);
}
/** Byte indices of the words that `imm` picks, from the low half in both halves. */
function wordPlaces(imm: E): E {
  return apply('i16x8.add', [apply('i16x8.mul', [fields(imm, 2), splatOf(2, 0x0202)]), splatOf(2, 0x0100)]);
}

export function pshufd(o: Ops): void {
  const b = o.let(o.get(1));
  o.set(0, apply('i8x16.swizzle', [b, dwordPlaces(immediate(o))]));
}
/** PSHUFLW, PSHUFHW. */
export function shuffleWords(part: 'low' | 'high'): (o: Ops) => void {
  return (o) => {
    const b = o.let(o.get(1));
    const places = wordPlaces(immediate(o));
    const shuffled = o.let(
      apply('i8x16.swizzle', [b, part === 'low' ? places : apply('i8x16.add', [places, splatOf(1, 8)])]),
    );
    o.set(0, part === 'low' ? pick(8, shuffled, b, [0, 3]) : pick(8, b, shuffled, [0, 3]));
  };
}
/** PSHUFW mm. */
export function pshufw(o: Ops): void {
  checkPending(o);
  const b = apply('i64x2.splat', [o.get(1)]);
  setMmx(o, 0, o.let(lowLane(apply('i8x16.swizzle', [b, wordPlaces(immediate(o))]))));
}
export function shufps(o: Ops): void {
  const b = o.let(o.get(1));
  const places = o.let(dwordPlaces(immediate(o)));
  const low = o.let(apply('i8x16.swizzle', [o.get(0), places]));
  o.set(0, pick(8, low, o.let(apply('i8x16.swizzle', [b, places])), [0, 3]));
}
export function shufpd(o: Ops): void {
  const b = o.let(o.get(1));
  const a = o.let(o.get(0));
  const imm = immediate(o);
  // all ones in a lane whose selector bit is set: take the high quadword
  const chosen = o.let(bitMask(imm, 8));
  o.set(0, blend(chosen, pick(8, a, b, [1, 3]), pick(8, a, b, [0, 2])));
}

/** All ones in each lane of `bytes` bytes whose bit in `imm` (i32) is set. */
export function bitMask(imm: E, bytes: 2 | 4 | 8): E {
  const type = { 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' }[bytes];
  const bits = lanesOf(
    bytes,
    Array.from({ length: 16 / bytes }, (_, i) => 1 << i),
  );
  const spread = apply(`${type}.splat`, [bytes === 8 ? imm.u64() : imm]);
  return apply(`${type}.eq`, [spread.and(bits), bits]);
}
/** BLENDPS, BLENDPD, PBLENDW. */
export function blendImmediate(bytes: 2 | 4 | 8): (o: Ops) => void {
  return (o) => {
    const b = o.let(o.get(1));
    o.set(0, blend(bitMask(immediate(o), bytes), b, o.get(0)));
  };
}

/** PSHUFB: an index byte with its top bit set gives zero. */
export function pshufb(a: E, b: E, o: Ops): E {
  return apply('i8x16.swizzle', [a, b.and(splatOf(1, isMmx(o) ? 0x87 : 0x8f))]);
}

/** PALIGNR: bytes of destination:source from byte `imm` on. */
export function palignr(o: Ops): void {
  const mmx = isMmx(o);
  if (mmx) checkPending(o);

  const imm = immediate(o);
  if (mmx) {
    // both operands fit one vector
    const joined = o.let(apply('i64x2.replace_lane', [apply('i64x2.splat', [o.get(1)]), o.get(0)], 1));
    const places = apply('i8x16.add_sat_u', [iota(1), apply('i8x16.splat', [imm])]);
    setMmx(o, 0, o.let(lowLane(apply('i8x16.swizzle', [joined, places]))));
    return;
  }
  const b = o.let(o.get(1));
  const spread = o.let(apply('i8x16.splat', [imm]));
  const low = apply('i8x16.swizzle', [b, apply('i8x16.add_sat_u', [iota(1), spread])]);
  const wrapped = apply('i8x16.add', [iota(1), apply('i8x16.sub', [spread, splatOf(1, 16)])]);
  o.set(0, low.or(apply('i8x16.swizzle', [o.get(0), wrapped])));
}

// ---- one lane ----

const TYPES = { 1: 'i8x16', 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' } as const;

/** PEXTRB/W/D/Q, EXTRACTPS: lane `operand 2` of operand 1, zero-extended. */
export function extract(bytes: 1 | 2 | 4 | 8): (o: Ops) => void {
  return (o) => {
    const mmx = o.operand(1).kind === 'N';
    if (mmx) checkPending(o);

    const v = o.let(mmx ? apply('i64x2.splat', [o.get(1)]) : o.get(1));
    const lane = immediate(o).and((mmx ? 8 : 16) / bytes - 1);
    const places = apply('i8x16.add', [iota(1), apply('i8x16.splat', [lane.mul(bytes)])]);
    const value = o.let(lowLane(apply('i8x16.swizzle', [v, places])).zeroExtend(bytes));
    o.set(0, value);
    if (mmx) enterMmx(o);
  };
}
/** PINSRB/W/D/Q. */
export function insert(bytes: 1 | 2 | 4 | 8): (o: Ops) => void {
  return (o) => {
    const mmx = isMmx(o);
    if (mmx) checkPending(o);

    const value = o.let(o.get(1));
    const lane = immediate(o).and((mmx ? 8 : 16) / bytes - 1);
    const type = TYPES[bytes];
    const v = o.let(mmx ? apply('i64x2.splat', [o.get(0)]) : o.get(0));
    const here = apply(`${type}.eq`, [
      iota(bytes),
      apply(`${type}.splat`, [bytes === 8 ? lane.u64() : lane]),
    ]);
    const spread = apply(`${type}.splat`, [bytes === 8 ? value : value.wrap()]);
    setVector(o, o.let(blend(here, spread, v)));
  };
}
/** INSERTPS: source dword by bits 6–7 (register only), place by bits 4–5, zeroed lanes by bits 0–3. */
export function insertps(o: Ops): void {
  const b = o.let(o.get(1));
  const imm = immediate(o);
  const from = o.isMemory(1) ? b : o.let(apply('i8x16.swizzle', [b, firstDword(imm.shrU(6))]));
  const dword = apply('i32x4.splat', [o.let(apply('i32x4.extract_lane', [from], 0))]);
  const here = apply('i32x4.eq', [iota(4), apply('i32x4.splat', [imm.shrU(4).and(3)])]);
  const merged = o.let(blend(here, dword, o.get(0)));
  o.set(0, apply('v128.andnot', [merged, bitMask(imm, 4)]));
}
/** Byte indices that bring dword `n` (i32) to lane 0. */
function firstDword(n: E): E {
  return apply('i8x16.add', [apply('i8x16.splat', [n.mul(4)]), iota(1)]);
}
