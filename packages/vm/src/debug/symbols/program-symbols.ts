/**
 * Functions of a program or shared library: ELF64 (System V ABI, chapters 4 and 5). Of a stripped one, the starts of
 * its functions, as the frames for unwinding name them (LSB Core, `.eh_frame`).
 */
import { isElf } from '../../firmware/loaders/elf.ts';
import { type Symbol, SymbolTable } from './symbol-table.ts';

export interface ProgramSymbols {
  readonly name: string;
  /** False: it always lies where it was linked. */
  readonly movable: boolean;
  /** Executable parts, by linear address without the place it is loaded to. */
  readonly code: readonly { readonly address: bigint; readonly bytes: Uint8Array }[];
  readonly functions: SymbolTable;
}

const ET_EXEC = 2;
const PT_LOAD = 1;
const PF_X = 1;
const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;

/** @param name its file's name @returns undefined when it is no 64-bit ELF file */
export function programSymbols(file: Uint8Array, name: string): ProgramSymbols | undefined {
  if (file.length < 64 || !isElf(file) || file[4] !== 2 || file[5] !== 1) return undefined;
  const elf = new Reader(file);
  const code: { address: bigint; bytes: Uint8Array }[] = [];
  for (const at of elf.table(32, 54, 56, 56)) {
    const type = elf.u32(at);
    const offset = elf.word(at + 8);
    const address = elf.u64(at + 16);
    const bytes = file.subarray(offset, offset + elf.word(at + 32));
    if (type === PT_LOAD && (elf.u32(at + 4) & PF_X) !== 0) code.push({ address, bytes });
  }
  const named = sectionSymbols(elf);
  const functions = new SymbolTable(named.length > 0 ? named : unwound(elf, file));
  return { name, movable: elf.u16(16) !== ET_EXEC, code, functions };
}

function sectionSymbols(elf: Reader): Symbol[] {
  const sections = elf.table(40, 58, 60, 64);
  const symbols: Symbol[] = [];
  for (const wanted of [SHT_SYMTAB, SHT_DYNSYM]) {
    for (const at of sections) {
      if (elf.u32(at + 4) !== wanted) continue;
      const names = sections[elf.u32(at + 40)];
      if (names === undefined) continue;
      const first = elf.word(at + 24);
      const end = Math.min(first + elf.word(at + 32), elf.length);
      for (let s = first; s + 24 <= end; s += 24) {
        const type = elf.u8(s + 4) & 15;
        if ((type !== STT_FUNC && type !== STT_GNU_IFUNC) || elf.u16(s + 6) === 0) continue;
        const name = elf.text(elf.word(names + 24) + elf.u32(s));
        symbols.push({ name, address: elf.u64(s + 8), bytes: elf.word(s + 16) });
      }
    }
    if (symbols.length > 0) break;
  }
  return symbols;
}

function unwound(elf: Reader, file: Uint8Array): Symbol[] {
  const sections = elf.table(40, 58, 60, 64);
  const names = sections[elf.u16(62)];
  for (const at of sections) {
    if (names === undefined || elf.text(elf.word(names + 24) + elf.u32(at)) !== '.eh_frame') continue;
    const offset = elf.word(at + 24);
    return unwindSymbols(file.subarray(offset, offset + elf.word(at + 32)), elf.u64(at + 16));
  }
  return [];
}

/**
 * Entries: length u32, offset of the common part u32 (0: it is one), then of a function: start (signed 32 bits from
 * here, the encoding that compilers use on x86-64) and bytes u32.
 */
function unwindSymbols(frames: Uint8Array, address: bigint): Symbol[] {
  const elf = new Reader(frames);
  const symbols: Symbol[] = [];
  for (let at = 0; at + 16 <= frames.length; at += 4 + elf.u32(at)) {
    const length = elf.u32(at);
    if (length === 0 || length === 0xffff_ffff) break;
    if (elf.u32(at + 4) === 0) continue;
    const start = BigInt.asUintN(64, address + BigInt(at + 8 + elf.i32(at + 8)));
    symbols.push({ address: start, name: `fn_${start.toString(16)}`, bytes: elf.u32(at + 12) });
  }
  return symbols;
}

/** Numbers out of a file; zero beyond its end. */
class Reader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get length(): number {
    return this.#bytes.length;
  }
  u8(at: number): number {
    return this.#bytes[at] ?? 0;
  }
  u16(at: number): number {
    return at + 2 > this.length ? 0 : this.#view.getUint16(at, true);
  }
  u32(at: number): number {
    return at + 4 > this.length ? 0 : this.#view.getUint32(at, true);
  }
  i32(at: number): number {
    return this.u32(at) | 0;
  }
  u64(at: number): bigint {
    return at + 8 > this.length ? 0n : this.#view.getBigUint64(at, true);
  }
  /** An offset or a size. */
  word(at: number): number {
    return Number(this.u64(at));
  }
  text(at: number): string {
    const end = this.#bytes.indexOf(0, at);
    return String.fromCharCode(...this.#bytes.subarray(at, Math.min(end < 0 ? at : end, at + 256)));
  }
  /** Places of a table's entries, from the header's fields: offset (u64), entry size and count (u16). */
  table(offset: number, size: number, count: number, least: number): number[] {
    const each = this.u16(size);
    if (each < least) return [];
    const places = Array.from({ length: this.u16(count) }, (_, i) => this.word(offset) + i * each);
    return places.filter((at) => at + each <= this.length);
  }
}
