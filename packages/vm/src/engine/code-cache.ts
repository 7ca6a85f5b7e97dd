/**
 * Decoded code of one vCPU: records in the vCPU's area, the block table that the interpreter searches, and what is
 * needed to drop blocks when their bytes change. Blocks are keyed by host address and decode mode; a block lies in
 * one page, but for a single instruction that crosses into the next.
 */
import { type Decoded, Decoder, NO_REGISTER, RIP_BASE } from '../x86/decode.ts';
import { ROWS } from '../x86/isa/index.ts';
import { ROW_BIT, type Row } from '../x86/row.ts';
import * as S from '../x86/state.ts';
import { type BlockIndex, HEADER_BYTES } from './block-index.ts';
import { handlerOf, LINKS, MICRO } from './interp/handlers.ts';
import { BLOCK_INSTRUCTIONS } from './unit.ts';

/** #GP(0), as an immediate of the micro-operation UNDEFINED. */
const GENERAL_PROTECTION = 13 | 0x100;
const { REC } = S;
/** A block with its header at most. */
const MOST_BYTES = (BLOCK_INSTRUCTIONS * 3 + 4) * REC.SIZE;

export interface CodeCacheOptions {
  readonly buffer: SharedArrayBuffer;
  readonly blocks: BlockIndex;
  /** Host address of the vCPU's area, and its size. */
  readonly area: number;
  readonly areaBytes: number;
  /** Host address of the code byte at a linear address, or 0 (FAULT set). */
  readonly fetch: (rip: bigint) => number;
  /** What was translated, and how hot the rest has to become for it. */
  readonly regions?: RegionSlots | undefined;
  /** A repeated string instruction gets a block of its own: what it counts depends on its operands. */
  readonly exact?: boolean | undefined;
  /** Called after the records of all blocks were given up: jump-cache entries may point at them. */
  readonly dropped: () => void;
}

/** What decoded code knows of translated code. */
export interface RegionSlots {
  slotAt(host: number, mode: number): number;
  heatOf(host: number, mode: number): number;
  /** Drops regions made from these bytes. */
  written(host: number, bytes: number): void;
  clear(): void;
}

export class CodeCache {
  readonly #o: CodeCacheOptions;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  readonly #decoder = new Decoder();
  readonly #blocks: BlockIndex;
  readonly #crossing = new Uint8Array(32);
  #next: number;
  /** Blocks decoded and whole-cache flushes so far, for `viv debug` and benchmarks. */
  decoded = 0;
  flushes = 0;

  constructor(options: CodeCacheOptions) {
    this.#o = options;
    this.#u8 = new Uint8Array(options.buffer);
    this.#u16 = new Uint16Array(options.buffer);
    this.#i32 = new Int32Array(options.buffer);
    this.#blocks = options.blocks;
    this.#next = options.area + S.RECORDS;
  }

