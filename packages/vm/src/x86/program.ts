/** Warm functions that instruction semantics call (`call(name, …)`), by family. */
import type { Definition } from './block.ts';
import { SSE_DEFINITIONS } from './sem/sse-definitions.ts';
import { STRING_DEFINITIONS } from './sem/string.ts';
import { WIDE_DEFINITIONS } from './sem/wide.ts';
import { X87_DEFINITIONS } from './sem/x87-definitions.ts';

export const DEFINITIONS: readonly Definition[] = [
  ...STRING_DEFINITIONS,
  ...WIDE_DEFINITIONS,
  ...X87_DEFINITIONS,
  ...SSE_DEFINITIONS,
];
