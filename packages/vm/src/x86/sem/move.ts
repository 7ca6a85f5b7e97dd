/** Data movement, stack and conversion (SDM volume 1, 7.3.1–7.3.3). */
import { type E, i32, i64, type Ops, select, VECTOR } from '../ops.ts';
import * as S from '../state.ts';

export function mov(o: Ops): void {
  o.set(0, o.get(1));
}
export function movsx(o: Ops): void {
  o.set(0, o.get(1).signExtend(o.bytes(1)));
}
export function lea(o: Ops): void {
  o.set(0, o.effectiveAddress(1).and(o.addressMask));
}
export function xchg(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  if (o.isMemory(0)) o.fence();
  o.set(0, b);
  o.set(1, a);
}
export function bswap(o: Ops): void {
  const a = o.get(0);
  o.set(0, swapBytes(a, o.size));
}
/** Reverses the low `size` bytes; a 16-bit BSWAP gives zero, as real processors do. */
function swapBytes(a: E, size: number): E {
  if (size === 8) {
    const half = (x: E): E => swap32(x.zeroExtend(4));
    return half(a)
      .shl(32)
      .or(half(a.shrU(32)));
  }
  return size === 4 ? swap32(a) : i64(0);
}
function swap32(a: E): E {
  const w = a.wrap();
  return w
    .rotl(8)
    .and(0x00ff00ff)
    .or(w.rotr(8).and(0xff00ff00 | 0))
    .u64();
}
export function movbe(o: Ops): void {
  const a = o.get(1);
  o.set(0, o.size === 2 ? a.shl(8).or(a.shrU(8)) : swapBytes(a, o.size));
}
export function cmov(cc: number): (o: Ops) => void {
  return (o) => {
    const b = o.get(1);
    const a = o.get(0);
    o.set(0, select(o.condition(cc), b, a));
  };
}
export function setcc(cc: number): (o: Ops) => void {
  return (o) => o.set(0, o.let(o.condition(cc).u64()));
}
/** CBW CWDE CDQE */
export function cbw(o: Ops): void {
  o.setReg(0, o.reg(0, o.size / 2).signExtend(o.size / 2), o.size);
}
/** CWD CDQ CQO */
export function cwd(o: Ops): void {
  o.setReg(2, o.reg(0, o.size).signExtend(o.size).shrS(63), o.size);
}
export function xlat(o: Ops): void {
  const offset = o.let(o.reg(3).add(o.reg(0, 1)).and(o.addressMask));
  o.setReg(0, o.load(1, o.linear(o.sourceSegmentBase, offset, o.sourceSegment, 1, false)), 1);
}
// ---- stack ----

