/**
 * Decoded code of one vCPU: records in the vCPU's area, the block table that the interpreter searches, and what is
 * needed to drop blocks when their bytes change. Blocks are keyed by host address and decode mode; a block lies in
 * one page, but for a single instruction that crosses into the next.
 */
import { PageFlag, type MemoryLayout } from '../machine/layout.ts';
import { type Decoded, Decoder, NO_REGISTER, RIP_BASE } from '../x86/decode.ts';
import { ROW_BIT, type Row } from '../x86/row.ts';
import * as S from '../x86/state.ts';
import { handlerOf, MICRO } from './interp/handlers.ts';

const MAX_INSTRUCTIONS = 64;
/** #GP(0), as an immediate of the micro-operation UNDEFINED. */
const GENERAL_PROTECTION = 13 | 0x100;
const { REC } = S;

interface Block {
  readonly host: number;
  /** Bytes from `host`; a crossing instruction's bytes in the second page start at `secondHost`. */
  readonly bytes: number;
  readonly secondHost: number;
  readonly secondBytes: number;
  readonly records: number;
  readonly count: number;
  readonly slot: number;
  readonly mode: number;
}

export interface CodeCacheOptions {
  readonly buffer: SharedArrayBuffer;
  readonly layout: MemoryLayout;
  /** Host address of the vCPU's area, and its size. */
  readonly area: number;
  readonly areaBytes: number;
  /** Host address of the code byte at a linear address, or 0 (FAULT set). */
  readonly fetch: (rip: bigint) => number;
  /** Called after blocks were dropped: jump-cache entries may point at them. */
  readonly dropped: () => void;
}

