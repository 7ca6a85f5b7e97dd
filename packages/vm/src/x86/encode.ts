/**
 * The encoder: machine code of one instruction form, for tests and fuzzing. It follows the rows as the decoder
 * does, so an outside disassembler and the host's CPU check both.
 *
 * Order of the bytes: segment · 67 · LOCK · REP · 66 or mandatory prefix · REX · opcode · ModR/M · SIB ·
 * displacement · immediates (SDM volume 2, 2.1 and 2.2).
 */
import type { Row } from './row.ts';

export interface MemoryOperand {
  /** Register numbers; undefined = none. With `addressBytes` 2: base BX (3) or BP (5), index SI (6) or DI (7). */
  readonly base?: number | undefined;
  readonly index?: number | undefined;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly displacement: number;
  /** RIP-relative: `displacement` counts from the end of the instruction. 64-bit mode only. */
  readonly rip?: boolean;
  readonly addressBytes: 2 | 4 | 8;
  /** Override prefix: ES CS SS DS FS GS = 0…5. */
  readonly segment?: number | undefined;
}

export interface Instance {
  readonly row: Row;
  readonly mode: 64 | 32;
  /** Operand size in bytes; 0 or 1 where it does not matter. */
  readonly opsize: number;
  /** ModR/M.reg of rows with /r. */
  readonly reg?: number;
  /** ModR/M.rm (or the register in the opcode) … */
  readonly rm?: number;
  /** … or the memory operand. */
  readonly memory?: MemoryOperand | undefined;
  /** Immediates, relative targets, moffs and far pointers (offset, selector) in the order of the operands. */
  readonly immediates?: readonly bigint[];
  /** Override of the implied memory operand of string instructions and XLAT: as in `MemoryOperand`. */
  readonly segment?: number | undefined;
  readonly lock?: boolean;
  readonly repeat?: 'F2' | 'F3' | undefined;
  /** A REX prefix even where none is needed: byte registers 4–7 are SPL–DIL then, AH–BH otherwise. */
  readonly rex?: boolean;
}

const SEGMENT_PREFIX = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const MAP_BYTES: Readonly<Record<string, readonly number[]>> = {
  '': [],
  '0F': [0x0f],
  '0F38': [0x0f, 0x38],
  '0F3A': [0x0f, 0x3a],
};

/** Bytes of each immediate of a row at this operand size, in order. */
export function immediateBytes(row: Row, mode: 64 | 32, opsize: number, addressBytes: number): number[] {
  const sizes: number[] = [];
  for (const { kind, size } of row.operands) {
    if (kind === 'I' || kind === 'J') {
      if (size === 'b' || size === 'bs') sizes.push(1);
      else if (size === 'w') sizes.push(2);
      else if (size === 'v') sizes.push(opsize);
      else sizes.push(opsize === 2 && !(mode === 64 && row.attributes.has('f64')) ? 2 : 4);
    } else if (kind === 'O') sizes.push(addressBytes);
    else if (kind === 'A') sizes.push(opsize === 2 ? 2 : 4, 2);
  }
  return sizes;
}

function signedFits8(value: number): boolean {
  return value >= -128 && value <= 127;
}

function littleEndian(value: bigint, bytes: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < bytes; i++) out.push(Number((value >> BigInt(8 * i)) & 0xffn));
  return out;
}

/** ModR/M, SIB and displacement of a memory operand. @param reg low three bits of ModR/M.reg */
function encodeMemory(m: MemoryOperand, reg: number, mode: 64 | 32): number[] {
  const d = m.displacement;
  if (m.addressBytes === 2) return encodeMemory16(m, reg);
  const wide = littleEndian(BigInt(d), 4);
  if (m.rip === true) return [(reg << 3) | 5, ...wide];
  if (m.base === undefined && m.index === undefined) {
    // ModR/M 05 is RIP-relative in 64-bit mode: the absolute form needs a SIB byte there
    return mode === 64 ? [(reg << 3) | 4, 0x25, ...wide] : [(reg << 3) | 5, ...wide];
  }
  const scale = Math.log2(m.scale ?? 1) << 6;
  if (m.base === undefined) return [(reg << 3) | 4, scale | (((m.index ?? 4) & 7) << 3) | 5, ...wide];
  const base = m.base & 7;
  const mod = d === 0 && base !== 5 ? 0 : signedFits8(d) ? 1 : 2;
  const tail = mod === 0 ? [] : mod === 1 ? [d & 0xff] : wide;
  if (m.index === undefined && base !== 4) return [(mod << 6) | (reg << 3) | base, ...tail];
  const index = m.index === undefined ? 4 : m.index & 7;
  return [(mod << 6) | (reg << 3) | 4, scale | (index << 3) | base, ...tail];
}

