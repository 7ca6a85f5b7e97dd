/** Every warm function of the interpreter module: memory unit, micro-operations, what semantics call. */
import type { Definition } from '../../x86/block.ts';
import { DEFINITIONS } from '../../x86/program.ts';
import { ACCESS_DEFINITIONS } from '../mmu/access.ts';
import { FETCH_DEFINITIONS } from '../mmu/fetch.ts';
import { FLUSH_DEFINITIONS } from '../mmu/flush.ts';
import { SEGMENT_DEFINITIONS } from '../mmu/segment.ts';
import { WALK_DEFINITIONS } from '../mmu/walk.ts';
import { FLAG_DEFINITIONS } from '../translate/flags.ts';
import { GATE_DEFINITIONS } from './gates.ts';
import { MICRO_DEFINITIONS } from './micro.ts';
import { TIMESTAMP_DEFINITIONS } from './timestamp.ts';

export const WARM_DEFINITIONS: readonly Definition[] = [
  ...WALK_DEFINITIONS,
  ...ACCESS_DEFINITIONS,
  ...FETCH_DEFINITIONS,
  ...SEGMENT_DEFINITIONS,
  ...FLUSH_DEFINITIONS,
  ...MICRO_DEFINITIONS,
  ...FLAG_DEFINITIONS,
  ...GATE_DEFINITIONS,
  ...TIMESTAMP_DEFINITIONS,
  ...DEFINITIONS,
];
