/** The instruction table: every row of every family, numbered. */
import type { Row } from '../row.ts';

const FAMILIES: readonly (readonly Row[])[] = [];

export const ROWS: readonly Row[] = FAMILIES.flat();
ROWS.forEach((row, index) => {
  row.index = index;
});