export function push(o: Ops): void {
  o.push(o.get(0));
}
export function pop(o: Ops): void {
  const value = o.peek();
  if (o.isMemory(0)) {
    // the decoder adds the operand size to an address based on the stack pointer
    o.set(0, value);
    o.moveStack(o.size);
  } else {
    o.moveStack(o.size);
    o.set(0, value);
  }
}
export function pusha(o: Ops): void {
  const { size } = o;
  const mask = o.let(o.stackMask());
  const esp = o.reg(4);
  const at = (n: number): E => stackAt(o, o.let(esp.sub((n + 1) * size).and(mask)), true);
  o.probeWrite(size, at(7));
  for (let n = 0; n < 8; n++) o.store(size, at(n), n === 4 ? esp : o.reg(n, size));
  o.moveStack(-8 * size);
}
export function popa(o: Ops): void {
  const { size } = o;
  const mask = o.let(o.stackMask());
  const esp = o.reg(4);
  const values = [0, 1, 2, 3, 4, 5, 6, 7].map((n) =>
    o.load(size, stackAt(o, o.let(esp.add((7 - n) * size).and(mask)), false)),
  );
  values.forEach((value, n) => {
    if (n !== 4) o.setReg(n, value, size);
  });
  o.moveStack(8 * size);
}
/** Linear address of an operand in the stack segment. */
function stackAt(o: Ops, offset: E, write: boolean): E {
  return o.linear(o.segmentBase(S.SEG.SS), offset, i32(S.SEG.SS), o.size, write);
}
export function leave(o: Ops): void {
  const rbp = o.let(o.reg(5).and(o.stackMask()));
  const value = o.load(o.size, stackAt(o, rbp, false));
  o.setStackPointer(o.let(rbp.add(o.size)));
  o.setReg(5, value, o.size);
}
/** ENTER size, nesting level: copies `level − 1` frame pointers of the outer procedures. */
export function enter(o: Ops): void {
  const { size } = o;
  const bytes = o.let(o.get(0).zeroExtend(2));
  const level = o.let(o.get(1).and(31));
  const mask = o.let(o.stackMask());
  const rsp = o.let(o.reg(4).and(mask));
  const rbp = o.reg(5);
  const frame = o.let(rsp.sub(size).and(mask));
  const final = o.let(frame.sub(level.mul(size)).sub(bytes).and(mask));
  o.probeWrite(size, stackAt(o, o.let(frame.sub(level.mul(size)).and(mask)), true));
  o.probeWrite(size, stackAt(o, final, true));
  o.store(size, stackAt(o, frame, true), rbp);
  o.if(level.ne(0), () => {
    const i = o.var('i64', 1);
    o.while(
      () => i.get().ltU(level),
      () => {
        const step = o.let(i.get().mul(size));
        const outer = o.load(size, stackAt(o, o.let(rbp.sub(step).and(mask)), false));
        o.store(size, stackAt(o, o.let(frame.sub(step).and(mask)), true), outer);
        i.set(i.get().add(1));
      },
    );
    o.store(size, stackAt(o, o.let(frame.sub(level.mul(size)).and(mask)), true), frame);
  });
  o.setStackPointer(final);
  o.setReg(5, frame, size);
}

// ---- compare and exchange ----

export function xadd(o: Ops): void {
  const a = o.get(0);
  const b = o.get(1);
  const r = o.let(a.add(b));
  if (o.isMemory(0)) {
    o.set(0, r);
    o.set(1, a);
  } else {
    o.set(1, a);
    o.set(0, r);
  }
  o.flagsAdd(a, b, r);
}
export function cmpxchg(o: Ops): void {
  const a = o.get(0);
  const acc = o.reg(0, o.size);
  const b = o.get(1);
  const equal = o.let(a.eq(acc));
  o.if(
    equal,
    () => o.set(0, b),
    () => {
      if (o.isMemory(0)) o.set(0, a);
      o.setReg(0, a, o.size);
    },
  );
  o.flagsSub(acc, a, o.let(acc.sub(a)));
}
/** CMPXCHG8B and CMPXCHG16B: ZF alone tells. */
export function cmpxchg2(half: 4 | 8): (o: Ops) => void {
  return (o) => {
    const va = o.address(0);
    if (half === 8) o.raiseIf(va.and(15).ne(0), VECTOR.GP, 0);
    o.probeWrite(half * 2, va);
    const low = o.load(half, va);
    const high = o.load(half, o.let(va.add(half)));
    const equal = o.let(low.eq(o.reg(0, half)).and(high.eq(o.reg(2, half))));
    const write = (a: E, b: E): void => {
      o.store(half, va, a);
      o.store(half, o.let(va.add(half)), b);
    };
    o.if(
      equal,
      () => write(o.reg(3, half), o.reg(1, half)),
      () => {
        write(low, high);
        o.setReg(0, low, half);
        o.setReg(2, high, half);
      },
    );
    const flags = o.arithmeticFlags();
    o.setArithmeticFlags(flags.and(~S.FLAG.ZF).or(equal.u64().shl(6)));
  };
}

export function bound(o: Ops): void {
  const index = o.let(o.get(0).signExtend(o.size));
  const va = o.address(1);
  const low = o.load(o.size, va);
  o.raiseIf(index.ltS(low.signExtend(o.size)), VECTOR.BR);
  const high = o.load(o.size, o.let(va.add(o.size).zeroExtend(4)));
  o.raiseIf(index.gtS(high.signExtend(o.size)), VECTOR.BR);
}

export function nop(_o: Ops): void {}