  /**
   * Decodes the block whose first byte is at `host`. @param rip asked for its linear address if an instruction crosses
   * into the next page
   * @param room bytes up to the limit of the code segment
   * @returns false when FAULT is set instead
   */
  decodeBlock(hostAddress: number, rip: () => bigint, room: number): boolean {
    const host = hostAddress >>> 0;
    const { area } = this.#o;
    // the one way to drop what is not used any more
    if (this.#next + MOST_BYTES > area + this.#o.areaBytes) this.flushBlocks();
    const mode = this.#i32[(area + S.BLOCK_MODE) >> 2] as number;
    if (this.#blocks.find(host, mode) !== 0) return true;
    const limit = (mode & S.BLOCK_MODE_BIT.STEP) !== 0 ? 1 : BLOCK_INSTRUCTIONS;
    const codeMode = (mode & 3) as 0 | 1 | 2;
    const pageEnd = host - (host & 0xfff) + 0x1000;
    const block = this.#next;
    this.#next += HEADER_BYTES;
    const { out } = this.#decoder;
    let at = host;
    let instructions = 0;
    let secondHost = 0;
    let secondBytes = 0;
    let ended = false;
    let extra = 0; // instructions still to come after an interrupt shadow began
    while (!ended && instructions < limit) {
      let complete = this.#decoder.decode(this.#u8, at, pageEnd, codeMode);
      if (!complete) {
        if (instructions > 0) break;
        const crossing = this.#decodeCrossing(host, rip(), codeMode);
        if (crossing === null) return false;
        secondHost = crossing;
        secondBytes = out.length - (pageEnd - host);
        complete = true;
      }
      const { row } = out;
      if (row === null) {
        this.#micro(
          MICRO.UNDEFINED,
          at - host,
          instructions,
          out.fault === 13 ? GENERAL_PROTECTION : out.fault,
        );
        ended = true;
        instructions++;
        at += out.length;
        break;
      }
      const alone = this.#o.exact === true && (row.bits & ROW_BIT.STRING) !== 0 && (out.rep || out.repne);
      if (alone && instructions > 0) break;
      const fault = at - host + out.length > room ? GENERAL_PROTECTION : fpuFault(row, mode);
      if (fault !== 0) {
        this.#micro(MICRO.UNDEFINED, at - host, instructions, fault);
        ended = true;
      } else {
        this.#instruction(row, at - host, instructions, mode);
        ended = (row.bits & ROW_BIT.END) !== 0;
      }
      at += out.length;
      instructions++;
      if (secondBytes > 0 || alone) break;
      if ((row.bits & ROW_BIT.STI) !== 0) extra = 2;
      if (extra > 0 && --extra === 0) break;
    }
    if (!ended) this.#micro(MICRO.FALL, at - host, instructions - 1, 0);
    const bytes = secondBytes > 0 ? pageEnd - host : at - host;
    const count = (this.#next - block) / REC.SIZE - 1;
    if (LINKS[this.#u16[(this.#next - REC.SIZE) >> 1] as number] === 2) {
      // room for the second link
      this.#i32[(this.#next + S.LINK.KEY) >> 2] = 0;
      this.#next += REC.SIZE;
    }
    const { regions } = this.#o;
    const slot = regions?.slotAt(host, mode) ?? 0;
    const heat = slot === 0 ? (regions?.heatOf(host, mode) ?? S.HEAT_NEVER) : S.HEAT_NEVER;
    this.#blocks.add(block, { host, bytes, secondHost, secondBytes, count, mode, heat, slot });
    this.decoded++;
    return true;
  }

  /** Host address and count of the records of the block at `host` in the current mode, for tools and tests. */
  recordsAt(host: number): { readonly first: number; readonly count: number } | null {
    const mode = this.#i32[(this.#o.area + S.BLOCK_MODE) >> 2] as number;
    const block = this.#blocks.find(host, mode);
    return block === 0 ? null : this.#blocks.records(block);
  }

  /** Decodes the instruction at the end of a page; the rest of its bytes comes from the next page. */
  #decodeCrossing(host: number, rip: bigint, codeMode: 0 | 1 | 2): number | null {
    const first = 0x1000 - (host & 0xfff);
    let nextRip = BigInt.asIntN(64, rip + BigInt(first));
    if (codeMode !== 2) nextRip = BigInt.asUintN(32, nextRip);
    const second = this.#o.fetch(nextRip) >>> 0;
    if (second === 0) return null;
    this.#crossing.set(this.#u8.subarray(host, host + first));
    this.#crossing.set(this.#u8.subarray(second, second + 16 - Math.min(first, 15)), first);
    this.#decoder.decode(this.#crossing, 0, 15, codeMode);
    this.#micro(MICRO.CROSSES, 0, 0, second);
    return second;
  }

  /** Bytes at `host` were written: drops blocks, the running one included, and regions they belong to. */
  written(host: number, bytes: number): void {
    this.#blocks.written(host, bytes);
    this.#o.regions?.written(host, bytes);
  }

  /** Drops the block at `host` (its second page moved). */
  recode(host: number): void {
    this.#blocks.written(host, 1);
  }

  /** Drops everything: memory may have changed in ways that nobody told. */
  flush(): void {
    this.#o.regions?.clear();
    this.flushBlocks();
  }

  /** Drops what was decoded; what was translated stays. */
  flushBlocks(): void {
    this.#blocks.clear();
    this.#next = this.#o.area + S.RECORDS;
    this.flushes++;
    this.#o.dropped();
  }

  // ---- records ----

  #micro(handler: number, offset: number, count: number, imm: number): number {
    const at = this.#next;
    this.#next += REC.SIZE;
    this.#u16[at >> 1] = handler;
    this.#u8[at + REC.LENGTH] = 0;
    this.#u8[at + REC.SHIFT] = 0;
    this.#u16[(at + REC.OFFSET) >> 1] = offset;
    this.#u16[(at + REC.COUNT) >> 1] = count;
    this.#u16[(at + REC.BASE) >> 1] = S.ZERO;
    this.#u16[(at + REC.INDEX) >> 1] = S.ZERO;
    this.#u8[at + REC.FLAGS] = 0;
    this.#i32[(at + REC.FORM) >> 2] = -1;
    this.#i32[(at + REC.IMM) >> 2] = imm | 0;
    this.#i32[(at + REC.IMM + 4) >> 2] = imm >> 31;
    return at;
  }

  #instruction(row: Row, offset: number, count: number, mode: number): void {
    const { out } = this.#decoder;
    const long = (mode & 3) === 2;
    const touches = out.memory && (row.bits & (ROW_BIT.LEA | ROW_BIT.NOMEM)) === 0;
    const plain = out.addressBits === 64 && (out.segment < S.SEG.FS || !touches);
    const viaScratch = touches && !(long && plain);
    const flags = recordFlags(out, row, touches);
    if (out.lock) this.#micro(MICRO.FENCE, offset, count, 0);
    if (viaScratch) {
      const checked =
        !long &&
        ((mode & S.BLOCK_MODE_BIT.SEGMENTED) !== 0 || out.segment >= S.SEG.FS || out.segment === S.SEG.CS);
      const at = this.#micro(checked ? MICRO.CHECKED_ADDRESS : MICRO.ADDRESS, offset, count, 0);
      this.#addressFields(at, out, row, offset);
      this.#u8[at + REC.SEGMENT] = out.segment;
      this.#u8[at + REC.FLAGS] = flags;
      const operand = row.operands.findIndex((o) => 'EMOWQ'.includes(o.kind));
      const bytes = Math.max(1, this.#decoder.operandBytes(operand));
      const write = row.operands[operand]?.access !== 'r' ? 0x8000 : 0;
      this.#u16[(at + REC.EXTRA) >> 1] = bytes | write;
    }
    const at = this.#micro(handlerOf(row.index, out.opsize, out.memory), offset, count, out.immLow);
    this.#i32[(at + REC.IMM + 4) >> 2] = out.immHigh;
    this.#u8[at + REC.LENGTH] = out.length;
    this.#u8[at + REC.FLAGS] = flags;
    this.#u8[at + REC.SEGMENT] = out.segment;
    this.#i32[(at + REC.FORM) >> 2] = row.index;
    this.#u16[(at + REC.EXTRA) >> 1] = this.#decoder.modrm;
    if (viaScratch) {
      this.#u16[(at + REC.BASE) >> 1] = S.EA_SCRATCH;
      this.#i32[(at + REC.DISP) >> 2] = 0;
      this.#i32[(at + REC.DISP + 4) >> 2] = 0;
    } else if (out.memory) this.#addressFields(at, out, row, offset);
    else {
      this.#i32[(at + REC.DISP) >> 2] = out.imm2;
      this.#i32[(at + REC.DISP + 4) >> 2] = 0;
    }
    this.#registers(at, row);
  }

  #registers(at: number, row: Row): void {
    const { out } = this.#decoder;
    const fields = fieldsOf[row.index] as number;
    const bytes = out.rex === 0 ? (highBytes[row.index] as number) >> out.opsize : 0;
    switch (fields & 7) {
      case FIELD.GENERAL:
        this.#u16[(at + REC.REG) >> 1] = generalRegister(out.reg, (bytes & 1) !== 0);
        break;
      case FIELD.XMM:
        this.#u16[(at + REC.REG) >> 1] = S.XMM + out.reg * 16;
        break;
      case FIELD.MMX:
        this.#u16[(at + REC.REG) >> 1] = S.X87 + out.reg * 16;
        break;
      case FIELD.NUMBER:
        this.#u16[(at + REC.REG) >> 1] = out.reg;
        break;
      default:
    }
    switch (out.memory ? 0 : fields >> 3) {
      case FIELD.GENERAL:
        this.#u16[(at + REC.RM) >> 1] = generalRegister(out.rm, ((bytes >> RM_BYTES) & 1) !== 0);
        break;
      case FIELD.XMM:
        this.#u16[(at + REC.RM) >> 1] = S.XMM + out.rm * 16;
        break;
      case FIELD.MMX:
        this.#u16[(at + REC.RM) >> 1] = S.X87 + out.rm * 16;
        break;
      case FIELD.NUMBER:
        this.#u16[(at + REC.RM) >> 1] = out.rm;
        break;
      default:
    }
  }

