/** Locals that every region has under fixed numbers; temporaries follow. */
import type { Ty } from '../../wasm/opcodes.ts';

export const LOCAL = {
  GPR: 0,
  XMM: 16,
  /** FLAG_KIND and operands (flags.ts). */
  FLAGS_A: 32,
  FLAGS_B: 33,
  FLAGS_KIND: 34,
  BUDGET: 35,
  /** Host address of the TLB of the current access mode. */
  TLB: 36,
  /** Linear address of the entry. */
  BASE: 37,
  /** Where execution goes on, and how (REGION_STATUS), on the way to the epilogue. */
  RIP: 38,
  STATUS: 39,
} as const;

export const LOCAL_TYPES: readonly Ty[] = [
  ...new Array<Ty>(16).fill('i64'),
  ...new Array<Ty>(16).fill('v128'),
  'i64',
  'i64',
  'i32',
  'i32',
  'i32',
  'i64',
  'i64',
  'i32',
];
