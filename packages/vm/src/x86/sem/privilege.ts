/** What a change of privilege in 64-bit mode without debugging changes beside CPL (MemoryUnit.modeChanged). */
import type { B } from '../block.ts';
import { type E, select } from '../expr.ts';
import * as S from '../state.ts';

const AC = BigInt(S.FLAG.AC);
const CR4_SMAP = 0x20_0000n;
/** Bit of JUMP_KEY at CPL 3. */
const USER = 0x100;
/** Data TLBs (x86/state.ts TLB). */
const TLB_USER = 0;
const TLB_KERNEL = 1;
const TLB_KERNEL_AC = 2;

/** Host address of one of the data TLBs (x86/state.ts). */
function tlbTable(b: B, index: number): E {
  return b.cpu.add(S.TLB + index * S.TLB_BYTES);
}

/** The kernel's data TLB: with SMAP and AC clear, the one without user pages. */
export function useKernelTlb(b: B): void {
  const smap = b.state64(S.CR4).and(CR4_SMAP).ne(0);
  const strict = b.let(smap.and(b.state64(S.RFLAGS_SYSTEM).and(AC).eqz()));
  b.setState32(S.TLB_TABLE, select(strict, tlbTable(b, TLB_KERNEL), tlbTable(b, TLB_KERNEL_AC)));
}

export function setPrivilege(b: B, cpl: 0 | 3): void {
  b.setState32(S.CPL, cpl);
  const mode = b.state32(S.BLOCK_MODE);
  if (cpl === 3) {
    b.setState32(S.JUMP_KEY, mode.or(USER).or(b.state32(S.KEY_USER)));
    b.setState32(S.TLB_TABLE, tlbTable(b, TLB_USER));
    return;
  }
  b.setState32(S.JUMP_KEY, mode.or(b.state32(S.KEY_KERNEL)));
  useKernelTlb(b);
}

/** i32: data breakpoints or alignment checks are on, so that TLB tables are not the usual ones. */
export function watched(b: B): E {
  return b.state32(S.DATA_BREAKPOINTS).or(b.state32(S.ALIGNMENT_CHECK));
}