  #addressFields(at: number, out: Decoded, row: Row, offset: number): void {
    let low = out.dispLow;
    let high = out.dispHigh;
    // POP to an address based on the stack pointer uses its value after the increment
    let add = (row.bits & ROW_BIT.POPEA) !== 0 && out.base === 4 ? out.opsize : 0;
    if (out.base === RIP_BASE) add += offset + out.length;
    if (add !== 0) {
      const sum = (low >>> 0) + add;
      low = sum | 0;
      if (sum >= 2 ** 32) high = (high + 1) | 0;
    }
    this.#u16[(at + REC.BASE) >> 1] =
      out.base === NO_REGISTER ? S.ZERO : out.base === RIP_BASE ? S.BLOCK_RIP : S.GPR + out.base * 8;
    this.#u16[(at + REC.INDEX) >> 1] = out.index === NO_REGISTER ? S.ZERO : S.GPR + out.index * 8;
    this.#u8[at + REC.SHIFT] = out.scale;
    this.#i32[(at + REC.DISP) >> 2] = low;
    this.#i32[(at + REC.DISP + 4) >> 2] = high;
  }
}

/** What REG and RM of a record name: the kinds of a row's operands, REG's in the lowest three bits. */
const FIELD = { GENERAL: 1, XMM: 2, MMX: 3, NUMBER: 4 } as const;
const REG_FIELDS: Readonly<Record<string, number>> = {
  G: FIELD.GENERAL,
  V: FIELD.XMM,
  P: FIELD.MMX,
  S: FIELD.NUMBER,
  C: FIELD.NUMBER,
  D: FIELD.NUMBER,
};
const RM_FIELDS: Readonly<Record<string, number>> = {
  E: FIELD.GENERAL,
  R: FIELD.GENERAL,
  Z: FIELD.GENERAL,
  W: FIELD.XMM,
  U: FIELD.XMM,
  Q: FIELD.MMX,
  N: FIELD.MMX,
  ST: FIELD.NUMBER,
};
const fieldsOf = new Uint8Array(ROWS.length);
/** Bit of an operand size: the register in REG is a byte; RM_BYTES higher: that in RM. */
const highBytes = new Int32Array(ROWS.length);
const RM_BYTES = 16;
for (const { index, operands } of ROWS) {
  for (const { kind, bytes } of operands) {
    const reg = REG_FIELDS[kind] ?? 0;
    const rm = RM_FIELDS[kind] ?? 0;
    if (reg + rm === 0) continue;
    fieldsOf[index] = (fieldsOf[index] as number) | reg | (rm << 3);
    bytes.forEach((n, opsize) => {
      if (n !== 1) return;
      highBytes[index] = (highBytes[index] as number) | (1 << (opsize + (rm > 0 ? RM_BYTES : 0)));
    });
  }
}

