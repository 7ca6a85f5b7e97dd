/** Warm functions of MMX and SSE. */
import type { Definition } from '../block.ts';
import { SOFTFLOAT_DEFINITIONS } from './softfloat.ts';
import { ARITH_DEFINITIONS } from './softfloat-arith.ts';
import { CONVERT_DEFINITIONS } from './softfloat-convert.ts';
import { DOT_DEFINITIONS } from './sse-arith.ts';
import { STRING_DEFINITIONS } from './sse-string.ts';

export const SSE_DEFINITIONS: readonly Definition[] = [
  ...SOFTFLOAT_DEFINITIONS,
  ...ARITH_DEFINITIONS,
  ...CONVERT_DEFINITIONS,
  ...DOT_DEFINITIONS,
  ...STRING_DEFINITIONS,
];
