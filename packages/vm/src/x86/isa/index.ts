/** The instruction table: every row of every family, numbered. */
import type { Row } from '../row.ts';
import { ARITH } from './arith.ts';
import { MMX } from './mmx.ts';
import { MOVE } from './move.ts';
import { SSE4 } from './sse4.ts';
import { SSE_FP } from './sse-fp.ts';
import { SSE_INT } from './sse-int.ts';
import { SSE_MOVE } from './sse-move.ts';
import { SYSTEM } from './system.ts';
import { X87_ROWS } from './x87.ts';

const FAMILIES: readonly (readonly Row[])[] = [
  ARITH,
  MOVE,
  SYSTEM,
  X87_ROWS,
  SSE_MOVE,
  SSE_FP,
  SSE_INT,
  SSE4,
  MMX,
];

export const ROWS: readonly Row[] = FAMILIES.flat();
ROWS.forEach((row, index) => {
  row.index = index;
});
