/**
 * The decoder (SDM volume 2, chapter 2): bytes → row, operand size, registers, address and immediates. Tables are
 * built from the rows once. No object is allocated per instruction: the result is one reused `Decoded`.
 */
import { ROWS } from './isa/index.ts';
import { OPERAND_BIT, type OperandSpec, operandBytes, ROW_BIT, type Row, rowSizes } from './row.ts';
import { SEG } from './state.ts';

export const NO_REGISTER = -1;
/** Base register number that stands for RIP. */
export const RIP_BASE = 16;

/** What `decode` found. `row` is null when the bytes are undefined or too long: see `fault`. */
export interface Decoded {
  row: Row | null;
  /** Exception vector when row is null: 6 = #UD, 13 = #GP (longer than 15 bytes). */
  fault: number;
  length: number;
  /** Operand size of the form: 2, 4, 8; 1 for byte strings; 0 where it does not matter. */
  opsize: number;
  memory: boolean;
  /** ModR/M.reg with REX.R, ModR/M.rm with REX.B (or the opcode's register), when they name registers. */
  reg: number;
  rm: number;
  rex: number;
  base: number;
  index: number;
  /** log2 of the scale. */
  scale: number;
  dispLow: number;
  dispHigh: number;
  immLow: number;
  immHigh: number;
  /** Second immediate: ENTER's level, a far pointer's selector. */
  imm2: number;
  /** Segment of the memory operand (SEG), after override and default. */
  segment: number;
  override: number;
  addressBits: 16 | 32 | 64;
  lock: boolean;
  rep: boolean;
  repne: boolean;
}

type CodeMode = 0 | 1 | 2;
const MAPS = { '': 0, '0F': 1, '0F38': 2, '0F3A': 3 } as const;
const PREFIXES = { NP: 0, '66': 1, F3: 2, F2: 3 } as const;

/** candidates[map][opcode][prefix]: rows to try in order, more specific first. */
const candidates: (readonly Row[])[][][] = rowsByOpcode().map((opcodes) =>
  opcodes.map((ofOpcode) =>
    [0, 1, 2, 3].map((prefix) =>
      ofOpcode
        .filter(({ encoding: e }) =>
          e.prefix === '' || e.prefix === 'NFx'
            ? e.prefix === '' || prefix < 2
            : PREFIXES[e.prefix] === prefix,
        )
        .sort((a, b) => rank(a) - rank(b)),
    ),
  ),
);
/** rows[map][opcode], in the order of the table. */
function rowsByOpcode(): Row[][][] {
  const rows = Object.keys(MAPS).map(() => Array.from({ length: 256 }, (): Row[] => []));
  for (const row of ROWS) {
    const { map, opcode, plusR } = row.encoding;
    for (let i = 0; i < (plusR ? 8 : 1); i++) rows[MAPS[map]]?.[opcode + i]?.push(row);
  }
  return rows;
}
function rank({ encoding: e }: Row): number {
  return (e.prefix === '' ? 4 : 0) + (e.modrm === 'exact' ? 0 : 1) + (e.plusR ? 1 : 0);
}
/** Some row of the opcode has ModR/M, whatever the prefix. */
const hasModrm: boolean[][] = candidates.map((opcodes) =>
  opcodes.map((byPrefix) => byPrefix.some((rows) => rows.some((r) => r.encoding.modrm !== 'none'))),
);
const sizesOf: readonly (readonly number[])[] = ROWS.map(rowSizes);
/** Operands that decoding has something to do for, by row. */
const decodedOf = ROWS.map((r) => r.operands.filter((o) => (o.bits & OPERAND_BIT.DECODED) !== 0));

export class Decoder {
  readonly out: Decoded = {
    row: null,
    fault: 0,
    length: 0,
    opsize: 0,
    memory: false,
    reg: 0,
    rm: 0,
    rex: 0,
    base: 0,
    index: 0,
    scale: 0,
    dispLow: 0,
    dispHigh: 0,
    immLow: 0,
    immHigh: 0,
    imm2: 0,
    segment: 0,
    override: -1,
    addressBits: 64,
    lock: false,
    rep: false,
    repne: false,
  };
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #start = 0;
  #operand66 = false;
  #mode: CodeMode = 2;
  #modrm = 0;

  /**
   * Decodes one instruction at `offset`. @param end first byte that must not be read
   * @returns false when the bytes end too early (and fewer than 15 were there)
   */
  decode(bytes: Uint8Array, offset: number, end: number, mode: CodeMode): boolean {
    this.#bytes = bytes;
    this.#at = offset;
    this.#start = offset;
    this.#end = Math.min(end, offset + 15);
    this.#mode = mode;
    const { out } = this;
    out.row = null;
    out.fault = 6;
    const row = this.#find();
    if (this.#at > this.#end) {
      if (end >= offset + 15) {
        out.fault = 13;
        out.length = 15;
        return true;
      }
      return false;
    }
    out.length = this.#at - offset;
    if (row === null) return true;
    if (out.lock && !((row.bits & ROW_BIT.LOCK) !== 0 && out.memory)) return true;
    out.row = row;
    return true;
  }

