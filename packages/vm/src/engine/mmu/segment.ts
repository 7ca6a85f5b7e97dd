/** Limit and type checks of segments that are not flat (SDM volume 3, 5.3–5.5), outside 64-bit mode. */
import { type Definition, define } from '../../x86/block.ts';
import { i32, i64, select } from '../../x86/expr.ts';
import { HAS_ERROR_CODE, VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';

/** Sets FAULT (#GP(0), or #SS(0) for SS) when `bytes` at `offset` in segment `number` must not be accessed. */
const checkSegment = define(
  'check_segment',
  ['i64', 'i64', 'i32', 'i32'],
  null,
  (b, offset, bytes, number, write) => {
    b.if(b.state32(S.CODE_MODE).eq(2), () => b.return());
    const at = b.let(b.cpu.add(number.mul(S.SEGMENT_STRIDE)));
    const attributes = b.hostLoad('i32.load', at, S.SEGMENTS + S.SEG_ATTRIBUTES);
    const limit = b.let(b.hostLoad('i32.load', at, S.SEGMENTS + S.SEG_LIMIT).u64());
    const code = b.let(attributes.and(8).ne(0));
    const bit1 = b.let(attributes.and(2).ne(0));
    const bad = b.var('i32', attributes.and(0x80).eqz());
    // a code segment is never writable and needs its readable bit; a data segment needs its writable bit
    bad.set(
      bad
        .get()
        .or(write.and(code.or(bit1.eqz())))
        .or(code.and(bit1.eqz())),
    );
    const last = b.let(offset.add(bytes).sub(1));
    const down = b.let(code.eqz().and(attributes.and(4).ne(0)));
    const top = select(attributes.and(1 << 14), i64(0xffffffffn), i64(0xffff));
    const outside = select(down, offset.leU(limit).or(last.gtU(top)), last.gtU(limit));
    bad.set(bad.get().or(outside));
    b.if(bad.get(), () => {
      b.setState32(S.FAULT, select(number.eq(S.SEG.SS), i32(VECTOR.SS), i32(VECTOR.GP)).or(HAS_ERROR_CODE));
      b.setState32(S.FAULT_CODE, 0);
    });
  },
);

export const SEGMENT_DEFINITIONS: readonly Definition[] = [checkSegment];
