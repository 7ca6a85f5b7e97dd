/** Moves: xmm and mm registers, memory and general registers; non-temporal stores; MXCSR; fences. */
import { apply, type E, type Ops, select, vectorOf, VECTOR } from '../ops.ts';
import * as S from '../state.ts';
import { clearTop, enterMmx, highLane, lowLane, lowOnly, pick, checkPending, setMmx } from './sse.ts';

/** Whole registers; also non-temporal moves, whose hint has no effect here. */
export function move(o: Ops): void {
  o.set(0, o.get(1));
}

/** MOVSS, MOVSD: from memory the rest of the register becomes zero, from a register it stays. */
export function moveScalar(o: Ops): void {
  const bytes = o.bytes(1) as 4 | 8;
  if (o.isMemory(1)) o.set(0, lowOnly(o.getLow(1, bytes)));
  else o.setFloat(0, bytes, o.getFloat(1, bytes));
}

export function storeScalar(o: Ops): void {
  const bytes = o.bytes(0) as 4 | 8;
  o.setFloat(0, bytes, o.getFloat(1, bytes));
}

/** MOVQ, MOVD into an xmm register. */
export function moveQuad(o: Ops): void {
  const value = o.getLow(1, 8);
  if (o.isMemory(0)) o.setLow(0, 8, value);
  else o.set(0, lowOnly(value));
}
export function moveFromGeneral(o: Ops): void {
  o.set(0, lowOnly(o.get(1)));
}
export function moveToGeneral(o: Ops): void {
  o.set(0, o.getLow(1, o.size as 4 | 8));
}

/** MOVLPS and MOVLPD: low quadword from or to memory. */
export function moveLow(o: Ops): void {
  o.setLow(0, 8, o.getLow(1, 8));
}
export function loadHigh(o: Ops): void {
  const value = o.getLow(1, 8);
  o.set(0, apply('i64x2.replace_lane', [o.get(0), value], 1));
}
export function storeHigh(o: Ops): void {
  o.setLow(0, 8, o.let(highLane(o.get(1))));
}
export function moveHighToLow(o: Ops): void {
  o.setLow(0, 8, o.let(highLane(o.get(1))));
}
export function moveLowToHigh(o: Ops): void {
  const value = o.let(lowLane(o.get(1)));
  o.set(0, apply('i64x2.replace_lane', [o.get(0), value], 1));
}

/** MOVSLDUP, MOVSHDUP: the even or odd dwords twice. */
export function duplicateDwords(odd: 0 | 1): (o: Ops) => void {
  return (o) => {
    const v = o.let(o.get(1));
    o.set(0, pick(4, v, v, [odd, odd, 2 + odd, 2 + odd]));
  };
}
export function moveDdup(o: Ops): void {
  const value = o.let(o.getLow(1, 8));
  o.set(0, apply('i64x2.splat', [value]));
}

/** MOVMSKPS, MOVMSKPD, PMOVMSKB: sign bits of lanes. @param op `bitmask` instruction */
export function signMask(op: string): (o: Ops) => void {
  return (o) => {
    o.set(0, apply(op, [o.get(1)]).u64());
  };
}
export function mmxSignMask(o: Ops): void {
  checkPending(o);
  const mask = o.let(apply('i8x16.bitmask', [lowOnly(o.get(1))]).u64());
  o.set(0, mask);
  enterMmx(o);
}

export function storeGeneral(o: Ops): void {
  o.set(0, o.get(1));
}

/**
 * MASKMOVDQU, MASKMOVQ: bytes whose mask byte has its top bit set go to DS:rDI (segment override allowed). As on
 * silicon, quadwords are checked for faults whatever the mask says, the high one first.
 */
export function maskedStore(o: Ops): void {
  const mmx = o.operand(0).kind === 'P';
  if (mmx) {
    checkPending(o);
    enterMmx(o);
  }
  const mask = apply('i8x16.bitmask', [mmx ? lowOnly(o.get(1)) : o.get(1)]);
  const rest = o.var('i32', mask);
  const low = o.let(mmx ? o.get(0) : lowLane(o.get(0)));
  const high = mmx ? low : o.let(highLane(o.get(0)));
  const base = o.let(o.sourceSegmentBase);
  const offset = o.let(o.reg(7));
  const linearMask = o.state64(S.LINEAR_MASK);
  const linear = (n: E | number): E => o.let(base.add(offset.add(n).and(o.addressMask)).and(linearMask));
  if (!mmx) o.probeWrite(8, linear(8));
  o.probeWrite(8, linear(0));
  o.while(
    () => rest.get(),
    () => {
      const n = o.let(rest.get().ctz().u64());
      rest.set(rest.get().and(rest.get().sub(1)));
      const quad = o.let(select(n.gtU(7), high, low));
      o.store(1, linear(n), quad.shrU(n.shl(3).and(56)).and(0xff));
    },
  );
}

// ---- MMX ----

export function mmxMove(o: Ops): void {
  checkPending(o);
  const value = o.let(o.get(1));
  setMmx(o, 0, value);
}
/** MOVD/MOVQ r/m, mm. */
export function mmxToGeneral(o: Ops): void {
  checkPending(o);
  clearTop(o);
  o.set(0, o.get(1).zeroExtend(o.size));
  enterMmx(o);
}
export function moveQ2dq(o: Ops): void {
  checkPending(o);
  o.set(0, vectorOf(o.get(1)));
  enterMmx(o);
}
export function moveDq2q(o: Ops): void {
  checkPending(o);
  setMmx(o, 0, o.let(lowLane(o.get(1))));
}
export function emms(o: Ops): void {
  checkPending(o);
  enterMmx(o);
  o.setState32(S.FTW, 0);
}

// ---- control ----

/** Bits of MXCSR that exist. */
const MXCSR_MASK = 0xffff;

export function ldmxcsr(o: Ops): void {
  const value = o.let(o.get(0).wrap());
  o.raiseIf(value.and(~MXCSR_MASK), VECTOR.GP, 0);
  o.setState32(S.MXCSR, value);
}
export function stmxcsr(o: Ops): void {
  o.set(0, o.state32(S.MXCSR).u64());
}
export function fence(o: Ops): void {
  o.fence();
}
export function hint(): void {}
