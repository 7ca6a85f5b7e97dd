/**
 * Which pages of guest memory hold decoded or translated code of this vCPU. Such a page carries PageFlag.CODE, and no
 * TLB entry permits writes to it: every write passes the slow path, which tells what was overwritten.
 */
import { type MemoryLayout, PageFlag } from '../machine/layout.ts';
import * as S from '../x86/state.ts';

export class CodePages {
  readonly #layout: MemoryLayout;
  readonly #area: number;
  readonly #u8: Uint8Array;
  readonly #i32: Int32Array;
  /** By page number of host memory: how many hold it. */
  readonly #holders: Uint8Array;

  constructor(buffer: SharedArrayBuffer, layout: MemoryLayout, area: number) {
    this.#layout = layout;
    this.#area = area;
    this.#u8 = new Uint8Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#holders = new Uint8Array(buffer.byteLength >>> 12);
  }

  /** From now on writes to the page are told, until as many releases. */
  hold(page: number): void {
    const holders = this.#holders[page] as number;
    this.#holders[page] = holders + 1;
    if (holders === 0) this.#mark(page);
  }

  release(page: number): void {
    const holders = (this.#holders[page] as number) - 1;
    this.#holders[page] = holders;
    if (holders === 0) Atomics.and(this.#u8, this.#flag(page), ~PageFlag.CODE);
  }

  #flag(page: number): number {
    return this.#layout.pageFlags + (page - (this.#layout.ramOffset >>> 12));
  }

  /** Flags the page and takes write permission for it out of the TLBs. */
  #mark(page: number): void {
    Atomics.or(this.#u8, this.#flag(page), PageFlag.CODE);
    const host = page << 12;
    const start = this.#area + S.TLB;
    for (let entry = start; entry < start + 3 * S.TLB_BYTES; entry += S.TLB_ENTRY) {
      const words = entry >> 2;
      if (this.#i32[words + 4] !== host) continue;
      // a write tag that no address with this index can match
      this.#i32[words + 2] = ((this.#i32[words] as number) & 0xfff000) ^ 0x1000;
      this.#i32[words + 3] = 0;
    }
  }
}
