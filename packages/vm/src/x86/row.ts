/**
 * One row per instruction form, written in the notation of the opcode map (SDM volume 2, appendix A.2):
 *
 *   row('ADD Ev:rw,Gv | 01 /r | lock w=oszapc', add)
 *
 * Operands: letter + size. E/G/Z/R general (r/m, reg, opcode low bits, r/m register only), M memory, I J immediate
 * and relative (`Ibs` = byte sign-extended), O offset, A far pointer, S C D segment/control/debug register,
 * V W U xmm (reg, r/m, r/m register only), P Q N mm, `STi`, and fixed ones (AL CL DX rAX 1 …).
 * Sizes: b w d q, v (2/4/8 by operand size), z (immediate 2/4), y (4/8), x (16), ss sd, t (10), p s and none.
 * `:w`, `:rw` = access; read otherwise.
 *
 * Encoding: mandatory prefix (NP 66 F3 F2, NFx = neither F2 nor F3), opcode bytes, `+r`, then ModR/M: /r or /0–/7, suffixed m (memory only)
 * or r (register only), or `=D0` for a whole ModR/M byte.
 * Attributes: o64 i64 (only / not in 64-bit mode), d64 f64 (operand size 64 by default / always), w0 w1 (REX.W),
 * size=v size=b (no sized operand, but the operand size matters), lock, end (ends a block), cpl0, sti (interrupt
 * shadow), unaligned, lea (no segment), nomem (memory operand never touched), string, popea, cold, feature=NAME, and flags: r= w= u= of the letters o s z a p c d i t.
 */
import type { Ops } from './ops.ts';

export type Semantics = (o: Ops) => void;
export type Access = 'r' | 'w' | 'rw';

export interface OperandSpec {
  /** Kind letter (E G Z R M I J O A S C D V W U P Q N), `ST`, or `fixed`. */
  readonly kind: string;
  /** Size letters as written, or the register name of a fixed operand. */
  readonly size: string;
  readonly access: Access;
  /** OPERAND_BIT of the kind. */
  readonly bits: number;
  /** Bytes by the form's operand size; 0 = no data of its own (LEA's memory operand, far pointers). */
  readonly bytes: readonly number[];
}

/** What staging and decoding ask about an operand, as bits. */
export const OPERAND_BIT = {
  /** Its register's number is in ModR/M.rm or the opcode. */
  RM: 1,
  /** Is memory; is memory when ModR/M says so. */
  MEMORY: 2,
  MAY_BE_MEMORY: 4,
  GENERAL: 8,
  MMX: 16,
  XMM: 32,
} as const;

export interface Encoding {
  readonly map: '' | '0F' | '0F38' | '0F3A';
  /** Mandatory prefix; '' = any (66 selects the operand size, F2/F3 are REP or ignored). */
  readonly prefix: '' | 'NP' | 'NFx' | '66' | 'F3' | 'F2';
  readonly opcode: number;
  readonly plusR: boolean;
  readonly modrm: 'none' | 'reg' | 'ext' | 'exact';
  readonly ext: number;
  readonly mod: 'any' | 'memory' | 'register';
}

export interface Row {
  /** Position in the instruction table; given when the table is assembled (x86/isa/index.ts). */
  index: number;
  readonly text: string;
  readonly mnemonic: string;
  readonly operands: readonly OperandSpec[];
  readonly encoding: Encoding;
  readonly attributes: ReadonlySet<string>;
  /** ROW_BIT of the attributes and operands that the decoder looks at. */
  readonly bits: number;
  readonly feature: string;
  readonly flags: { readonly read: string; readonly written: string; readonly undefined: string };
  readonly semantics: Semantics;
}

/** What decoding asks about a row, as bits: a set lookup for each would dominate the decoder's time. */
export const ROW_BIT = {
  O64: 1,
  I64: 2,
  W0: 4,
  W1: 8,
  F64: 16,
  D64: 32,
  LOCK: 64,
  END: 128,
  STI: 256,
  LEA: 512,
  NOMEM: 1024,
  POPEA: 2048,
  /** Implicit accesses are to the stack. */
  STACK: 4096,
  /** Some operand must be memory (M), must be a register (R U N), or ignores ModR/M.mod (C D). */
  MEMORY_ONLY: 8192,
  REGISTER_ONLY: 16384,
  IGNORES_MOD: 32768,
  /** A string instruction: REP repeats it. */
  STRING: 65536,
} as const;

