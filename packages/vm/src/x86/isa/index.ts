/** The instruction table: every row of every family, numbered. */
import type { Row } from '../row.ts';
import { ARITH } from './arith.ts';
import { MOVE } from './move.ts';
import { X87_ROWS } from './x87.ts';

const FAMILIES: readonly (readonly Row[])[] = [ARITH, MOVE, X87_ROWS];

export const ROWS: readonly Row[] = FAMILIES.flat();
ROWS.forEach((row, index) => {
  row.index = index;
});
