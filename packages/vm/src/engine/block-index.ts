/**
 * Which decoded blocks there are: the table that the interpreter searches, and per page of guest memory what to drop
 * when its bytes change. A block is named by the address of its header, which stands right before its records:
 *
 *   i32 host · decode mode · next of the same table entry · next of its page · next of its second page ·
 *   bytes | bytes in the second page << 13 | records << 17 · heat · region slot · member (state.ts BLOCK) ·
 *   host of the second page
 *
 * A page's list goes through both kinds of links: bit 0 of a link says that the block is there by its second page.
 */
import * as S from '../x86/state.ts';
import type { CodePages } from './code-pages.ts';
import { MICRO } from './interp/handlers.ts';

export const HEADER_BYTES: number = S.BLOCK.SIZE;
const HOST = S.BLOCK.HOST >> 2;
const MODE = S.BLOCK.MODE >> 2;
const NEXT = S.BLOCK.NEXT >> 2;
const PAGE_NEXT = 3;
const SECOND_NEXT = 4;
const EXTENT = 5;
const SECOND_SHIFT = 13;
const COUNT_SHIFT = 17;
const HEAT = S.BLOCK.HEAT >> 2;
const SLOT = S.BLOCK.SLOT >> 2;
const MEMBER = S.BLOCK.MEMBER >> 2;
const SECOND_HOST = 9;

export interface BlockExtent {
  readonly host: number;
  /** Bytes from `host`; a crossing instruction's bytes in the second page start at `secondHost`. */
  readonly bytes: number;
  readonly secondHost: number;
  readonly secondBytes: number;
  /** Number of records. */
  readonly count: number;
  readonly mode: number;
  readonly heat: number;
  readonly slot: number;
}

export class BlockIndex {
  readonly #codePages: CodePages;
  readonly #area: number;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  /** By page number of host memory: link to the first block with bytes in it, 0 = none. */
  readonly #pages: Int32Array;
  /** Pages that have had blocks since everything was forgotten. */
  #held: number[] = [];

  constructor(buffer: SharedArrayBuffer, codePages: CodePages, area: number) {
    this.#codePages = codePages;
    this.#area = area;
    this.#u16 = new Uint16Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#pages = new Int32Array(buffer.byteLength >>> 12);
  }