const OPERAND =
  /^(?:([EGZRMIJOASCDVWUPQN])(bs|b|w|dq|d|q|v|z|y|x|ss|sd|t|p|s|)|(STi?\d?)|(AL|AH|CL|AX|DX|EAX|rAX|rCX|rDX|CS|DS|ES|SS|FS|GS|1|3|XMM0))$/;

/** Parses one row; a mistake in the text throws when the table is loaded. */
export function row(text: string, semantics: Semantics): Row {
  const parts = text.split('|').map((part) => part.trim());
  const [form = '', encoding = '', attributeText = ''] = parts;
  const space = form.indexOf(' ');
  const mnemonic = space < 0 ? form : form.slice(0, space);
  const operandText = space < 0 ? [] : form.slice(space + 1).split(',');
  const attributes = new Set(attributeText === '' ? [] : attributeText.split(/\s+/));
  const values = new Map<string, string>();
  for (const a of attributes) {
    const equals = a.indexOf('=');
    if (equals > 0) values.set(a.slice(0, equals), a.slice(equals + 1));
  }
  const operands = operandText.map((operand) => parseOperand(operand.trim(), text));
  return {
    index: -1,
    text,
    mnemonic,
    bits: bitsOf(mnemonic, attributes, operands),
    operands,
    encoding: parseEncoding(encoding, text),
    attributes,
    feature: values.get('feature') ?? '',
    flags: { read: values.get('r') ?? '', written: values.get('w') ?? '', undefined: values.get('u') ?? '' },
    semantics,
  };
}

const ATTRIBUTE_BITS: ReadonlyMap<string, number> = new Map(
  Object.entries(ROW_BIT).map(([name, bit]) => [name.toLowerCase(), bit]),
);

function bitsOf(mnemonic: string, attributes: ReadonlySet<string>, operands: readonly OperandSpec[]): number {
  let bits = /^(PUSH|POP|CALL|RET|ENTER|LEAVE)/.test(mnemonic) ? ROW_BIT.STACK : 0;
  for (const attribute of attributes) bits |= ATTRIBUTE_BITS.get(attribute) ?? 0;
  for (const { kind } of operands) {
    if (kind === 'M') bits |= ROW_BIT.MEMORY_ONLY;
    if (kind === 'R' || kind === 'U' || kind === 'N') bits |= ROW_BIT.REGISTER_ONLY;
    if (kind === 'C' || kind === 'D') bits |= ROW_BIT.IGNORES_MOD;
  }
  return bits;
}

/** By text: many rows have the same. */
const operandSpecs = new Map<string, OperandSpec>();

function parseOperand(text: string, where: string): OperandSpec {
  const known = operandSpecs.get(text);
  if (known !== undefined) return known;
  const [name = '', access = 'r'] = text.split(':');
  const match = OPERAND.exec(name);
  if (match === null || !/^(r|w|rw)$/.test(access))
    throw new Error(`bad operand "${text}" in row "${where}"`);
  const [, letter, sizeLetters, stack, register] = match;
  const kind = letter ?? (stack === undefined ? 'fixed' : 'ST');
  const size = sizeLetters ?? stack ?? register ?? '';
  const bytes = Array.from({ length: 9 }, (_, opsize) => bytesOf(kind, size, opsize));
  const spec = { kind, size, access: access as Access, bits: operandBits(kind), bytes };
  operandSpecs.set(text, spec);
  return spec;
}

function operandBits(kind: string): number {
  const bit = (kinds: string, value: number): number => (kinds.split(' ').includes(kind) ? value : 0);
  return (
    bit('E Z R W U Q N ST', OPERAND_BIT.RM) |
    bit('M O', OPERAND_BIT.MEMORY) |
    bit('E W Q', OPERAND_BIT.MAY_BE_MEMORY) |
    bit('G E Z R', OPERAND_BIT.GENERAL) |
    bit('P Q N', OPERAND_BIT.MMX) |
    bit('V W U', OPERAND_BIT.XMM)
  );
}

