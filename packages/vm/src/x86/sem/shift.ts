/** Shifts, rotates and bit operations (SDM volume 1, 7.3.6–7.3.7). */
import { type E, i32, i64, type Ops, select } from '../ops.ts';
import * as S from '../state.ts';
import { setCarry } from './arith.ts';

/** Shift count of operand 1, masked as the processor does. */
function count(o: Ops, operand = 1): E {
  return o.let(o.get(operand).and(o.size === 8 ? 63 : 31));
}
/** Runs `body` when the count is not zero; constant counts need no test. */
function unlessZero(o: Ops, c: E, body: () => void): void {
  if (c.op !== 'const') o.if(c.ne(0), body);
  else if (c.imm !== 0n) body();
}
function bit(o: Ops, value: E, position: E | number): E {
  return o.let(value.shrU(position).and(1).wrap());
}

export function shl(o: Ops): void {
  const a = o.get(0);
  const c = count(o);
  const r = o.let(a.shl(c));
  o.set(0, r);
  unlessZero(o, c, () => {
    const cf = bit(o, a.shl(c.sub(1)), o.bits - 1);
    o.flagsResult(r, cf, bit(o, r, o.bits - 1).xor(cf));
  });
}
export function shr(o: Ops): void {
  const a = o.get(0);
  const c = count(o);
  const r = o.let(a.shrU(c));
  o.set(0, r);
  unlessZero(o, c, () => {
    o.flagsResult(r, bit(o, a, c.sub(1)), bit(o, a, o.bits - 1));
  });
}
export function sar(o: Ops): void {
  const a = o.let(o.get(0).signExtend(o.size));
  const c = count(o);
  const r = o.let(a.shrS(c));
  o.set(0, r);
  unlessZero(o, c, () => {
    o.flagsResult(r, o.let(a.shrS(c.sub(1)).and(1).wrap()), i32(0));
  });
}

/** Rotates change CF and OF only. */
function rotateFlags(o: Ops, c: E, cf: E, of: E): void {
  unlessZero(o, c, () => o.setCarryOverflow(o.let(cf), o.let(of)));
}
export function rol(o: Ops): void {
  const a = o.get(0);
  const c = count(o);
  const r = o.let(rotateLeft(o, a, c));
  o.set(0, r);
  const cf = o.let(r.and(1).wrap());
  rotateFlags(o, c, cf, bit(o, r, o.bits - 1).xor(cf));
}
export function ror(o: Ops): void {
  const a = o.get(0);
  const c = count(o);
  const r = o.let(rotateLeft(o, a, i64(0).sub(c)));
  o.set(0, r);
  const cf = bit(o, r, o.bits - 1);
  rotateFlags(o, c, cf, cf.xor(bit(o, r, o.bits - 2)));
}
function rotateLeft(o: Ops, a: E, c: E): E {
  if (o.size === 8) return a.rotl(c);
  if (o.size === 4) return a.wrap().rotl(c.wrap()).u64();
  const n = o.let(c.and(o.bits - 1));
  return a
    .shl(n)
    .or(a.shrU(i64(o.bits).sub(n)))
    .zeroExtend(o.size);
}
export function rcl(o: Ops): void {
  const a = o.get(0);
  const c = o.size >= 4 ? count(o) : o.let(count(o).remU(o.bits + 1));
  const cf = o.let(o.cf().u64());
  const rotated = o.let(
    a
      .shl(c)
      .or(cf.shl(c.sub(1)))
      .or(a.shrU(1).shrU(i64(o.bits).sub(c))),
  );
  const r = o.let(select(c.eqz(), a, rotated));
  o.set(0, r);
  const out = bit(o, a, i64(o.bits).sub(c));
  rotateFlags(o, c, out, bit(o, r, o.bits - 1).xor(out));
}
export function rcr(o: Ops): void {
  const a = o.get(0);
  const c = o.size >= 4 ? count(o) : o.let(count(o).remU(o.bits + 1));
  const cf = o.let(o.cf().u64());
  const left = o.let(i64(o.bits).sub(c));
  const rotated = o.let(a.shrU(c).or(cf.shl(left)).or(a.shl(1).shl(left)));
  const r = o.let(select(c.eqz(), a, rotated));
  o.set(0, r);
  rotateFlags(o, c, bit(o, a, c.sub(1)), bit(o, r, o.bits - 1).xor(bit(o, r, o.bits - 2)));
}

export function shld(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  const c = count(o, 2);
  const r = o.let(select(c.eqz(), a, a.shl(c).or(b.shrU(i64(o.bits).sub(c)))));
  o.set(0, r);
  unlessZero(o, c, () => {
    o.flagsResult(r, bit(o, a, i64(o.bits).sub(c)), bit(o, r.xor(a), o.bits - 1));
  });
}
export function shrd(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  const c = count(o, 2);
  const r = o.let(select(c.eqz(), a, a.shrU(c).or(b.shl(i64(o.bits).sub(c)))));
  o.set(0, r);
  unlessZero(o, c, () => {
    o.flagsResult(r, bit(o, a, c.sub(1)), bit(o, r.xor(a), o.bits - 1));
  });
}

type BitChange = 'test' | 'set' | 'reset' | 'complement';

/** BT, BTS, BTR, BTC. A register offset reaches outside of a memory operand: whole operands away, both ways. */
export function bitOperation(change: BitChange): (o: Ops) => void {
  return (o) => {
    const offset = o.get(1);
    const at = o.let(offset.and(o.bits - 1));
    const far = o.isMemory(0) && o.operand(1).kind === 'G';
    if (!far) {
      const a = o.get(0);
      if (change !== 'test') o.set(0, changeBit(change, a, at));
      setCarry(o, a.shrU(at).and(1).wrap());
      return;
    }
    const units = offset.signExtend(o.size).shrS(Math.log2(o.bits));
    const moved = o.let(o.address(0).add(units.mul(o.size)));
    const va = o.let(moved.and(o.addressMask));
    if (change !== 'test') o.probeWrite(o.size, va);
    const a = o.load(o.size, va);
    if (change !== 'test') o.store(o.size, va, changeBit(change, a, at));
    setCarry(o, a.shrU(at).and(1).wrap());
  };
}
function changeBit(change: BitChange, a: E, at: E): E {
  const mask = i64(1).shl(at);
  if (change === 'set') return a.or(mask);
  return change === 'reset' ? a.and(mask.not()) : a.xor(mask);
}

/** BSF and BSR: a zero source leaves the destination as it was. */
export function bitScan(direction: 'forward' | 'reverse'): (o: Ops) => void {
  return (o) => {
    const a = o.get(1);
    o.if(a.ne(0), () => o.set(0, direction === 'forward' ? a.ctz() : i64(63).sub(a.clz())));
    o.flagsLogic(a);
  };
}
export function popcnt(o: Ops): void {
  const a = o.get(1);
  o.set(0, a.popcnt());
  // only ZF of the source remains: 1 has neither sign nor even parity
  o.setState64(S.FLAG_RESULT, a.ne(0).u64());
  o.setState64(S.FLAG_CARRIES, a.eqz().u64());
}
