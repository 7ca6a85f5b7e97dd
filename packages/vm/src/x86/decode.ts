/**
 * The decoder (SDM volume 2, chapter 2): bytes → row, operand size, registers, address and immediates. Tables are
 * built from the rows once. No object is allocated per instruction: the result is one reused `Decoded`.
 */
import { ROWS } from './isa/index.ts';
import { operandBytes, ROW_BIT, type Row, rowSizes } from './row.ts';
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

/** rows[map][opcode], in the order of the table. */
const rowsByOpcode: readonly (readonly (readonly Row[])[])[] = (() => {
  const rows = Object.keys(MAPS).map(() => Array.from({ length: 256 }, (): Row[] => []));
  for (const row of ROWS) {
    const { map, opcode, plusR } = row.encoding;
    for (let i = 0; i < (plusR ? 8 : 1); i++) rows[MAPS[map]]?.[opcode + i]?.push(row);
  }
  return rows;
})();
/** Rows to try in order, more specific first. */
function candidates(map: number, opcode: number, prefix: number): readonly Row[] {
  const rows = rowsByOpcode[map]?.[opcode] ?? [];
  return rows
    .filter(({ encoding: e }) =>
      e.prefix === '' || e.prefix === 'NFx' ? e.prefix === '' || prefix < 2 : PREFIXES[e.prefix] === prefix,
    )
    .toSorted((a, b) => rank(a) - rank(b));
}
function rank({ encoding: e }: Row): number {
  return (e.prefix === '' ? 4 : 0) + (e.modrm === 'exact' ? 0 : 1) + (e.plusR ? 1 : 0);
}
/** By map << 8 | opcode: some row of the opcode has ModR/M, whatever the prefix. */
const hasModrm: Uint8Array = Uint8Array.from(
  rowsByOpcode.flatMap((opcodes) =>
    opcodes.map((rows) => (rows.some((r) => r.encoding.modrm !== 'none') ? 1 : 0)),
  ),
);
/**
 * What was found once: row number + 2, 1 = no row, 0 = not yet known. By map 2 · opcode 8 · prefix 2 · 64-bit mode 1 ·
 * REX.W 1 · ModR/M.mod = 3 1 · ModR/M.reg 3, numbers of bits.
 */
const known = new Uint16Array(1 << 18);

/** What decoding does for a row's operands, one of these after another, the first in the lowest four bits. */
const STEP = {
  IMMEDIATE: 1,
  SECOND_WORD: 2,
  SECOND_BYTE: 3,
  FAR: 4,
  OFFSET: 5,
  MMX_REG: 6,
  SEGMENT: 7,
  MMX_RM: 8,
};
const IMMEDIATE_KINDS = ['b', 'bs', 'w', 'v'];
const PLAN = { PLUS_R: 1, PREFIX_66: 2, RELATIVE: 4, SIZE_SHIFT: 3, FORM_SHIFT: 6 } as const;
/** In FORM: one size (in `sizeOf`), 4 or 8, 2 to 8. */
const FORM = { ONE: 0, Y: 1, V: 2 } as const;