function parseEncoding(text: string, where: string): Encoding {
  let prefix: Encoding['prefix'] = '';
  const bytes: string[] = [];
  let plusR = false;
  let modrm: Encoding['modrm'] = 'none';
  let ext = 0;
  let mod: Encoding['mod'] = 'any';
  const tokens = text.split(/\s+/);
  tokens.forEach((token, i) => {
    if (i === 0 && /^(NP|NFx|F3|F2|66)$/.test(token) && tokens.length > 1 && tokens[1] === '0F')
      prefix = token as Encoding['prefix'];
    else if (token === '+r') plusR = true;
    else if (/^\/[r0-7][mr]?$/.test(token)) {
      modrm = token[1] === 'r' ? 'reg' : 'ext';
      ext = modrm === 'ext' ? Number(token[1]) : 0;
      mod = token[2] === 'm' ? 'memory' : token[2] === 'r' ? 'register' : 'any';
    } else if (/^=[0-9A-F]{2}$/.test(token)) {
      modrm = 'exact';
      ext = Number.parseInt(token.slice(1), 16);
      mod = 'register';
    } else if (/^[0-9A-F]{2}$/.test(token)) bytes.push(token);
    else throw new Error(`bad encoding "${text}" in row "${where}"`);
  });
  const opcode = Number.parseInt(bytes.pop() ?? '', 16);
  const map = bytes.join('');
  if (Number.isNaN(opcode) || !['', '0F', '0F38', '0F3A'].includes(map))
    throw new Error(`bad opcode in row "${where}"`);
  return { map: map as Encoding['map'], prefix, opcode, plusR, modrm, ext, mod };
}

/** Operand sizes (bytes) a row comes in: its forms. 0 = the operand size does not matter. */
export function rowSizes(r: Row): readonly number[] {
  const letters = r.operands.map((o) => (o.kind === 'fixed' ? (o.size.startsWith('r') ? 'v' : '') : o.size));
  const sized =
    r.attributes.has('size=v') ||
    letters.includes('v') ||
    letters.includes('z') ||
    r.attributes.has('size=z');
  if (r.attributes.has('f64'))
    return r.attributes.has('i64') ? [2, 4] : r.attributes.has('o64') ? [8] : [2, 4, 8];
  if (sized) return [2, 4, 8];
  if (r.attributes.has('size=b')) return [1];
  if (letters.includes('y') || r.attributes.has('size=y')) return [4, 8];
  return [0];
}

/** Bytes of an operand under operand size `opsize`; 0 = no data of its own. */
export function operandBytes(spec: OperandSpec, opsize: number): number {
  return spec.bytes[opsize] as number;
}

function bytesOf(kind: string, size: string, opsize: number): number {
  switch (kind === 'fixed' ? fixedSize(size) : kind === 'ST' ? 't' : size) {
    case 'b':
    case 'bs':
      return 1;
    case 'w':
      return 2;
    case 'd':
    case 'ss':
      return 4;
    case 'q':
    case 'sd':
      return 8;
    case 'v':
      return opsize;
    case 'y':
      return opsize === 2 ? 4 : opsize;
    case 'z':
      return opsize === 2 ? 2 : 4;
    case 'x':
    case 'dq':
      return 16;
    case 't':
      return 10;
    default:
      return kind === 'S' ? 2 : kind === 'C' || kind === 'D' ? 8 : 0;
  }
}

function fixedSize(name: string): string {
  if (/^(AL|AH|CL|1|3)$/.test(name)) return 'b';
  if (/^(AX|DX|[CDESFG]S)$/.test(name)) return 'w';
  if (name === 'EAX') return 'd';
  return name === 'XMM0' ? 'x' : 'v';
}

/** True when the form has a memory variant besides (or instead of) a register one. */
export function memoryVariants(r: Row): readonly boolean[] {
  if (r.encoding.modrm === 'none' || r.encoding.modrm === 'exact')
    return [r.operands.some((o) => o.kind === 'O')];
  if (r.encoding.mod === 'memory') return [true];
  if (r.encoding.mod === 'register') return [false];
  const kinds = new Set(r.operands.map((o) => o.kind));
  if (kinds.has('M')) return [true];
  if (kinds.has('R') || kinds.has('U') || kinds.has('N') || kinds.has('C') || kinds.has('D')) return [false];
  return [false, true];
}