function encodeMemory16(m: MemoryOperand, reg: number): number[] {
  const d = m.displacement;
  const pairs = ['3,6', '3,7', '5,6', '5,7', ',6', ',7', '5,', '3,'];
  if (m.base === undefined && m.index === undefined) {
    return [(reg << 3) | 6, ...littleEndian(BigInt(d), 2)];
  }
  const rm = pairs.indexOf(`${m.base ?? ''},${m.index ?? ''}`);
  if (rm < 0) throw new Error('no such 16-bit address');
  const mod = d === 0 && rm !== 6 ? 0 : signedFits8(d) ? 1 : 2;
  const tail = mod === 0 ? [] : littleEndian(BigInt(d), mod);
  return [(mod << 6) | (reg << 3) | rm, ...tail];
}

/** @returns the bytes, or undefined when this form has no encoding in this mode (REX in 32-bit code …) */
export function encode(i: Instance): Uint8Array | undefined {
  const { row, mode } = i;
  const { encoding, attributes } = row;
  if (attributes.has(mode === 64 ? 'i64' : 'o64')) return undefined;
  const size = operandSizePrefix(i);
  if (size === undefined) return undefined;
  const memory = i.memory;
  const reg = encoding.modrm === 'ext' ? encoding.ext : (i.reg ?? 0);
  const rm = i.rm ?? 0;
  const addressBytes = memory?.addressBytes ?? (mode === 64 ? 8 : 4);
  const extended = {
    r: encoding.modrm === 'reg' && reg >= 8,
    x: (memory?.index ?? 0) >= 8,
    b: memory === undefined ? rm >= 8 : (memory.base ?? 0) >= 8,
  };
  const wide = size === 'W' || attributes.has('w1');
  const rex = wide || extended.r || extended.x || extended.b || i.rex === true;
  if (mode === 32 && (rex || addressBytes === 8)) return undefined;
  if (mode === 64 && addressBytes === 2) return undefined;

  const out: number[] = [];
  const segment = memory === undefined ? i.segment : memory.segment;
  if (segment !== undefined) out.push(SEGMENT_PREFIX[segment] ?? 0x3e);
  if (addressBytes !== (mode === 64 ? 8 : 4)) out.push(0x67);
  if (i.lock === true) out.push(0xf0);
  if (i.repeat !== undefined) out.push(Number.parseInt(i.repeat, 16));
  if (size === '66') out.push(0x66);
  if (encoding.prefix === '66' || encoding.prefix === 'F2' || encoding.prefix === 'F3')
    out.push(Number.parseInt(encoding.prefix, 16));
  if (rex) {
    out.push(0x40 | (wide ? 8 : 0) | (extended.r ? 4 : 0) | (extended.x ? 2 : 0) | (extended.b ? 1 : 0));
  }
  out.push(...(MAP_BYTES[encoding.map] ?? []), encoding.plusR ? encoding.opcode + (rm & 7) : encoding.opcode);
  if (encoding.modrm === 'exact') out.push(encoding.ext);
  else if (encoding.modrm !== 'none') {
    if (memory === undefined) out.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
    else out.push(...encodeMemory(memory, reg & 7, mode));
  }
  immediateBytes(row, mode, i.opsize, addressBytes).forEach((bytes, n) => {
    out.push(...littleEndian(i.immediates?.[n] ?? 0n, bytes));
  });
  return out.length > 15 ? undefined : Uint8Array.from(out);
}

/** '66', 'W' (REX.W), '' or undefined when this mode has no such size. */
function operandSizePrefix(i: Instance): '66' | 'W' | '' | undefined {
  const { row, mode, opsize } = i;
  if (opsize < 2) return '';
  if (mode === 32) return opsize === 2 ? '66' : opsize === 4 ? '' : undefined;
  if (row.attributes.has('f64')) return opsize === 8 ? '' : undefined;
  if (row.attributes.has('d64')) return opsize === 8 ? '' : opsize === 2 ? '66' : undefined;
  return opsize === 2 ? '66' : opsize === 8 ? 'W' : '';
}