  /** Next byte; past the end it gives 0 and the overrun shows in the position. */
  #byte(): number {
    const at = this.#at++;
    return at < this.#end ? (this.#bytes[at] as number) : 0;
  }
  #int16(): number {
    return this.#byte() | (this.#byte() << 8);
  }
  #int32(): number {
    return this.#byte() | (this.#byte() << 8) | (this.#byte() << 16) | (this.#byte() << 24);
  }

  #find(): Row | null {
    const { out } = this;
    const mode = this.#mode;
    let repeat = 0;
    let address67 = false;
    this.#operand66 = false;
    out.lock = false;
    out.override = -1;
    out.rex = 0;
    let opcode = 0;
    for (;;) {
      if (this.#at >= this.#end) {
        this.#at++;
        return null;
      }
      opcode = this.#byte();
      if (opcode === 0x66) this.#operand66 = true;
      else if (opcode === 0x67) address67 = true;
      else if (opcode === 0xf2 || opcode === 0xf3) repeat = opcode;
      else if (opcode === 0xf0) out.lock = true;
      else if (opcode === 0x64) out.override = SEG.FS;
      else if (opcode === 0x65) out.override = SEG.GS;
      else if (opcode === 0x26 || opcode === 0x2e || opcode === 0x36 || opcode === 0x3e) {
        if (mode !== 2) out.override = (opcode >> 3) & 3;
      } else if (mode === 2 && (opcode & 0xf0) === 0x40) {
        out.rex = opcode;
        continue;
      } else break;
      out.rex = 0; // a REX prefix counts only right before the opcode
    }
    out.rep = repeat === 0xf3;
    out.repne = repeat === 0xf2;
    out.addressBits = mode === 2 ? (address67 ? 32 : 64) : (mode === 1) === address67 ? 16 : 32;
    let map = 0;
    if (opcode === 0x0f) {
      map = 1;
      opcode = this.#byte();
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        opcode = this.#byte();
      }
    }
    const prefix = repeat === 0xf3 ? 2 : repeat === 0xf2 ? 3 : this.#operand66 ? 1 : 0;
    const rows = (candidates[map]?.[opcode]?.[prefix] ?? []) as readonly Row[];
    let modrm = -1;
    if (hasModrm[map]?.[opcode] === true) {
      modrm = this.#byte();
      this.#modrm = modrm;
    }
    for (const row of rows) {
      if (!this.#matches(row, modrm, opcode, map)) continue;
      return this.#operands(row, modrm, opcode) ? row : null;
    }
    return null;
  }

  #matches(row: Row, modrm: number, opcode: number, map: number): boolean {
    const { encoding: e, bits } = row;
    if ((bits & (this.#mode === 2 ? ROW_BIT.I64 : ROW_BIT.O64)) !== 0) return false;
    const { rex } = this.out;
    if ((bits & ROW_BIT.W0) !== 0 && (rex & 8) !== 0) return false;
    if ((bits & ROW_BIT.W1) !== 0 && (rex & 8) === 0) return false;
    // 90 with REX.B is an exchange, but not as PAUSE
    if (map === 0 && opcode === 0x90 && !e.plusR && (rex & 1) !== 0 && !this.out.rep) return false;
    if (e.modrm === 'none') return true;
    if (e.modrm === 'exact') return modrm === e.ext;
    if (e.modrm === 'ext' && ((modrm >> 3) & 7) !== e.ext) return false;
    if (e.mod === 'memory') return modrm < 0xc0;
    if (e.mod === 'register') return modrm >= 0xc0;
    return true;
  }

  #operands(row: Row, modrm: number, opcode: number): boolean {
    const { out } = this;
    const { rex } = out;
    const long = this.#mode === 2;
    const sizes = sizesOf[row.index] as readonly number[];
    out.opsize = this.#operandSize(row, sizes);
    out.memory = false;
    out.base = NO_REGISTER;
    out.index = NO_REGISTER;
    out.scale = 0;
    out.dispLow = 0;
    out.dispHigh = 0;
    out.immLow = 0;
    out.immHigh = 0;
    out.imm2 = 0;
    out.segment = out.override >= 0 ? out.override : SEG.DS;
    if (row.encoding.plusR) out.rm = (opcode & 7) | ((rex & 1) << 3);
    if (modrm >= 0) {
      out.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      const registerOnly = (row.bits & ROW_BIT.IGNORES_MOD) !== 0;
      if (modrm >= 0xc0 || registerOnly) {
        out.rm = (modrm & 7) | ((rex & 1) << 3);
        if ((row.bits & ROW_BIT.MEMORY_ONLY) !== 0) return false;
      } else {
        if ((row.bits & ROW_BIT.REGISTER_ONLY) !== 0) return false;
        out.memory = true;
        if (out.addressBits === 16) this.#address16(modrm);
        else this.#address(modrm, long);
      }
    }
    let second = false;
    for (const operand of decodedOf[row.index] as readonly OperandSpec[]) {
      switch (operand.kind) {
        case 'I':
        case 'J':
          if (second) out.imm2 = operand.size === 'w' ? this.#int16() : this.#byte();
          else this.#immediate(operand.kind, operand.size);
          second = true;
          break;
        case 'A':
          if (out.opsize === 2) out.immLow = this.#int16();
          else out.immLow = this.#int32();
          out.imm2 = this.#int16();
          break;
        case 'O':
          out.memory = true;
          if (out.addressBits === 16) out.dispLow = this.#int16();
          else {
            out.dispLow = this.#int32();
            out.dispHigh = out.addressBits === 64 ? this.#int32() : 0;
          }
          break;
        case 'P':
          out.reg &= 7;
          break;
        case 'S':
          out.reg &= 7;
          if (out.reg > 5) return false;
          break;
        case 'Q':
        case 'N':
        case 'ST':
          if (!out.memory) out.rm &= 7;
          break;
        default:
      }
    }
    return true;
  }

  #operandSize(row: Row, sizes: readonly number[]): number {
    if (sizes.length === 1) return sizes[0] as number;
    const wide = (this.out.rex & 8) !== 0;
    const long = this.#mode === 2;
    if (long && (row.bits & ROW_BIT.F64) !== 0) return 8;
    if (wide) return 8;
    const operand66 = this.#operand66 && row.encoding.prefix !== '66';
    if (sizes[0] === 4) return 4; // y: 4 or 8
    const small = (this.#mode === 0) !== operand66;
    if (small) return 2;
    return long && (row.bits & ROW_BIT.D64) !== 0 ? 8 : 4;
  }

  #immediate(kind: string, size: string): void {
    const { out } = this;
    const { opsize } = out;
    switch (size) {
      case 'b':
        out.immLow = this.#byte();
        if (kind === 'J') out.immLow = (out.immLow << 24) >> 24;
        break;
      case 'bs':
        out.immLow = (this.#byte() << 24) >> 24;
        break;
      case 'w':
        out.immLow = this.#int16();
        return;
      case 'v':
        if (opsize === 8) {
          out.immLow = this.#int32();
          out.immHigh = this.#int32();
          return;
        }
        out.immLow = opsize === 2 ? this.#int16() : this.#int32();
        break;
      default:
        out.immLow = opsize === 2 ? (this.#int16() << 16) >> 16 : this.#int32();
    }
    out.immHigh = out.immLow >> 31;
    if (kind === 'J') return;
    if (size === 'b') out.immHigh = 0;
    else if (opsize === 4) out.immHigh = 0;
    else if (opsize === 2) {
      out.immLow &= 0xffff;
      out.immHigh = 0;
    }
  }

  #address(modrm: number, long: boolean): void {
    const { out } = this;
    const { rex } = out;
    const mod = modrm >> 6;
    let rm = modrm & 7;
    let stackBase = false;
    if (rm === 4) {
      const sib = this.#byte();
      const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
      if (index !== 4) {
        out.index = index;
        out.scale = sib >> 6;
      }
      rm = sib & 7;
      if (rm === 5 && mod === 0) out.dispLow = this.#int32();
      else {
        out.base = rm | ((rex & 1) << 3);
        stackBase = out.base === 4 || out.base === 5;
      }
    } else if (rm === 5 && mod === 0) {
      out.dispLow = this.#int32();
      if (long) out.base = RIP_BASE;
    } else {
      out.base = rm | ((rex & 1) << 3);
      stackBase = out.base === 5;
    }
    if (mod === 1) out.dispLow = (this.#byte() << 24) >> 24;
    else if (mod === 2) out.dispLow = this.#int32();
    out.dispHigh = out.dispLow >> 31;
    if (stackBase && out.override < 0) out.segment = SEG.SS;
  }

  #address16(modrm: number): void {
    const { out } = this;
    const mod = modrm >> 6;
    const rm = modrm & 7;
    const BX = 3;
    const [base, index] = (
      [
        [BX, 6],
        [BX, 7],
        [5, 6],
        [5, 7],
        [6, NO_REGISTER],
        [7, NO_REGISTER],
        [5, NO_REGISTER],
        [BX, NO_REGISTER],
      ] as const
    )[rm] as readonly [number, number];
    if (mod === 0 && rm === 6) out.dispLow = this.#int16();
    else {
      out.base = base;
      out.index = index;
      if (base === 5 && out.override < 0) out.segment = SEG.SS;
      if (mod === 1) out.dispLow = (this.#byte() << 24) >> 24;
      else if (mod === 2) out.dispLow = (this.#int16() << 16) >> 16;
    }
    out.dispHigh = out.dispLow >> 31;
  }

  /** ModR/M byte of the last instruction, for rows that need the whole of it. */
  get modrm(): number {
    return this.#modrm;
  }
  /** Bytes of operand `i` of the last instruction. */
  operandBytes(i: number): number {
    const spec = this.out.row?.operands[i];
    return spec === undefined ? 0 : operandBytes(spec, this.out.opsize);
  }
  get start(): number {
    return this.#start;
  }
}
