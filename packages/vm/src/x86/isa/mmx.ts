/** MMX moves; the arithmetic that mm and xmm registers share is in sse-int.ts. */
import { type Row, row } from '../row.ts';
import * as move from '../sem/sse-move.ts';

export const MMX: readonly Row[] = [
  row('MOVD Pq:w,Ed | NP 0F 6E /r | w0 feature=mmx', move.mmxMove),
  row('MOVQ Pq:w,Eq | NP 0F 6E /r | w1 feature=mmx', move.mmxMove),
  row('MOVD Ed:w,Pq | NP 0F 7E /r | w0 feature=mmx', move.mmxToGeneral),
  row('MOVQ Eq:w,Pq | NP 0F 7E /r | w1 feature=mmx', move.mmxToGeneral),
  row('MOVQ Pq:w,Qq | NP 0F 6F /r | feature=mmx', move.mmxMove),
  row('MOVQ Qq:w,Pq | NP 0F 7F /r | feature=mmx', move.mmxMove),
  row('MOVNTQ Qq:w,Pq | NP 0F E7 /rm | feature=sse', move.mmxMove),
  row('PMOVMSKB Gd:w,Nq | NP 0F D7 /rr | feature=sse', move.mmxSignMask),
  row('MASKMOVQ Pq,Nq | NP 0F F7 /rr | feature=sse', move.maskedStore),
  row('MOVQ2DQ Vx:w,Nq | F3 0F D6 /rr | feature=sse2', move.moveQ2dq),
  row('MOVDQ2Q Pq:w,Uq | F2 0F D6 /rr | feature=sse2', move.moveDq2q),
  row('EMMS | NP 0F 77 | feature=mmx', move.emms),
];
