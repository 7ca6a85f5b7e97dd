/**
 * Links between blocks: a branch remembers, in its record, where it led last (state.ts LINK). Following one compares RIP
 * and goes to a record known already, so the processor predicts the way from block to block instead of waiting for RIP,
 * its hash and the jump cache.
 */
import * as S from '../../x86/state.ts';
import { type Assembler, CPU, ENTRY_LOCAL, LINK_LOCAL, REC_LOCAL, RIP_LOCAL } from './assembler.ts';

/**
 * At a branch with links that is done: spends its block's budget and goes on in the block of the link for RIP, if what the
 * jump cache would say of that is still true. Otherwise the caller looks RIP up, and that sets a link. The loop `next` is
 * `next` labels further out.
 */
export function followLink(a: Assembler, links: 1 | 2, next: number, enterBlock: () => void): void {
  a.op(0x02, 0x40); // block
  a.get(CPU);
  a.get(CPU);
  a.load(S.BUDGET);
  a.get(REC_LOCAL);
  a.load16u(S.REC.COUNT);
  a.op(0x41, 1, 0x6a, 0x6b); // i32.const 1, add, sub
  a.tee(ENTRY_LOCAL);
  a.store(S.BUDGET);
  a.get(REC_LOCAL);
  a.set(LINK_LOCAL);
  a.get(ENTRY_LOCAL);
  a.i32(0);
  a.op(0x4c); // le_s
  a.get(CPU);
  a.load(0);
  a.op(0x72, 0x0d, 0); // or, br_if
  a.get(CPU);
  a.load64(S.RIP);
  a.tee(RIP_LOCAL);
  a.get(REC_LOCAL);
  a.load64(S.LINK.RIP);
  a.op(0x52); // i64.ne
  if (links === 1)
    a.op(0x0d, 0); // br_if
  else {
    a.op(0x04, 0x40); // if
    a.get(RIP_LOCAL);
    a.get(REC_LOCAL);
    a.load64(S.LINK.RIP + S.REC.SIZE);
    a.op(0x52, 0x0d, 1); // i64.ne, br_if
    a.get(REC_LOCAL);
    a.i32(S.REC.SIZE);
    a.op(0x6a); // add
    a.set(LINK_LOCAL);
    a.op(0x0b); // end
  }
  a.get(CPU);
  a.load(S.JUMP_KEY);
  a.get(LINK_LOCAL);
  a.load(S.LINK.KEY);
  a.op(0x47, 0x0d, 0); // ne, br_if
  // a block that was dropped since, or has a region now
  a.get(LINK_LOCAL);
  a.load(S.LINK.RECORD);
  a.tee(ENTRY_LOCAL);
  a.load16u(S.REC.HANDLER);
  a.op(0x45, 0x0d, 0); // eqz, br_if
  a.get(ENTRY_LOCAL);
  a.i32(S.BLOCK.SLOT - S.BLOCK.SIZE);
  a.op(0x6a); // add
  a.load(0);
  a.op(0x0d, 0); // br_if
  a.get(ENTRY_LOCAL);
  a.set(REC_LOCAL);
  a.i32(0);
  a.set(LINK_LOCAL);
  enterBlock();
  a.br(next + 1);
  a.op(0x0b); // end
  if (links === 2) otherLink(a);
}

/** LINK = the second link, if the first is in use for another address. */
function otherLink(a: Assembler): void {
  a.get(REC_LOCAL);
  a.load(S.LINK.KEY);
  a.get(CPU);
  a.load(S.JUMP_KEY);
  a.op(0x46); // eq
  a.get(REC_LOCAL);
  a.load64(S.LINK.RIP);
  a.get(CPU);
  a.load64(S.RIP);
  a.op(0x52, 0x71, 0x04, 0x40); // i64.ne, and, if
  a.get(REC_LOCAL);
  a.i32(S.REC.SIZE);
  a.op(0x6a); // add
  a.set(LINK_LOCAL);
  a.op(0x0b); // end
}

/** The branch in LINK leads to the block at REC; regions are entered through the lookup. */
export function setLink(a: Assembler): void {
  a.get(LINK_LOCAL);
  a.op(0x04, 0x40); // if
  a.get(REC_LOCAL);
  a.op(0x41, 1, 0x71, 0x45, 0x04, 0x40); // i32.const 1, and, eqz, if
  a.get(LINK_LOCAL);
  a.get(RIP_LOCAL);
  a.store64(S.LINK.RIP);
  a.get(LINK_LOCAL);
  a.get(REC_LOCAL);
  a.store(S.LINK.RECORD);
  a.get(LINK_LOCAL);
  a.get(CPU);
  a.load(S.JUMP_KEY);
  a.store(S.LINK.KEY);
  a.op(0x0b); // end
  a.i32(0);
  a.set(LINK_LOCAL);
  a.op(0x0b); // end
}
