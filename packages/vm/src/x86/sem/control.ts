/** Near control transfers (SDM volume 1, 7.3.8). */
import { type E, type Ops, select, VECTOR } from '../ops.ts';

/** A near branch to a non-canonical address is #GP(0) of the branch itself (CALL: before it pushes). */
function canonical(o: Ops, target: E): E {
  if (o.size === 8) o.raiseIf(target.shl(16).shrS(16).ne(target), VECTOR.GP, 0);
  return target;
}

export function jmp(o: Ops): void {
  o.jump(canonical(o, o.get(0)));
}
export function jcc(cc: number): (o: Ops) => void {
  return (o) => {
    const target = o.get(0);
    o.jump(select(o.condition(cc), target, o.nextRip));
  };
}
export function call(o: Ops): void {
  const target = canonical(o, o.get(0));
  o.push(o.nextRip);
  o.jump(target);
}
export function ret(o: Ops): void {
  const target = canonical(o, o.peek());
  const extra = o.row.operands.length > 0 ? o.get(0).zeroExtend(2) : null;
  o.moveStack(extra === null ? o.size : extra.add(o.size));
  o.jump(target);
}
/** JCXZ JECXZ JRCXZ, by address size. */
export function jcxz(o: Ops): void {
  const target = o.get(0);
  o.jump(select(o.reg(1).and(o.addressMask).eqz(), target, o.nextRip));
}
/** LOOP, LOOPE, LOOPNE: `condition` on ZF as i32, or null. */
export function loop(kind: 'always' | 'equal' | 'notEqual'): (o: Ops) => void {
  return (o) => {
    const target = o.get(0);
    const mask = o.addressMask;
    const old = o.reg(1);
    const left = o.let(old.sub(1).and(mask));
    let again: E = left.ne(0);
    if (kind === 'equal') again = again.and(o.zf());
    if (kind === 'notEqual') again = again.and(o.zf().eqz());
    const taken = o.let(again);
    o.setReg(1, select(mask.eq(0xffff), old.and(~0xffffn), 0).or(left));
    o.jump(select(taken, target, o.nextRip));
  };
}
