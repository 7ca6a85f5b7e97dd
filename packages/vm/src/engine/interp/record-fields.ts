/** What a decoded record says, as expressions: shared by instructions and micro-operations. */
import type { B } from '../../x86/block.ts';
import { apply, type E, i64, select } from '../../x86/expr.ts';
import * as S from '../../x86/state.ts';

const { REC } = S;

/** Base + index << scale + displacement, all 64 bits of it. */
export function addressSum(b: B, record: E): E {
  const register = (field: number): E =>
    apply('i64.load', [b.cpu.add(apply('i32.load16_u', [record], field))]);
  const index = register(REC.INDEX).shl(apply('i64.load8_u', [record], REC.SHIFT));
  return b.let(
    register(REC.BASE)
      .add(index)
      .add(apply('i64.load', [record], REC.DISP)),
  );
}

/** Mask of the effective address size: all ones, 32 or 16 bits, i64. */
export function addressMask(b: B, record: E): E {
  const flags = b.let(apply('i32.load8_u', [record], REC.FLAGS));
  const narrow = select(flags.and(S.RECORD_FLAG.ADDRESS_16), i64(0xffff), i64(0xffffffffn));
  return b.let(select(flags.and(S.RECORD_FLAG.ADDRESS_16 | S.RECORD_FLAG.ADDRESS_32), narrow, i64(-1)));
}