  /** Where in `#i32` the list of the blocks at `host` begins. */
  #entry(host: number): number {
    return ((this.#area + S.BLOCK_TABLE) >> 2) + (Math.imul(host, S.BLOCK_HASH) >>> S.BLOCK_HASH_SHIFT);
  }

  /** The block at `host`, or 0. */
  find(host: number, mode: number): number {
    const i32 = this.#i32;
    let block = i32[this.#entry(host)] as number;
    while (block !== 0) {
      const words = block >> 2;
      if (i32[words + HOST] === (host | 0) && i32[words + MODE] === mode) return block;
      block = i32[words + NEXT] as number;
    }
    return 0;
  }

  /** Address of the first record of a block, and how many it has. */
  records(block: number): { readonly first: number; readonly count: number } {
    const extent = this.#i32[(block >> 2) + EXTENT] as number;
    return { first: block + HEADER_BYTES, count: extent >>> COUNT_SHIFT };
  }

  /** Host address and decode mode of a block. */
  identity(block: number): { readonly host: number; readonly mode: number } {
    return {
      host: (this.#i32[(block >> 2) + HOST] as number) >>> 0,
      mode: this.#i32[(block >> 2) + MODE] as number,
    };
  }

  /** @param slot region slot, 0 = none */
  setRegion(block: number, slot: number, heat: number): void {
    this.#i32[(block >> 2) + SLOT] = slot;
    this.#i32[(block >> 2) + HEAT] = heat;
  }
  /** The block is part of a region that begins elsewhere. */
  joinRegion(block: number, heat: number): void {
    this.#i32[(block >> 2) + MEMBER] = 1;
    if (this.regionOf(block) === 0) this.#i32[(block >> 2) + HEAT] = heat;
  }
  isMember(block: number): boolean {
    return this.#i32[(block >> 2) + MEMBER] !== 0;
  }
  heatOf(block: number): number {
    return this.#i32[(block >> 2) + HEAT] as number;
  }
  regionOf(block: number): number {
    return this.#i32[(block >> 2) + SLOT] as number;
  }

  /** Adds the block whose header is at `block` and whose records follow it. There is none at its place. */
  add(block: number, extent: BlockExtent): void {
    const { host, secondHost, secondBytes } = extent;
    const i32 = this.#i32;
    const words = block >> 2;
    const entry = this.#entry(host);
    i32[words + HOST] = host | 0;
    i32[words + MODE] = extent.mode;
    i32[words + NEXT] = i32[entry] as number;
    i32[words + EXTENT] = extent.bytes | (secondBytes << SECOND_SHIFT) | (extent.count << COUNT_SHIFT);
    i32[words + HEAT] = extent.heat;
    i32[words + SLOT] = extent.slot;
    i32[words + MEMBER] = 0;
    i32[words + SECOND_HOST] = secondHost | 0;
    i32[entry] = block;
    i32[words + PAGE_NEXT] = this.#remember(host >>> 12, block);
    if (secondBytes > 0) i32[words + SECOND_NEXT] = this.#remember(secondHost >>> 12, block | 1);
  }

  /** @returns what was first in the page's list before */
  #remember(page: number, link: number): number {
    const first = this.#pages[page] as number;
    this.#pages[page] = link;
    if (first === 0) {
      this.#held.push(page);
      this.#codePages.hold(page);
    }
    return first;
  }

  /** All blocks that are counted need so many executions less to be hot. */
  lowerHeat(less: number): void {
    const i32 = this.#i32;
    const first = (this.#area + S.BLOCK_TABLE) >> 2;
    for (let entry = first; entry < first + S.BLOCK_TABLE_ENTRIES; entry++) {
      for (let block = i32[entry] as number; block !== 0; ) {
        const words = block >> 2;
        const heat = i32[words + HEAT] as number;
        if (heat <= S.HEAT_NEVER / 2) i32[words + HEAT] = Math.max(1, heat - less);
        block = i32[words + NEXT] as number;
      }
    }
  }

  /** Bytes at `hostAddress` were written: drops the blocks they belong to. */
  written(hostAddress: number, bytes: number): void {
    const host = hostAddress >>> 0;
    for (let page = host >>> 12; page <= (host + bytes - 1) >>> 12; page++) {
      if (this.#pages[page] !== 0) this.#writtenPage(page, host, bytes);
    }
  }

  #writtenPage(page: number, host: number, bytes: number): void {
    const i32 = this.#i32;
    let link = this.#pages[page] as number;
    let kept = -1; // where in `#i32` the link stands that leads on from what is kept; −1: the page's first
    while (link !== 0) {
      const block = link & ~1;
      const place = (block >> 2) + ((link & 1) === 0 ? PAGE_NEXT : SECOND_NEXT);
      const next = i32[place] as number;
      if (!this.#overlaps(block, host, bytes)) kept = place;
      else {
        this.#kill(block);
        if (kept < 0) this.#pages[page] = next;
        else i32[kept] = next;
      }
      link = next;
    }
    if (this.#pages[page] === 0) this.#codePages.release(page);
  }

  #overlaps(block: number, host: number, bytes: number): boolean {
    const words = block >> 2;
    const extent = this.#i32[words + EXTENT] as number;
    const there = extent & ((1 << SECOND_SHIFT) - 1);
    const first = (this.#i32[words + HOST] as number) >>> 0;
    if (host < first + there && first < host + bytes) return true;
    const secondBytes = (extent >>> SECOND_SHIFT) & ((1 << (COUNT_SHIFT - SECOND_SHIFT)) - 1);
    const second = (this.#i32[words + SECOND_HOST] as number) >>> 0;
    return host < second + secondBytes && second < host + bytes;
  }

  /**
   * Every record becomes STALE: even the block in progress stops before its next instruction, and jump-cache entries
   * that lead here go when they are used.
   */
  #kill(block: number): void {
    const { first, count } = this.records(block);
    for (let i = 0; i < count; i++) this.#u16[(first + i * S.REC.SIZE) >> 1] = MICRO.STALE;
    // a block in two pages may be killed once from each
    const i32 = this.#i32;
    let place = this.#entry(i32[(block >> 2) + HOST] as number);
    for (let at = i32[place] as number; at !== 0; at = i32[place] as number) {
      if (at === block) {
        i32[place] = i32[(block >> 2) + NEXT] as number;
        return;
      }
      place = (at >> 2) + NEXT;
    }
  }

  /** Forgets all blocks. */
  clear(): void {
    for (const page of this.#held) {
      if (this.#pages[page] === 0) continue;
      this.#pages[page] = 0;
      this.#codePages.release(page);
    }
    this.#held = [];
    const table = (this.#area + S.BLOCK_TABLE) >> 2;
    this.#i32.fill(0, table, table + S.BLOCK_TABLE_ENTRIES);
  }
}