const sizeOf = new Uint8Array(ROWS.length);
const stepsOf = new Int32Array(ROWS.length);
/** By row: PLAN, kind of the immediate in SIZE, FORM. */
const planOf = new Uint16Array(ROWS.length);
ROWS.forEach((row, i) => {
  const sizes = rowSizes(row);
  const form = sizes.length === 1 ? FORM.ONE : sizes[0] === 4 ? FORM.Y : FORM.V;
  sizeOf[i] = sizes[0] as number;
  let plan: number = (form << PLAN.FORM_SHIFT) | (row.encoding.plusR ? PLAN.PLUS_R : 0);
  if (row.encoding.prefix === '66') plan |= PLAN.PREFIX_66;
  let steps = 0;
  let shift = 0;
  for (const operand of row.operands) {
    let step = stepOf(operand.kind);
    if (step === STEP.IMMEDIATE && (plan >> PLAN.SIZE_SHIFT) % 8 > 0)
      step = operand.size === 'w' ? STEP.SECOND_WORD : STEP.SECOND_BYTE;
    if (step === STEP.IMMEDIATE) {
      const size = IMMEDIATE_KINDS.indexOf(operand.size);
      plan |= (size < 0 ? 5 : size + 1) << PLAN.SIZE_SHIFT;
      if (operand.kind === 'J') plan |= PLAN.RELATIVE;
    }
    if (step === 0) continue;
    steps |= step << shift;
    shift += 4;
  }
  stepsOf[i] = steps;
  planOf[i] = plan;
});
function stepOf(kind: string): number {
  if (kind === 'I' || kind === 'J') return STEP.IMMEDIATE;
  if (kind === 'A') return STEP.FAR;
  if (kind === 'O') return STEP.OFFSET;
  if (kind === 'P') return STEP.MMX_REG;
  if (kind === 'S') return STEP.SEGMENT;
  return kind === 'Q' || kind === 'N' || kind === 'ST' ? STEP.MMX_RM : 0;
}
/** Bytes that an instruction may name, however wrong it is: up to here nothing looks at the end. */
const MOST_READ = 32;

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
  #operand66 = false;
  #mode: CodeMode = 2;
  #modrm = 0;
  readonly #padded = new Uint8Array(MOST_READ);

  /**
   * Decodes one instruction at `offset`. @param end first byte that does not count
   * @returns false when the bytes end too early (and fewer than 15 were there)
   */
  decode(bytes: Uint8Array, offset: number, end: number, mode: CodeMode): boolean {
    if (offset + MOST_READ > bytes.length) {
      this.#padded.fill(0);
      this.#padded.set(bytes.subarray(offset, offset + 15));
      return this.#decode(this.#padded, 0, end - offset, mode);
    }
    return this.#decode(bytes, offset, end, mode);
  }

  #decode(bytes: Uint8Array, offset: number, end: number, mode: CodeMode): boolean {
    this.#bytes = bytes;
    this.#at = offset;
    this.#mode = mode;
    const { out } = this;
    out.row = null;
    out.fault = 6;
    const row = this.#find(Math.min(end, offset + 15));
    const length = this.#at - offset;
    if (this.#at > end || length > 15) {
      if (end < offset + 15) return false;
      out.fault = 13;
      out.length = 15;
      return true;
    }
    out.length = length;
    if (row === null) return true;
    if (out.lock && !((row.bits & ROW_BIT.LOCK) !== 0 && out.memory)) return true;
    out.row = row;
    return true;
  }

  #byte(): number {
    return this.#bytes[this.#at++] as number;
  }
  #int16(): number {
    const at = this.#at;
    this.#at = at + 2;
    return (this.#bytes[at] as number) | ((this.#bytes[at + 1] as number) << 8);
  }
  #int32(): number {
    const at = this.#at;
    const bytes = this.#bytes;
    this.#at = at + 4;
    return (
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    );
  }

  /** @param end where prefixes have to be over */
  #find(end: number): Row | null {
    const { out } = this;
    const bytes = this.#bytes;
    const mode = this.#mode;
    let at = this.#at;
    let repeat = 0;
    let address67 = false;
    let operand66 = false;
    let rex = 0;
    out.lock = false;
    out.override = -1;
    let opcode = 0;
    for (;;) {
      if (at >= end) {
        this.#at = end + 1;
        return null;
      }
      opcode = bytes[at++] as number;
      if (mode === 2 && (opcode & 0xf0) === 0x40) {
        rex = opcode;
        continue;
      }
      if (!isPrefix(opcode)) break;
      if (opcode === 0x66) operand66 = true;
      else if (opcode === 0x67) address67 = true;
      else if (opcode === 0xf2 || opcode === 0xf3) repeat = opcode;
      else if (opcode === 0xf0) out.lock = true;
      else if (opcode === 0x64) out.override = SEG.FS;
      else if (opcode === 0x65) out.override = SEG.GS;
      else if (mode !== 2) out.override = (opcode >> 3) & 3;
      rex = 0; // a REX prefix counts only right before the opcode
    }
    out.rex = rex;
    this.#operand66 = operand66;
    out.rep = repeat === 0xf3;
    out.repne = repeat === 0xf2;
    out.addressBits = mode === 2 ? (address67 ? 32 : 64) : (mode === 1) === address67 ? 16 : 32;
    let place = opcode; // map << 8 | opcode
    if (opcode === 0x0f) {
      opcode = bytes[at++] as number;
      place = 0x100 | opcode;
      if (opcode === 0x38 || opcode === 0x3a) {
        const map = opcode === 0x38 ? 0x200 : 0x300;
        opcode = bytes[at++] as number;
        place = map | opcode;
      }
    }
    const prefix = repeat === 0xf3 ? 2 : repeat === 0xf2 ? 3 : operand66 ? 1 : 0;
    let modrm = -1;
    let key = (((((place << 2) | prefix) << 1) | (mode === 2 ? 1 : 0)) << 5) | ((rex & 8) << 1);
    if (hasModrm[place] !== 0) {
      modrm = bytes[at++] as number;
      this.#modrm = modrm;
      key |= ((modrm >> 3) & 7) | (modrm >= 0xc0 ? 8 : 0);
    }
    this.#at = at;
    const found = known[key] as number;
    const row = found === 0 ? this.#search(place, prefix, modrm, key) : found === 1 ? null : ROWS[found - 2];
    return row !== null && row !== undefined && this.#operands(row, modrm, opcode) ? row : null;
  }

  /** Finds the row, and remembers it where the same key always means the same. */
  #search(place: number, prefix: number, modrm: number, key: number): Row | null {
    const rows = candidates(place >> 8, place & 255, prefix);
    const row = rows.find((r) => this.#matches(r, modrm, place)) ?? null;
    const depends =
      place === 0x90 || (modrm >= 0xc0 && rows.some(({ encoding }) => encoding.modrm === 'exact'));
    if (!depends) known[key] = row === null ? 1 : row.index + 2;
    return row;
  }

  #matches(row: Row, modrm: number, place: number): boolean {
    const { encoding: e, bits } = row;
    if ((bits & (this.#mode === 2 ? ROW_BIT.I64 : ROW_BIT.O64)) !== 0) return false;
    const { rex } = this.out;
    if ((bits & ROW_BIT.W0) !== 0 && (rex & 8) !== 0) return false;
    if ((bits & ROW_BIT.W1) !== 0 && (rex & 8) === 0) return false;
    // 90 with REX.B is an exchange, but not as PAUSE
    if (place === 0x90 && !e.plusR && (rex & 1) !== 0 && !this.out.rep) return false;
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
    const { bits, index } = row;
    const plan = planOf[index] as number;
    out.opsize = this.#operandSize(bits, plan, index);
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
    if ((plan & PLAN.PLUS_R) !== 0) out.rm = (opcode & 7) | ((rex & 1) << 3);
    if (modrm >= 0) {
      out.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      if (modrm >= 0xc0 || (bits & ROW_BIT.IGNORES_MOD) !== 0) {
        out.rm = (modrm & 7) | ((rex & 1) << 3);
        if ((bits & ROW_BIT.MEMORY_ONLY) !== 0) return false;
      } else {
        if ((bits & ROW_BIT.REGISTER_ONLY) !== 0) return false;
        out.memory = true;
        if (out.addressBits === 16) this.#address16(modrm);
        else this.#address(modrm, rex);
      }
    }
    for (let steps = stepsOf[index] as number; steps !== 0; steps >>= 4) {
      if (!this.#step(steps & 15, plan)) return false;
    }
    return true;
  }

  #step(step: number, plan: number): boolean {
    const { out } = this;
    switch (step) {
      case STEP.IMMEDIATE:
        this.#immediate((plan >> PLAN.SIZE_SHIFT) & 7, (plan & PLAN.RELATIVE) !== 0);
        break;
      case STEP.SECOND_WORD:
        out.imm2 = this.#int16();
        break;
      case STEP.SECOND_BYTE:
        out.imm2 = this.#byte();
        break;
      case STEP.FAR:
        out.immLow = out.opsize === 2 ? this.#int16() : this.#int32();
        out.imm2 = this.#int16();
        break;
      case STEP.OFFSET:
        out.memory = true;
        if (out.addressBits === 16) out.dispLow = this.#int16();
        else {
          out.dispLow = this.#int32();
          out.dispHigh = out.addressBits === 64 ? this.#int32() : 0;
        }
        break;
      case STEP.MMX_REG:
        out.reg &= 7;
        break;
      case STEP.SEGMENT:
        out.reg &= 7;
        if (out.reg > 5) return false;
        break;
      default:
        if (!out.memory) out.rm &= 7;
    }
    return true;
  }

  #operandSize(bits: number, plan: number, index: number): number {
    const form = plan >> PLAN.FORM_SHIFT;
    if (form === FORM.ONE) return sizeOf[index] as number;
    const long = this.#mode === 2;
    if (long && (bits & ROW_BIT.F64) !== 0) return 8;
    if ((this.out.rex & 8) !== 0) return 8;
    if (form === FORM.Y) return 4;
    const operand66 = this.#operand66 && (plan & PLAN.PREFIX_66) === 0;
    if ((this.#mode === 0) !== operand66) return 2;
    return long && (bits & ROW_BIT.D64) !== 0 ? 8 : 4;
  }

  /** @param kind 1 + place in IMMEDIATE_KINDS, or 5 */
  #immediate(kind: number, relative: boolean): void {
    const { out } = this;
    const { opsize } = out;
    switch (kind) {
      case 1:
        out.immLow = this.#byte();
        if (relative) out.immLow = (out.immLow << 24) >> 24;
        break;
      case 2:
        out.immLow = (this.#byte() << 24) >> 24;
        break;
      case 3:
        out.immLow = this.#int16();
        return;
      case 4:
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
    if (relative) return;
    if (kind === 1) out.immHigh = 0;
    else if (opsize === 4) out.immHigh = 0;
    else if (opsize === 2) {
      out.immLow &= 0xffff;
      out.immHigh = 0;
    }
  }

  #address(modrm: number, rex: number): void {
    const { out } = this;
    const mod = modrm >> 6;
    let rm = modrm & 7;
    let stackBase = false;
    let disp = 0;
    if (rm === 4) {
      const sib = this.#byte();
      const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
      if (index !== 4) {
        out.index = index;
        out.scale = sib >> 6;
      }
      rm = sib & 7;
      if (rm === 5 && mod === 0) disp = this.#int32();
      else {
        const base = rm | ((rex & 1) << 3);
        out.base = base;
        stackBase = base === 4 || base === 5;
      }
    } else if (rm === 5 && mod === 0) {
      disp = this.#int32();
      if (this.#mode === 2) out.base = RIP_BASE;
    } else {
      const base = rm | ((rex & 1) << 3);
      out.base = base;
      stackBase = base === 5;
    }
    if (mod === 1) disp = (this.#byte() << 24) >> 24;
    else if (mod === 2) disp = this.#int32();
    out.dispLow = disp;
    out.dispHigh = disp >> 31;
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
}

function isPrefix(byte: number): boolean {
  return (
    (byte >= 0x64 && byte <= 0x67) ||
    (byte & 0xe7) === 0x26 ||
    byte === 0xf0 ||
    byte === 0xf2 ||
    byte === 0xf3
  );
}
