/** Decoded guest instructions as the translator keeps them: plain records, one per instruction. */
import { Decoder } from '../../x86/decode.ts';
import type { Row } from '../../x86/row.ts';
import type { CodeSource } from './region.ts';

export interface Instruction {
  readonly row: Row;
  /** Bytes from the region's entry to this instruction; may be negative. */
  readonly offset: number;
  readonly length: number;
  readonly opsize: number;
  readonly memory: boolean;
  readonly modrm: number;
  readonly reg: number;
  readonly rm: number;
  readonly rex: number;
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  /** Sign-extended; a bigint where a number would not be exact. */
  readonly displacement: number | bigint;
  readonly immediate: number | bigint;
  readonly immediate2: number;
  readonly segment: number;
  readonly addressBits: 16 | 32 | 64;
  readonly lock: boolean;
  readonly rep: boolean;
  readonly repne: boolean;
}

const PAGE = 0x1000;

function join(high: number, low: number): number | bigint {
  if (high === low >> 31) return low;
  return high === 0 ? low >>> 0 : BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low >>> 0));
}

/**
 * Reads instructions of 64-bit code at offsets from the entry. The guest may run and write its code meanwhile: each page
 * is copied when it is first read, so that what is decoded and what `bytes` gives are the same.
 */
export class InstructionReader {
  readonly #source: CodeSource;
  /** Of the entry: its place in its page, and the page's number. */
  readonly #inPage: number;
  readonly #entryPage: bigint;
  readonly #decoder = new Decoder();
  readonly #known = new Map<number, Instruction | null>();
  /** Linear page number relative to the entry's → host address, 0 = not there. */
  readonly #pages = new Map<number, number>();
  /** Host address of a page → its bytes. */
  readonly #copies = new Map<number, Uint8Array>();

  /**
   * @param entry linear address of the region's entry
   * @param host of its first byte when somebody executed it: what page tables say of its page now does not count
   */
  constructor(source: CodeSource, entry: bigint, host: number) {
    this.#source = source;
    this.#inPage = Number(entry & 0xfffn);
    this.#entryPage = entry >> 12n;
    this.#pages.set(0, (host >>> 0) - this.#inPage);
  }

  /** Distance of a linear address from the entry; NaN when it is too far. */
  offsetOf(rip: bigint): number {
    const distance = Number(BigInt.asIntN(64, rip - (this.#entryPage << 12n))) - this.#inPage;
    return Math.abs(distance) < 2 ** 31 ? distance : Number.NaN;
  }
  /** Linear page number of `offset` minus that of the entry. */
  pageOf(offset: number): number {
    return (this.#inPage + offset) >> 12;
  }
  /** Host address of the page, 0 when it is not there. */
  hostPage(delta: number): number {
    let host = this.#pages.get(delta);
    if (host === undefined) {
      const rip = BigInt.asIntN(64, (this.#entryPage + BigInt(delta)) << 12n);
      host = this.#source.fetch(rip) >>> 0;
      this.#pages.set(delta, host);
    }
    return host;
  }
  /** Host address of the code byte at `offset`, 0 when it is not there. */
  hostOf(offset: number): number {
    const page = this.hostPage(this.pageOf(offset));
    return page === 0 ? 0 : page + ((this.#inPage + offset) & 0xfff);
  }

  /** The instruction at `offset`; null when its bytes are not there or mean nothing. */
  at(offset: number): Instruction | null {
    let known = this.#known.get(offset);
    if (known === undefined) {
      known = this.#decode(offset);
      this.#known.set(offset, known);
    }
    return known;
  }

  /** Up to the end of its page, the `length` bytes of code at host address `host` as they were decoded. */
  bytes(host: number, length: number): Uint8Array {
    const inPage = host & (PAGE - 1);
    return this.#page(host - inPage).slice(inPage, Math.min(inPage + length, PAGE));
  }

  #page(host: number): Uint8Array {
    let copy = this.#copies.get(host);
    if (copy === undefined) {
      copy = this.#source.u8.slice(host, host + PAGE);
      this.#copies.set(host, copy);
    }
    return copy;
  }

  #decode(offset: number): Instruction | null {
    const host = this.hostOf(offset);
    if (host === 0) return null;
    let at = host & (PAGE - 1);
    let bytes = this.#page(host - at);
    let end = PAGE;
    const here = PAGE - at;
    if (here < 15) {
      const second = this.hostOf(offset + here);
      const joined = new Uint8Array(32);
      joined.set(bytes.subarray(at));
      if (second !== 0) joined.set(this.#page(second).subarray(0, 16), here);
      bytes = joined;
      at = 0;
      end = second === 0 ? here : 16;
    }
    if (!this.#decoder.decode(bytes, at, end, 2)) return null;
    const { out } = this.#decoder;
    const { row } = out;
    if (row === null) return null;
    return {
      row,
      offset,
      length: out.length,
      opsize: out.opsize,
      memory: out.memory,
      modrm: this.#decoder.modrm,
      reg: out.reg,
      rm: out.rm,
      rex: out.rex,
      base: out.base,
      index: out.index,
      scale: out.scale,
      displacement: join(out.dispHigh, out.dispLow),
      immediate: join(out.immHigh, out.immLow),
      immediate2: out.imm2,
      segment: out.segment,
      addressBits: out.addressBits,
      lock: out.lock,
      rep: out.rep,
      repne: out.repne,
    };
  }
}
