/**
 * Guest code as the translator sees it: the page tables are walked without setting accessed bits, and nothing of the
 * vCPU changes. It needs the shared memory only, so it works on any thread.
 */
import { type MemoryLayout, VCPU_STRIDE } from '../../machine/layout.ts';
import * as S from '../../x86/state.ts';
import type { CodeSource } from './region.ts';

const CR0_PG = 0x8000_0000n;
const CR4_SMEP = 0x10_0000n;
/** Blocks of one entry of the block table that are looked at. */
const LIST_LOOKS = 32;
const PRESENT = 1;
const USER = 4;
const PAGE_SIZE = 0x80;
/** Of the high word of an entry. */
const NO_EXECUTE = 0x8000_0000;
const ADDRESS_HIGH = 0xf_ffff;

/** What decides how linear addresses translate. */
export interface Paging {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly cpl: number;
}

/** Place of a computed call in CALL_TARGETS. */
export function callSite(host: number): number {
  return Math.imul(host, S.BLOCK_HASH) >>> S.CALL_TARGET_SHIFT;
}

export class GuestCode implements CodeSource {
  readonly u8: Uint8Array;
  readonly dispatched: Set<number> = new Set();
  readonly #i32: Int32Array;
  readonly #layout: MemoryLayout;
  readonly #area: number;
  #paging: Paging = { cr0: 0n, cr3: 0n, cr4: 0n, cpl: 0 };
  readonly #pages = new Map<bigint, number>();

  constructor(buffer: SharedArrayBuffer, layout: MemoryLayout, area: number) {
    this.u8 = new Uint8Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#layout = layout;
    this.#area = area;
  }

  /** Before each translation: from now on addresses mean this. */
  setPaging(paging: Paging): void {
    this.#paging = paging;
    this.#pages.clear();
  }

  get tlb(): number | undefined {
    return this.#paging.cpl === 3 ? this.#area + S.TLB : undefined;
  }

  fetch(rip: bigint): number {
    const page = rip >> 12n;
    let host = this.#pages.get(page);
    if (host === undefined) {
      host = this.#translate(BigInt.asUintN(64, rip) & ~0xfffn);
      this.#pages.set(page, host);
    }
    return host === 0 ? 0 : host + Number(rip & 0xfffn);
  }

  /** Host address of an executable page, or 0. */
  #translate(va: bigint): number {
    const { cr0, cr3, cr4, cpl } = this.#paging;
    if ((cr0 & CR0_PG) === 0n) return this.#host(Number(va & 0xffff_ffffn));
    if (BigInt.asUintN(64, BigInt.asIntN(48, va)) !== va) return 0;
    let table = Number(cr3 & 0xf_ffff_ffff_f000n);
    let user = true;
    for (let level = 39n; ; level -= 9n) {
      const at = this.#host(table + Number((va >> level) & 511n) * 8);
      if (at === 0) return 0;
      const low = this.#i32[at >>> 2] as number;
      const high = this.#i32[(at >>> 2) + 1] as number;
      if ((low & PRESENT) === 0 || (high & NO_EXECUTE) !== 0) return 0;
      if ((low & USER) === 0) user = false;
      const address = (high & ADDRESS_HIGH) * 2 ** 32 + ((low & ~0xfff) >>> 0);
      if (level === 12n || (level < 39n && (low & PAGE_SIZE) !== 0)) {
        if (cpl === 3 ? !user : user && (cr4 & CR4_SMEP) !== 0n) return 0;
        const inside = Number(va & ((1n << level) - 1n));
        return this.#host(address - (address % 2 ** Number(level)) + inside);
      }
      table = address;
    }
  }

  /** Host address of guest-physical RAM, or 0. */
  #host(gpa: number): number {
    for (const { gpa: first, size, offset } of this.#layout.regions) {
      if (gpa >= first && gpa < first + size) return offset + (gpa - first);
    }
    return 0;
  }

  heat(host: number, mode: number): number {
    const header = this.#header(host, mode);
    if (header === 0) return 0;
    const threshold = this.#i32[(this.#area + S.HEAT_BEGIN) >> 2] as number;
    const left = this.#i32[(header + S.BLOCK.HEAT) >> 2] as number;
    const asked =
      left > S.HEAT_NEVER / 2 ||
      this.#i32[(header + S.BLOCK.SLOT) >> 2] !== 0 ||
      this.#i32[(header + S.BLOCK.MEMBER) >> 2] !== 0;
    return asked ? threshold : Math.max(0, threshold - left);
  }
  calledFrom(host: number): bigint {
    const words = (this.#area + S.CALL_TARGETS + callSite(host) * 8) >> 2;
    return (BigInt(this.#i32[words + 1] as number) << 32n) | BigInt((this.#i32[words] as number) >>> 0);
  }

  /**
   * Header of the decoded block at `host`, or 0. The vCPU may drop all blocks meanwhile and write others over them, so
   * what is read may be anything.
   */
  #header(host: number, mode: number): number {
    const hash = Math.imul(host, S.BLOCK_HASH) >>> S.BLOCK_HASH_SHIFT;
    const first = this.#area + S.RECORDS;
    const last = this.#area + VCPU_STRIDE - S.BLOCK.SIZE;
    let block = this.#i32[(this.#area + S.BLOCK_TABLE + hash * 4) >> 2] as number;
    for (let looks = 0; looks < LIST_LOOKS && block >= first && block <= last; looks++) {
      const words = block >> 2;
      if (
        this.#i32[words + (S.BLOCK.HOST >> 2)] === (host | 0) &&
        this.#i32[words + (S.BLOCK.MODE >> 2)] === mode
      )
        return block;
      block = this.#i32[words + (S.BLOCK.NEXT >> 2)] as number;
    }
    return 0;
  }
}