export class CodeCache {
  readonly #o: CodeCacheOptions;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  readonly #decoder = new Decoder();
  readonly #pages = new Map<number, Block[]>();
  readonly #blocks = new Map<number, Block>();
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
    this.#next = options.area + S.RECORDS;
  }

  /**
   * Decodes the block at linear address `rip`, whose first byte is at `host`.
   * @param room bytes up to the limit of the code segment
   * @returns false when FAULT is set instead
   */
  decodeBlock(hostAddress: number, rip: bigint, room: number): boolean {
    const host = hostAddress >>> 0;
    const { area, areaBytes } = this.#o;
    if (this.#next + (MAX_INSTRUCTIONS * 3 + 4) * REC.SIZE > area + areaBytes) this.flush();
    const mode = this.#i32[(area + S.BLOCK_MODE) >> 2] as number;
    const known = this.#blocks.get(key(host, mode));
    if (known !== undefined) {
      this.#expose(known);
      return true;
    }
    const limit = (mode & S.BLOCK_MODE_BIT.STEP) !== 0 ? 1 : MAX_INSTRUCTIONS;
    const codeMode = (mode & 3) as 0 | 1 | 2;
    const pageEnd = host - (host & 0xfff) + 0x1000;
    const records = this.#next;
    const { out } = this.#decoder;
    let at = host;
    let count = 0;
    let secondHost = 0;
    let secondBytes = 0;
    let ended = false;
    let extra = 0; // instructions still to come after an interrupt shadow began
    while (!ended && count < limit) {
      let complete = this.#decoder.decode(this.#u8, at, pageEnd, codeMode);
      if (!complete) {
        if (count > 0) break;
        const crossing = this.#decodeCrossing(host, rip, codeMode);
        if (crossing === null) return false;
        secondHost = crossing;
        secondBytes = out.length - (pageEnd - host);
        complete = true;
      }
      const { row } = out;
      if (row === null) {
        this.#micro(MICRO.UNDEFINED, at - host, count, out.fault === 13 ? GENERAL_PROTECTION : out.fault);
        ended = true;
        count++;
        at += out.length;
        break;
      }
      const fault = at - host + out.length > room ? GENERAL_PROTECTION : fpuFault(row, mode);
      if (fault !== 0) {
        this.#micro(MICRO.UNDEFINED, at - host, count, fault);
        ended = true;
      } else {
        this.#instruction(row, at - host, count, mode);
        ended = (row.bits & ROW_BIT.END) !== 0;
      }
      at += out.length;
      count++;
      if (secondBytes > 0) break;
      if ((row.bits & ROW_BIT.STI) !== 0) extra = 2;
      if (extra > 0 && --extra === 0) break;
    }
    if (!ended) this.#micro(MICRO.FALL, at - host, count - 1, 0);
    const bytes = secondBytes > 0 ? pageEnd - host : at - host;
    this.#enter({
      host,
      bytes,
      secondHost,
      secondBytes,
      records,
      count: (this.#next - records) / REC.SIZE,
      slot: area + S.BLOCK_TABLE + (Math.imul(host, S.BLOCK_HASH) >>> S.BLOCK_HASH_SHIFT) * 16,
      mode,
    });
    this.decoded++;
    return true;
  }

  /** Host address and count of the records of the block at `host` in the current mode, for tools and tests. */
  recordsAt(host: number): { readonly first: number; readonly count: number } | null {
    const mode = this.#i32[(this.#o.area + S.BLOCK_MODE) >> 2] as number;
    const block = this.#blocks.get(key(host >>> 0, mode));
    return block === undefined ? null : { first: block.records, count: block.count };
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

  #enter(block: Block): void {
    this.#expose(block);
    this.#blocks.set(key(block.host, block.mode), block);
    this.#remember(block.host, block);
    if (block.secondBytes > 0) this.#remember(block.secondHost, block);
  }

  /** Enters a block into the two-way table that the interpreter searches; it may push an older one out. */
  #expose(block: Block): void {
    const first = block.slot >> 2;
    const second = (block.slot ^ 16) >> 2;
    this.#i32.copyWithin(second, first, first + 3);
    this.#i32[first] = block.host | 0;
    this.#i32[first + 1] = block.mode;
    this.#i32[first + 2] = block.records;
  }

  #remember(host: number, block: Block): void {
    const page = host >>> 12;
    const list = this.#pages.get(page);
    if (list === undefined) {
      this.#pages.set(page, [block]);
      this.#markCode(page);
    } else list.push(block);
  }

  /** Flags the page and takes write permission for it out of the TLBs. */
  #markCode(page: number): void {
    const { layout, area } = this.#o;
    const flag = layout.pageFlags + (page - (layout.ramOffset >>> 12));
    Atomics.or(this.#u8, flag, PageFlag.CODE);
    const host = page << 12;
    for (let entry = area + S.TLB, end = entry + 3 * S.TLB_BYTES; entry < end; entry += S.TLB_ENTRY) {
      const words = entry >> 2;
      if (this.#i32[words + 4] !== host) continue;
      // a write tag that no address with this index can match
      this.#i32[words + 2] = ((this.#i32[words] as number) & 0xfff000) ^ 0x1000;
      this.#i32[words + 3] = 0;
    }
  }

  /** Bytes at `host` were written: drops the blocks they belong to, the running one included. */
  written(hostAddress: number, bytes: number): void {
    const host = hostAddress >>> 0;
    let dropped = false;
    for (let page = host >>> 12; page <= (host + bytes - 1) >>> 12; page++) {
      const list = this.#pages.get(page);
      if (list === undefined) continue;
      const kept = list.filter((block) => {
        const hit =
          overlaps(host, bytes, block.host, block.bytes) ||
          (block.secondBytes > 0 && overlaps(host, bytes, block.secondHost, block.secondBytes));
        if (hit) this.#kill(block);
        dropped ||= hit;
        return !hit;
      });
      if (kept.length > 0) this.#pages.set(page, kept);
      else this.#forget(page);
    }
    if (dropped) this.#o.dropped();
  }

  #forget(page: number): void {
    const { layout } = this.#o;
    this.#pages.delete(page);
    Atomics.and(this.#u8, layout.pageFlags + (page - (layout.ramOffset >>> 12)), ~PageFlag.CODE);
  }

  /** Every record becomes STALE, so that even the block in progress stops before its next instruction. */
  #kill(block: Block): void {
    for (let i = 0; i < block.count; i++) this.#u16[(block.records + i * REC.SIZE) >> 1] = MICRO.STALE;
    this.#blocks.delete(key(block.host, block.mode));
    for (const slot of [block.slot, block.slot ^ 16]) {
      if (this.#i32[(slot + 8) >> 2] === block.records) this.#i32[slot >> 2] = 0;
    }
  }

  /** Drops the block at `host` (its second page moved). */
  recode(host: number): void {
    this.written(host, 1);
  }

  flush(): void {
    const { area } = this.#o;
    for (const page of [...this.#pages.keys()]) this.#forget(page);
    this.#blocks.clear();
    this.#i32.fill(0, (area + S.BLOCK_TABLE) >> 2, (area + S.BLOCK_TABLE + S.BLOCK_TABLE_ENTRIES * 16) >> 2);
    this.#next = area + S.RECORDS;
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
    for (let i = 0; i < row.operands.length; i++) this.#register(at, row, i);
  }

  #register(at: number, row: Row, i: number): void {
    const { out } = this.#decoder;
    const kind = row.operands[i]?.kind as string;
    switch (kind) {
      case 'G':
        this.#u16[(at + REC.REG) >> 1] = generalRegister(out.reg, this.#decoder.operandBytes(i), out.rex);
        break;
      case 'V':
        this.#u16[(at + REC.REG) >> 1] = S.XMM + out.reg * 16;
        break;
      case 'P':
        this.#u16[(at + REC.REG) >> 1] = S.X87 + out.reg * 16;
        break;
      case 'S':
      case 'C':
      case 'D':
        this.#u16[(at + REC.REG) >> 1] = out.reg;
        break;
      case 'E':
      case 'R':
      case 'Z':
        if (!out.memory)
          this.#u16[(at + REC.RM) >> 1] = generalRegister(out.rm, this.#decoder.operandBytes(i), out.rex);
        break;
      case 'W':
      case 'U':
        if (!out.memory) this.#u16[(at + REC.RM) >> 1] = S.XMM + out.rm * 16;
        break;
      case 'Q':
      case 'N':
        if (!out.memory) this.#u16[(at + REC.RM) >> 1] = S.X87 + out.rm * 16;
        break;
      case 'ST':
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

function key(host: number, mode: number): number {
  return host * 256 + mode;
}

function overlaps(a: number, aBytes: number, b: number, bBytes: number): boolean {
  return a < b + bBytes && b < a + aBytes;
}

/** State offset of a general register; without REX, byte registers 4–7 are AH CH DH BH. */
function generalRegister(n: number, bytes: number, rex: number): number {
  if (bytes === 1 && rex === 0 && n >= 4 && n < 8) return S.GPR + (n - 4) * 8 + 1;
  return S.GPR + n * 8;
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