/** State offset of a general register; without REX (`high`), byte registers 4–7 are AH CH DH BH. */
function generalRegister(n: number, high: boolean): number {
  return high && n >= 4 && n < 8 ? S.GPR + (n - 4) * 8 + 1 : S.GPR + n * 8;
}

function recordFlags(out: Decoded, row: Row, touches: boolean): number {
  const F = S.RECORD_FLAG;
  const stack = touches ? out.segment === S.SEG.SS : (row.bits & ROW_BIT.STACK) !== 0;
  return (
    (stack ? F.STACK_SEGMENT : 0) |
    (out.lock ? F.LOCK : 0) |
    (out.rep ? F.REP : 0) |
    (out.repne && !out.rep ? F.REPNE : 0) |
    (out.addressBits === 32 ? F.ADDRESS_32 : out.addressBits === 16 ? F.ADDRESS_16 : 0)
  );
}

/** #UD or #NM that the control registers demand of an x87, MMX or SSE instruction; 0 = none (SDM volume 3, 2.5). */
function fpuFault(row: Row, mode: number): number {
  const B = S.BLOCK_MODE_BIT;
  if ((mode & (B.TASK_SWITCHED | B.EMULATION | B.NO_FXSR)) === 0) return 0;
  const { feature } = row;
  // FWAIT asks for CR0.MP as well, itself
  if (row.mnemonic === 'FWAIT') return 0;
  if (feature === 'x87' || feature === 'fxsr') return (mode & (B.EMULATION | B.TASK_SWITCHED)) !== 0 ? 7 : 0;
  const vector = row.operands.some((o) => 'VWU'.includes(o.kind)) || /MXCSR$/.test(row.mnemonic);
  const mmx = row.operands.some((o) => 'PQN'.includes(o.kind)) || row.mnemonic === 'EMMS';
  if (!vector && !mmx) return 0;
  if ((mode & B.EMULATION) !== 0 || (vector && (mode & B.NO_FXSR) !== 0)) return 6;
  return (mode & B.TASK_SWITCHED) !== 0 ? 7 : 0;
}
