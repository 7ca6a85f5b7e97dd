/**
 * Which decoded blocks there are: the table that the interpreter searches, and per page of guest memory what to drop
 * when its bytes change. A block is named by the address of its header, which stands right before its records:
 *
 *   i32 host · bytes there · host of the second page · bytes there (0: does not cross) · records · decode mode ·
 *   heat · region slot · member (state.ts BLOCK)
 */
import * as S from '../x86/state.ts';
import type { CodePages } from './code-pages.ts';
import { MICRO } from './interp/handlers.ts';

export const HEADER_BYTES: number = S.BLOCK.SIZE;
const HOST = 0;
const BYTES = 1;
const SECOND_HOST = 2;
const SECOND_BYTES = 3;
const COUNT = 4;
const MODE = 5;
const HEAT = S.BLOCK.HEAT >> 2;
const SLOT = S.BLOCK.SLOT >> 2;

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
  /** Page number of host memory → blocks with bytes in it. */
  readonly #pages = new Map<number, number[]>();
  /** Host address and mode → block. */
  readonly #byKey = new Map<number, number>();

  constructor(buffer: SharedArrayBuffer, codePages: CodePages, area: number) {
    this.#codePages = codePages;
    this.#area = area;
    this.#u16 = new Uint16Array(buffer);
    this.#i32 = new Int32Array(buffer);
  }

  /** The block at `host`, or 0. */
  find(host: number, mode: number): number {
    return this.#byKey.get(keyOf(host, mode)) ?? 0;
  }

  /** Address of the first record of a block, and how many it has. */
  records(block: number): { readonly first: number; readonly count: number } {
    return { first: block + HEADER_BYTES, count: this.#i32[(block >> 2) + COUNT] as number };
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
  joinRegion(block: number, level: 1 | 2, heat: number): void {
    this.#i32[(block + S.BLOCK.MEMBER) >> 2] = level;
    if (this.regionOf(block) === 0) this.#i32[(block >> 2) + HEAT] = heat;
  }
  isMember(block: number): boolean {
    return this.#i32[(block + S.BLOCK.MEMBER) >> 2] !== 0;
  }
  heatOf(block: number): number {
    return this.#i32[(block >> 2) + HEAT] as number;
  }
  regionOf(block: number): number {
    return this.#i32[(block >> 2) + SLOT] as number;
  }

  /** Adds the block whose header is at `block` and whose records follow it. */
  add(block: number, extent: BlockExtent): void {
    const { host, bytes, secondHost, secondBytes, count, mode, heat, slot } = extent;
    this.#i32.set([host | 0, bytes, secondHost | 0, secondBytes, count, mode, heat, slot, 0], block >> 2);
    this.#byKey.set(keyOf(host, mode), block);
    this.expose(block);
    this.#remember(host >>> 12, block);
    if (secondBytes > 0) this.#remember(secondHost >>> 12, block);
  }

  #slot(block: number): number {
    const hash = Math.imul(this.#i32[(block >> 2) + HOST] as number, S.BLOCK_HASH) >>> S.BLOCK_HASH_SHIFT;
    return this.#area + S.BLOCK_TABLE + hash * 16;
  }

  /** Enters a block into the two-way table that the interpreter searches; it may push an older one out. */
  expose(block: number): void {
    const slot = this.#slot(block);
    const first = slot >> 2;
    this.#i32.copyWithin((slot ^ 16) >> 2, first, first + 3);
    this.#i32[first] = this.#i32[(block >> 2) + HOST] as number;
    this.#i32[first + 1] = this.#i32[(block >> 2) + MODE] as number;
    this.#i32[first + 2] = block + HEADER_BYTES;
  }

  #remember(page: number, block: number): void {
    const list = this.#pages.get(page);
    if (list === undefined) {
      this.#pages.set(page, [block]);
      this.#codePages.hold(page);
    } else list.push(block);
  }

  /** Bytes at `hostAddress` were written: drops the blocks they belong to. */
  written(hostAddress: number, bytes: number): void {
    const host = hostAddress >>> 0;
    for (let page = host >>> 12; page <= (host + bytes - 1) >>> 12; page++) {
      const list = this.#pages.get(page);
      if (list === undefined) continue;
      const kept = list.filter((block) => {
        if (!this.#overlaps(block, host, bytes)) return true;
        this.#kill(block);
        return false;
      });
      if (kept.length > 0) this.#pages.set(page, kept);
      else this.#forget(page);
    }
  }

  #overlaps(block: number, host: number, bytes: number): boolean {
    const words = block >> 2;
    const first = (this.#i32[words + HOST] as number) >>> 0;
    const second = (this.#i32[words + SECOND_HOST] as number) >>> 0;
    return (
      (host < first + (this.#i32[words + BYTES] as number) && first < host + bytes) ||
      (host < second + (this.#i32[words + SECOND_BYTES] as number) && second < host + bytes)
    );
  }

  #forget(page: number): void {
    this.#pages.delete(page);
    this.#codePages.release(page);
  }

  /**
   * Every record becomes STALE: even the block in progress stops before its next instruction, and jump-cache entries
   * that lead here go when they are used.
   */
  #kill(block: number): void {
    const { first, count } = this.records(block);
    for (let i = 0; i < count; i++) this.#u16[(first + i * S.REC.SIZE) >> 1] = MICRO.STALE;
    const slot = this.#slot(block);
    for (const way of [slot, slot ^ 16]) {
      if (this.#i32[(way + 8) >> 2] === first) this.#i32[way >> 2] = 0;
    }
    const { host, mode } = this.identity(block);
    if (this.find(host, mode) === block) this.#byKey.delete(keyOf(host, mode));
  }

  /** Forgets all blocks. */
  clear(): void {
    for (const page of [...this.#pages.keys()]) this.#forget(page);
    this.#byKey.clear();
    const table = (this.#area + S.BLOCK_TABLE) >> 2;
    this.#i32.fill(0, table, table + S.BLOCK_TABLE_ENTRIES * 4);
  }
}

function keyOf(host: number, mode: number): number {
  return mode * 2 ** 32 + (host >>> 0);
}
