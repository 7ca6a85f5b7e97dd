/** Every warm function of the x87. */
import type { Definition } from '../block.ts';
import { EXT80_ARITH } from './ext80-arith.ts';
import { EXT80_ATAN } from './ext80-atan.ts';
import { EXT80_CONVERT } from './ext80-convert.ts';
import { EXT80_LOG } from './ext80-log.ts';
import { EXT80_REMAINDER } from './ext80-remainder.ts';
import { EXT80_ROUND } from './ext80-round.ts';
import { EXT80_TRIG } from './ext80-trig.ts';
import { EXT80_WIDE } from './ext80-wide.ts';
import { X87_FUNCTIONS } from './x87-functions.ts';
import { X87_STACK } from './x87-stack.ts';

export const X87_DEFINITIONS: readonly Definition[] = [
  ...EXT80_ROUND,
  ...EXT80_ARITH,
  ...EXT80_CONVERT,
  ...EXT80_REMAINDER,
  ...EXT80_WIDE,
  ...EXT80_TRIG,
  ...EXT80_LOG,
  ...EXT80_ATAN,
  ...X87_STACK,
  ...X87_FUNCTIONS,
];
