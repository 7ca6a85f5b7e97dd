/**
 * What every MMX and SSE instruction shares: the checks before it, the operand shapes, vector constants.
 * An MMX operand (i64) is computed in the low half of a v128, so one lane function serves both register files.
 */
import { apply, type E, type Ops, v128, VECTOR } from '../ops.ts';
import type { Semantics } from '../row.ts';
import * as S from '../state.ts';

/** FSW.ES: an unmasked x87 exception waits. */
const FSW_ES = 0x80;

/** #MF when an x87 exception is pending. #UD and #NM by control registers are the decoder's matter. */
export function checkPending(o: Ops): void {
  o.raiseIf(o.state32(S.FSW).and(FSW_ES), VECTOR.MF);
}

/** TOP = 0: what even an MMX store that faults has done. */
export function clearTop(o: Ops): void {
  o.setState32(S.FSW, o.state32(S.FSW).and(~0x3800));
}
/** What every MMX instruction but EMMS does to the x87 state: TOP = 0, all registers valid. */
export function enterMmx(o: Ops): void {
  clearTop(o);
  o.setState32(S.FTW, 0xff);
}

/** Writes MMX operand `i`; the exponent and sign of its x87 register become all ones. */
export function setMmx(o: Ops, i: number, value: E): void {
  clearTop(o);
  o.set(i, value);
  o.setState32(S.FTW, 0xff);
  if (!o.isMemory(i)) o.hostStore('i32.store16', o.registerAddress(i), 0xffff, 8);
}

/** True when operand 0 is an MMX register. */
export function isMmx(o: Ops): boolean {
  const { kind } = o.operand(0);
  return kind === 'P' || kind === 'N';
}

export function lowLane(v: E): E {
  return apply('i64x2.extract_lane', [v], 0);
}
export function highLane(v: E): E {
  return apply('i64x2.extract_lane', [v], 1);
}
/** v128 with `low` (i64) below zeros. */
export function lowOnly(low: E): E {
  return apply('i64x2.replace_lane', [v128(0n), low], 0);
}

/** v128 constant from lanes of `bytes` bytes. */
export function lanesOf(bytes: number, lanes: readonly number[]): E {
  const mask = (1n << BigInt(bytes * 8)) - 1n;
  return v128(lanes.reduce((sum, lane, i) => sum | ((BigInt(lane) & mask) << BigInt(i * bytes * 8)), 0n));
}
/** The same lane in all places. */
export function splatOf(bytes: number, lane: number | bigint): E {
  const mask = (1n << BigInt(bytes * 8)) - 1n;
  let value = 0n;
  for (let at = 0; at < 128; at += bytes * 8) value |= (BigInt(lane) & mask) << BigInt(at);
  return v128(value);
}
/** 0, 1, 2 … in lanes of `bytes` bytes. */
export function iota(bytes: number): E {
  return lanesOf(
    bytes,
    Array.from({ length: 16 / bytes }, (_, i) => i),
  );
}
/** Picks lanes of `bytes` bytes from `a` followed by `b`. */
export function pick(bytes: number, a: E, b: E, lanes: readonly number[]): E {
  const picked: number[] = [];
  for (const lane of lanes) for (let i = 0; i < bytes; i++) picked.push(lane * bytes + i);
  return apply('i8x16.shuffle', [a, b], picked);
}
/** `a` where `mask` has ones, `b` elsewhere. */
export function blend(mask: E, a: E, b: E): E {
  return apply('v128.bitselect', [a, b, mask]);
}

/** Computes a result from destination and source vectors; may bind temporaries in `o`. */
export type Lanes = (a: E, b: E, o: Ops) => E;

/** Operand 0 ← f(operand 0, operand 1): xmm, or mm in the low half (the high half is undefined). */
export function packed(f: Lanes): Semantics {
  return (o) => {
    if (isMmx(o)) {
      checkPending(o);
      const b = o.let(apply('i64x2.splat', [o.get(1)]));
      const a = o.let(apply('i64x2.splat', [o.get(0)]));
      setMmx(o, 0, lowLane(f(a, b, o)));
    } else {
      const b = o.let(o.get(1));
      const a = o.let(o.get(0));
      o.set(0, f(a, b, o));
    }
  };
}

/** Operand 0 ← f(operand 1). */
export function packedUnary(f: (b: E, o: Ops) => E): Semantics {
  return (o) => {
    if (isMmx(o)) {
      checkPending(o);
      const b = o.let(apply('i64x2.splat', [o.get(1)]));
      setMmx(o, 0, lowLane(f(b, o)));
    } else {
      const b = o.let(o.get(1));
      o.set(0, f(b, o));
    }
  };
}

/** Operand 2, an immediate byte, as i32. */
export function immediate(o: Ops, i = 2): E {
  return o.let(o.get(i).wrap().and(0xff));
}

/** One value in operand 0's register file: v128 or the low half of it. */
export function setVector(o: Ops, value: E): void {
  if (isMmx(o)) setMmx(o, 0, lowLane(value));
  else o.set(0, value);
}
