/** The data TLBs of one vCPU (state.ts TLB): what is dropped of them, by the journals that the fill keeps. */
import * as S from '../../x86/state.ts';

export class Tlbs {
  readonly #area: number;
  readonly #i32: Int32Array;
  readonly #i64: BigInt64Array;

  /** @param area host address of the vCPU's area */
  constructor(buffer: SharedArrayBuffer, area: number) {
    this.#area = area;
    this.#i32 = new Int32Array(buffer);
    this.#i64 = new BigInt64Array(buffer);
  }

  /** Drops everything, or all but global pages. */
  flush(global: boolean): void {
    this.#drop(S.JOURNAL, S.JOURNAL_COUNT, global);
    if (!global) return;
    this.#drop(S.JOURNAL_GLOBAL, S.JOURNAL_GLOBAL_COUNT, true);
    this.#i32.fill(0, (this.#area + S.LARGE_PAGES) >> 2, (this.#area + S.LARGE_PAGES + 512) >> 2);
  }

  /** Drops the page of `va`, be it large. */
  invalidate(va: bigint): void {
    const index = Number((va >> 12n) & BigInt(S.TLB_ENTRIES - 1));
    for (let t = 0; t < 3; t++) this.#resetEntry(this.#area + S.TLB + t * S.TLB_BYTES + index * S.TLB_ENTRY);
    const region = Number((va >> 21n) & 0xfffn);
    const word = this.#i32[(this.#area + S.LARGE_PAGES + ((region >> 3) & 0x1fc)) >> 2] as number;
    if (((word >>> (region & 31)) & 1) !== 0) {
      this.#invalidateRegion(va, S.JOURNAL, S.JOURNAL_COUNT);
      this.#invalidateRegion(va, S.JOURNAL_GLOBAL, S.JOURNAL_GLOBAL_COUNT);
    }
  }

  #get(offset: number): number {
    return this.#i32[(this.#area + offset) >> 2] as number;
  }
  #set(offset: number, value: number): void {
    this.#i32[(this.#area + offset) >> 2] = value;
  }

  /** Drops the TLB entries of a journal; an entry that has gone to a global page since stays, unless `global`. */
  #drop(journal: number, counter: number, global: boolean): void {
    const count = this.#get(counter);
    if (count > S.JOURNAL_ENTRIES) {
      this.reset();
      return;
    }
    const first = (this.#area + journal) >> 2;
    for (let i = first; i < first + count; i++) {
      const entry = this.#i32[i] as number;
      if (global || ((this.#i32[(entry + 20) >> 2] as number) & 2) === 0) this.#resetEntry(entry);
    }
    this.#set(counter, 0);
  }

  /** Drops every piece of a large page of a journal that may lie in the 1 GiB around `va`. */
  #invalidateRegion(va: bigint, journal: number, counter: number): void {
    const count = this.#get(counter);
    if (count > S.JOURNAL_ENTRIES) {
      this.reset();
      return;
    }
    const gigabyte = BigInt.asIntN(64, va) >> 30n;
    const first = (this.#area + journal) >> 2;
    for (let i = first; i < first + count; i++) {
      const entry = this.#i32[i] as number;
      if (((this.#i32[(entry + 20) >> 2] as number) & 8) === 0) continue;
      if ((this.#i64[entry >> 3] as bigint) >> 30n === gigabyte) this.#resetEntry(entry);
    }
  }

  /** Gives an entry tags that no address with its index matches. */
  #resetEntry(entry: number): void {
    const index = ((entry - this.#area - S.TLB) >> 5) & (S.TLB_ENTRIES - 1);
    const words = entry >> 2;
    const tag = (index ^ 1) << 12;
    this.#i32[words] = tag;
    this.#i32[words + 1] = 0;
    this.#i32[words + 2] = tag;
    this.#i32[words + 3] = 0;
    this.#i32[words + 4] = 0;
  }

  /** Empties all of them. */
  reset(): void {
    for (let entry = this.#area + S.TLB, end = entry + 4 * S.TLB_BYTES; entry < end; entry += S.TLB_ENTRY) {
      this.#resetEntry(entry);
    }
    this.#set(S.JOURNAL_COUNT, 0);
    this.#set(S.JOURNAL_GLOBAL_COUNT, 0);
  }
}
