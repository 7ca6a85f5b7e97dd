/**
 * The symbols that a Linux kernel carries for its own use (scripts/kallsyms.c), found in the bytes of its image; a
 * distribution's vmlinux has no symbol table. All begin at multiples of 8, one after the other:
 *
 *   up to 6.4   offsets u32[n] · relative base u64 · n u32 · names · markers u32[⌈n/256⌉] · (order u24[n]) ·
 *               tokens · token index u16[256]
 *   from 6.5    n u32 · names · markers · tokens · token index · offsets · relative base · order
 *
 * A name is a length (7 bits, or 7 + 8 bits) and that many numbers of tokens; its first letter is the type, as in
 * System.map. Every 256th name is marked with its place.
 */
import type { Symbol } from './symbol-table.ts';

export interface KernelSymbol extends Symbol {
  /** As `nm` prints it: t and T are functions. */
  readonly type: string;
}

const MARKED = 256;
const TOKENS = 256;
const MOST_SYMBOLS = 4_000_000;
/** Names and what follows them. */
const MOST_BYTES = 64 * 2 ** 20;
/** Tokens '0' to '9' stand for themselves, in this order. */
const DIGITS = Uint8Array.from('0123456789'.split('').flatMap((c) => [c.charCodeAt(0), 0]));
const FIRST_DIGIT = 0x30;

interface Tables {
  readonly data: DataView;
  readonly tokens: readonly string[];
  readonly names: number;
  readonly count: number;
  readonly offsets: number;
  readonly relativeBase: bigint;
}

/** @param image bytes of a kernel that lie together in memory, such as an ELF segment @returns null: has none */
export function parseKallsyms(image: Uint8Array): KernelSymbol[] | null {
  const tables = findTables(image);
  if (tables === null) return null;
  const { data, tokens, relativeBase } = tables;
  const symbols: KernelSymbol[] = [];
  let at = tables.names;
  for (let i = 0; i < tables.count; i++) {
    const { length, first } = entry(image, at);
    let text = '';
    for (let k = first; k < first + length; k++) text += tokens[image[k] as number] as string;
    at = first + length;
    const offset = data.getInt32(tables.offsets + 4 * i, true);
    // Offsets below zero count from the base; others are absolute (variables of a CPU).
    const address = offset < 0 ? relativeBase - 1n - BigInt(offset) : BigInt(offset);
    symbols.push({ address, type: text.slice(0, 1), name: text.slice(1), bytes: 0 });
  }
  return symbols;
}

function entry(image: Uint8Array, at: number): { length: number; first: number } {
  const low = image[at] ?? 0;
  if (low < 0x80) return { length: low, first: at + 1 };
  return { length: (low & 0x7f) | ((image[at + 1] ?? 0) << 7), first: at + 2 };
}

function align(at: number): number {
  return (at + 7) & ~7;
}

function findTables(image: Uint8Array): Tables | null {
  const data = new DataView(image.buffer, image.byteOffset, image.byteLength);
  for (let digits = find(image, DIGITS, 0); digits >= 0; digits = find(image, DIGITS, digits + 1)) {
    const place = tokenTable(image, data, digits);
    if (place === null) continue;
    const found = nameTable(image, data, place);
    if (found === null) continue;
    const offsetBytes = align(found.count * 4);
    for (const offsets of [found.names - 16 - offsetBytes, align(place.indexEnd)]) {
      if (offsets < 0 || offsets + offsetBytes + 8 > image.length) continue;
      const relativeBase = data.getBigUint64(offsets + offsetBytes, true);
      if (relativeBase >= 0xffff_ffff_8000_0000n)
        return { data, tokens: place.tokens, ...found, offsets, relativeBase };
    }
  }
  return null;
}

function find(image: Uint8Array, wanted: Uint8Array, from: number): number {
  const first = wanted[0] as number;
  for (let at = image.indexOf(first, from); at >= 0; at = image.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => image[at + i] === byte)) return at;
  }
  return -1;
}

/** Where the tokens begin, if the table that contains the digits at `digits` is one: the index behind it says so. */
function tokenTable(
  image: Uint8Array,
  data: DataView,
  digits: number,
): { first: number; tokens: string[]; indexEnd: number } | null {
  const starts: number[] = [];
  let at = digits;
  for (let i = FIRST_DIGIT; i < TOKENS; i++) {
    starts.push(at);
    at = image.indexOf(0, at) + 1;
    if (at === 0) return null;
  }
  const index = align(at);
  const indexEnd = index + 2 * TOKENS;
  if (indexEnd > image.length || data.getUint16(index, true) !== 0) return null;
  const first = digits - data.getUint16(index + 2 * FIRST_DIGIT, true);
  if (first < 0 || first % 8 !== 0) return null;
  const tokens: string[] = [];
  for (let i = 0; i < TOKENS; i++) {
    const start = first + data.getUint16(index + 2 * i, true);
    if (i >= FIRST_DIGIT && start !== starts[i - FIRST_DIGIT]) return null;
    const end = image.indexOf(0, start);
    tokens.push(String.fromCharCode(...image.subarray(start, end)));
  }
  return { first, tokens, indexEnd };
}

/**
 * Goes back from the tokens to a count whose names end where the markers begin, and whose markers (and, in some
 * versions, three bytes per name after them) end where the tokens begin.
 */
function nameTable(
  image: Uint8Array,
  data: DataView,
  place: { readonly first: number; readonly tokens: readonly string[] },
): { names: number; count: number } | null {
  for (let names = place.first - 8; names >= Math.max(8, place.first - MOST_BYTES); names -= 8) {
    if (data.getUint32(names - 4, true) !== 0) continue;
    const count = data.getUint32(names - 8, true);
    if (count < MARKED || count > MOST_SYMBOLS || !beginsWithNames(image, names, place.tokens)) continue;
    const markers = align(namesEnd(image, data, names, count));
    const end = align(markers + 4 * Math.ceil(count / MARKED));
    if (end !== place.first && end + align(3 * count) !== place.first) continue;
    if (agrees(image, data, names, count, markers)) return { names, count };
  }
  return null;
}

/** A quick look: names have a length and begin with a type. */
function beginsWithNames(image: Uint8Array, names: number, tokens: readonly string[]): boolean {
  let at = names;
  for (let i = 0; i < 64; i++) {
    const { length, first } = entry(image, at);
    if (length === 0 || !/^[A-Za-z]/.test(tokens[image[first] as number] as string)) return false;
    at = first + length;
  }
  return true;
}

function namesEnd(image: Uint8Array, data: DataView, names: number, count: number): number {
  let at = names;
  for (let i = 0; i < count && at < data.byteLength; i++) {
    const { length, first } = entry(image, at);
    at = first + length;
  }
  return at;
}

function agrees(image: Uint8Array, data: DataView, names: number, count: number, markers: number): boolean {
  let at = names;
  for (let i = 0; i < count; i++) {
    if (i % MARKED === 0 && data.getUint32(markers + (i / MARKED) * 4, true) !== at - names) return false;
    const { length, first } = entry(image, at);
    at = first + length;
  }
  return true;
}
