/**
 * One vCPU's instance of the interpreter module: the run loop's JavaScript half, and the memory unit that cold code
 * uses. It decodes what the interpreter has not met, and keeps the state that is derived from the architecture's
 * (modes, TLBs, keys of the jump cache).
 */
import { assert, VmError } from '../base/errors.ts';
import { type MemoryLayout, VCPU_BASE, VCPU_STRIDE } from '../machine/layout.ts';
import type { CompileThread, TranslationStats } from '../machine/vcpu.ts';
import { wasm, type WasmModule } from '../wasm/api.ts';
import { HAS_ERROR_CODE, VECTOR } from '../x86/ops.ts';
import * as S from '../x86/state.ts';
import { BlockIndex } from './block-index.ts';
import { CodeCache } from './code-cache.ts';
import { CodePages } from './code-pages.ts';
import { DIGEST_SECTION, tableDigest } from './interp/digest.ts';
import { FIRST_GENERATION } from './mmu/flush.ts';
import { CompileQueue } from './translate/compile-queue.ts';
import { GuestCode, type Paging } from './translate/guest-code.ts';
import type { TranslateOptions, TranslationRequest } from './translate/region.ts';
import { RegionLog } from './translate/region-log.ts';
import { RegionTable } from './translate/region-table.ts';
import { RegionTier, type Translate } from './translate/region-tier.ts';
import { type MemoryUnit, RUN_EXIT } from './unit.ts';

const CR0_EM = 4;
const CR0_TS = 8;
const CR0_AM = 1 << 18;
const CR4_OSFXSR = 1 << 9;
const CR4_SMAP = 1 << 21;
const EFER_LMA = 1 << 10;
/** Among the coldest of many hot blocks: asked for again after so many times the usual executions. */
const COLD = 8;
/** Boundaries among which a loop's head shows. */
const REMEMBERED_BOUNDARIES = 8;
const TLB_TABLES = { USER: 0, KERNEL: 1, KERNEL_AC: 2, NEVER_FILLED: 3 } as const;

/** What the interpreter asks of the rest of the vCPU. Addresses come in halves: i64 is dear at this border. */
export interface InterpreterHooks {
  mmioRead(low: number, high: number, bytes: number): number;
  mmioWrite(low: number, high: number, bytes: number, value: number): void;
  /** A cold instruction; gives STATUS (unit.ts). */
  system(operation: number, record: number): number;
  /** The guest's clock. @param before instructions of the block under way that are retired but not taken off the budget */
  clockNs(before: number): number;
  /** A data access while data breakpoints are armed. */
  watch(low: number, high: number, bytes: number, write: number): void;
}

export interface InterpreterOptions {
  readonly memory: { readonly buffer: SharedArrayBuffer };
  readonly module: WasmModule;
  readonly layout: MemoryLayout;
  readonly index: number;
  readonly hooks: InterpreterHooks;
  /** BUDGET counts exactly (deterministic.ts). */
  readonly exact?: boolean;
  /** Absent: nothing is translated. */
  readonly translation?: Translation | undefined;
}

export interface Translation {
  readonly options: TranslateOptions;
  readonly translate: Translate;
  readonly nowNs: () => number;
  /** For the tier `auto`. */
  readonly compiler?: CompileThread | undefined;
}

/** Why `run` came back. */
export type RunResult =
  /** At an instruction boundary: budget used up, or attention wanted. RIP is exact. */
  | 'boundary'
  /** FAULT is set for the instruction at RIP, which has changed nothing. */
  | 'fault'
  /** A cold operation left without a fault (it told the rest of the vCPU why). RIP is that instruction's. */
  | 'left';

interface Exports {
  run(cpu: number): number;
  walk(cpu: number, va: bigint, access: number): number;
  fill(cpu: number, va: bigint, access: number): number;
  fetch_host(cpu: number, va: bigint): number;
  reset_tlbs(cpu: number): void;
  flush_tlbs(cpu: number, global: number): void;
  invalidate_page(cpu: number, va: bigint): void;
  new_generation(cpu: number, kernel: number): void;
}

export class Interpreter implements MemoryUnit {
  readonly area: number;
  readonly code: CodeCache;
  /** Translated code; what it lacks is interpreted. */
  readonly regions: RegionTable;
  /** Kept for tools only. */
  readonly log: RegionLog | undefined;
  /** Every warm function of the module by its name. */
  readonly warm: Readonly<Record<string, unknown>>;
  readonly #blocks: BlockIndex;
  readonly #tier: RegionTier | undefined;
  readonly #i32: Int32Array;
  readonly #i64: BigInt64Array;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #exports: Exports;
  readonly #layout: MemoryLayout;

  constructor(options: InterpreterOptions) {
    const { memory, layout, index, hooks } = options;
    checkModule(options.module);
    this.area = VCPU_BASE + index * VCPU_STRIDE;
    this.#layout = layout;
    this.#i32 = new Int32Array(memory.buffer);
    this.#i64 = new BigInt64Array(memory.buffer);
    this.#u8 = new Uint8Array(memory.buffer);
    this.#u16 = new Uint16Array(memory.buffer);
    const instance = new wasm.Instance(options.module, {
      env: {
        memory,
        mmio_read: (_cpu: number, low: number, high: number, bytes: number) =>
          hooks.mmioRead(low >>> 0, high >>> 0, bytes),
        mmio_write: (_cpu: number, low: number, high: number, bytes: number, value: number) =>
          hooks.mmioWrite(low >>> 0, high >>> 0, bytes, value),
        system: (_cpu: number, operation: number, record: number) => hooks.system(operation, record),
        clock_ns: (_cpu: number, before: number) => hooks.clockNs(before),
        code_written: (_cpu: number, host: number, bytes: number) => this.code.written(host, bytes),
        forget_blocks: () => this.code.flushBlocks(),
        watch: (_cpu: number, low: number, high: number, bytes: number, write: number) =>
          hooks.watch(low >>> 0, high >>> 0, bytes, write),
      },
    });
    this.warm = instance.exports;
    this.#exports = instance.exports as unknown as Exports;
    const pages = new CodePages(memory.buffer, layout, this.area);
    this.#blocks = new BlockIndex(memory.buffer, pages, this.area);
    this.#tier = this.#createTier(options);
    const wanted = options.translation?.options;
    if (wanted?.keep === true) this.log = new RegionLog(memory.buffer);
    this.regions = new RegionTable({
      memory,
      area: this.area,
      interpreter: instance.exports,
      blocks: this.#blocks,
      pages,
      heatOf: (host, mode) => this.#tier?.heatOf(host, mode) ?? S.HEAT_NEVER,
      cacheBytes: wanted?.cacheBytes,
      log: this.log,
    });
    this.code = new CodeCache({
      buffer: memory.buffer,
      blocks: this.#blocks,
      area: this.area,
      areaBytes: VCPU_STRIDE,
      fetch: (rip) => this.#exports.fetch_host(this.area, rip),
      regions: this.#tier,
      exact: options.exact,
      dropped: () => this.#newGeneration(true),
    });
    this.#set(S.EXACT_COUNT, options.exact === true ? 1 : 0);
    this.#set(S.DEVICE_LEAVES, 0);
    this.#setLayout();
  }

  #createTier({ memory, layout, translation }: InterpreterOptions): RegionTier | undefined {
    if (translation === undefined) return undefined;
    return new RegionTier({
      ...translation,
      source: new GuestCode(memory.buffer, layout, this.area),
      table: () => this.regions,
      queue: this.#createQueue(translation.compiler),
      paging: () => this.#paging(),
      begins: (threshold, less) => {
        this.#set(S.HEAT_BEGIN, threshold);
        if (less > 0) this.#blocks.lowerHeat(less);
      },
    });
  }

  #createQueue(thread: CompileThread | undefined): CompileQueue | undefined {
    if (thread === undefined) return undefined;
    return new CompileQueue({
      thread,
      sent: () => Atomics.load(this.#i32, (this.area + S.COMPILED) >> 2),
      heat: ({ host, mode, level }) => {
        const slot = level === 2 ? this.regions.slotAt(host, mode) : 0;
        if (slot !== 0) return this.regions.enteredAt(slot);
        const block = this.#blocks.find(host, mode);
        if (block === 0 || this.#blocks.regionOf(block) !== 0) return -1;
        // below: another region took it in since
        const heat = this.#blocks.heatOf(block);
        return heat > S.HEAT_NEVER / 2 ? S.HEAT_NEVER - heat : -1;
      },
    });
  }

  /** Where the budget was used up lately. */
  readonly #boundaries: bigint[] = [];
  #nextBoundary = 0;

  // ---- running ----

  /** Runs until the budget of instructions is used up or something else comes in between. */
  run(): RunResult {
    for (;;) {
      const reason = this.#exports.run(this.area);
      if (reason === RUN_EXIT.BOUNDARY) {
        if (this.#tier !== undefined) {
          this.#tier.poll();
          if (this.#get(S.BUDGET) <= 0) this.#noteLoop(this.#tier);
        }
        return 'boundary';
      }
      if (reason === RUN_EXIT.NO_BLOCK) {
        if (this.#get(S.FAULT) !== 0) return 'fault';
        if (!this.code.decodeBlock(this.#get(S.FETCH_HOST), this.#linear, this.#codeRoom())) return 'fault';
        continue;
      }
      if (reason === RUN_EXIT.HOT) {
        this.#hot(this.#get(S.RECORD) - S.BLOCK.SIZE);
        continue;
      }
      if (reason === RUN_EXIT.HOT_REGION) {
        this.#hotRegion(this.#get(S.RECORD));
        continue;
      }
      if (this.#get(S.RECODE) !== 0) {
        this.#set(S.RECODE, 0);
        const host = this.#exports.fetch_host(this.area, this.#linearRip());
        if (host !== 0) this.code.recode(host);
        continue;
      }
      const record = this.#get(S.RECORD);
      this.rip = BigInt.asIntN(
        64,
        this.#get64(S.BLOCK_RIP) + BigInt(this.#u16[(record + S.REC.OFFSET) >> 1] as number),
      );
      if (this.#get(S.FAULT) === 0) return 'left';
      this.#nameStackFault(record);
      return 'fault';
    }
  }

  /** The block at RIP was executed as often as its heat said. */
  #hot(block: number): void {
    const slot = this.#blocks.regionOf(block);
    this.#blocks.setRegion(block, slot, S.HEAT_NEVER);
    if (slot !== 0) this.regions.forgetJump(this.rip);
    else {
      const again = this.#tier?.hot({ rip: this.#linearRip(), ...this.#blocks.identity(block) });
      for (const request of again ?? []) this.#reheat(request);
    }
  }

  /** The region at RIP is entered again and again: it is made anew with what it calls. */
  #hotRegion(slot: number): void {
    const identity = this.regions.toGrow(slot);
    if (identity === undefined) return;
    const again = this.#tier?.hot({ rip: this.#linearRip(), ...identity, level: 2 });
    for (const request of again ?? []) this.#reheat(request);
  }

  /**
   * The budget was used up at RIP. Where that happens again and again a loop runs for long: its head gets a large
   * region of its own, however seldom it is entered.
   */
  #noteLoop(tier: RegionTier): void {
    const { rip } = this;
    const seen = this.#boundaries.includes(rip);
    this.#boundaries[this.#nextBoundary] = rip;
    this.#nextBoundary = (this.#nextBoundary + 1) % REMEMBERED_BOUNDARIES;
    if (!seen) return;
    const entry = this.regions.jumpEntry(rip) >> 2;
    if (this.#i64[entry >> 1] !== rip || this.#i32[entry + 3] !== this.#get(S.JUMP_KEY)) return;
    const value = this.#i32[entry + 2] as number;
    if ((value & 1) !== 0) {
      this.#hotRegion(value >> 3);
      return;
    }
    const block = value - S.BLOCK.SIZE;
    if (!this.#blocks.isMember(block) || this.#blocks.heatOf(block) > S.HEAT_NEVER / 2) return;
    this.#blocks.setRegion(block, 0, S.HEAT_NEVER);
    const again = tier.hot({ rip: this.#linearRip(), ...this.#blocks.identity(block), level: 2 });
    for (const request of again) this.#reheat(request);
  }

  #reheat({ host, mode, level }: TranslationRequest): void {
    if (level === 2 && this.regions.slotAt(host, mode) !== 0) {
      this.regions.countAgain(host, mode);
      return;
    }
    const block = this.#blocks.find(host, mode);
    if (block === 0 || this.#blocks.regionOf(block) !== 0) return;
    this.#blocks.setRegion(block, 0, COLD * (this.#tier?.heatOf(host, mode) ?? S.HEAT_NEVER));
  }

  #paging(): Paging {
    return {
      cr0: this.#get64(S.CR0),
      cr3: this.#get64(S.CR3),
      cr4: this.#get64(S.CR4),
      cpl: this.#get(S.CPL),
    };
  }

  /** What translated code did so far; undefined without a translator. */
  translationStats(): TranslationStats | undefined {
    return this.#tier?.stats((offset) => Number(this.#get64(offset)));
  }

  readonly #linear = (): bigint => this.#linearRip();
  #linearRip(): bigint {
    const sum = this.rip + this.#get64(S.CODE_BASE);
    return BigInt.asIntN(64, sum & this.#get64(S.LINEAR_MASK));
  }
  /** Bytes from RIP up to the code segment's limit. */
  #codeRoom(): number {
    if (this.#get(S.CODE_LIMIT + 4) < 0) return Infinity;
    return Number(this.#get64(S.CODE_LIMIT) - this.rip) + 1;
  }
  /** A non-canonical address is #SS instead of #GP where the operand is on the stack. */
  #nameStackFault(record: number): void {
    if (this.#get(S.FAULT_NON_CANONICAL) === 0) return;
    this.#set(S.FAULT_NON_CANONICAL, 0);
    const flags = this.#u8[record + S.REC.FLAGS] as number;
    if ((flags & S.RECORD_FLAG.STACK_SEGMENT) !== 0) this.#set(S.FAULT, VECTOR.SS | HAS_ERROR_CODE);
  }

  get rip(): bigint {
    return this.#get64(S.RIP);
  }
  set rip(value: bigint) {
    this.#i64[(this.area + S.RIP) >> 3] = value;
  }
  /** What is left, whether or not a cold operation asked to leave early. */
  get budget(): number {
    const budget = this.#get(S.BUDGET);
    return budget < -S.BUDGET_LEAVE / 2 ? budget + S.BUDGET_LEAVE : budget;
  }
  set budget(instructions: number) {
    this.#set(S.BUDGET, instructions);
  }

  /** Ends the run at the next block boundary. */
  leaveSoon(): void {
    const budget = this.#get(S.BUDGET);
    if (budget > 0) this.#set(S.BUDGET, budget - S.BUDGET_LEAVE);
  }

  /** Should an instruction that meets device memory leave before (FAULT_DEVICE)? */
  set devicesLeave(leave: boolean) {
    this.#set(S.DEVICE_LEAVES, leave ? 1 : 0);
  }
  /** True once after an instruction left for that reason. */
  takeDeviceLeave(): boolean {
    if (this.#get(S.FAULT) !== S.FAULT_DEVICE) return false;
    this.#set(S.FAULT, 0);
    return true;
  }

  #get(offset: number): number {
    return this.#i32[(this.area + offset) >> 2] as number;
  }
  #set(offset: number, value: number): void {
    this.#i32[(this.area + offset) >> 2] = value;
  }
  #get64(offset: number): bigint {
    return this.#i64[(this.area + offset) >> 3] as bigint;
  }
  #set64(offset: number, value: bigint): void {
    this.#i64[(this.area + offset) >> 3] = value;
  }
  /** Low word of a 64-bit register. */
  #low(offset: number): number {
    return this.#get(offset);
  }

  #setLayout(): void {
    const [low, high] = this.#layout.regions;
    assert(low !== undefined, 'a machine has low RAM');
    this.#i64[(this.area + S.RAM_LOW_SIZE) >> 3] = BigInt(low.size);
    this.#i64[(this.area + S.RAM_HIGH_SIZE) >> 3] = BigInt(high?.size ?? 0);
    this.#set(S.RAM_OFFSET, this.#layout.ramOffset);
    this.#set(S.PAGE_FLAGS, this.#layout.pageFlags);
    this.#i64[(this.area + S.PHYSICAL_MASK) >> 3] = (1n << 40n) - 1n;
    this.#i64[(this.area + S.ZERO) >> 3] = 0n;
    this.#set(S.KEY_KERNEL, FIRST_GENERATION);
    this.#set(S.KEY_USER, FIRST_GENERATION);
    this.#exports.reset_tlbs(this.area);
    this.modeChanged();
  }

  // ---- MemoryUnit ----

  translate(va: bigint, access: number): number {
    return this.#exports.walk(this.area, va, access) >>> 0;
  }

  flush(global: boolean): void {
    this.#exports.flush_tlbs(this.area, global ? 1 : 0);
    this.#newGeneration(global);
  }

  /** INVLPG. */
  invalidate(va: bigint): void {
    this.#exports.invalidate_page(this.area, va);
  }

  modeChanged(): void {
    const cr0 = this.#low(S.CR0);
    const cr4 = this.#low(S.CR4);
    const cpl = this.#get(S.CPL);
    const flags = this.#low(S.RFLAGS_SYSTEM);
    const cs = this.#get(S.SEGMENTS + S.SEG.CS * S.SEGMENT_STRIDE + S.SEG_ATTRIBUTES);
    const long = (this.#low(S.EFER) & EFER_LMA) !== 0 && (cs & (1 << 13)) !== 0;
    const codeMode = long ? 2 : (cs & (1 << 14)) !== 0 ? 1 : 0;
    const checkAlignment = (cr0 & CR0_AM) !== 0 && (flags & S.FLAG.AC) !== 0 && cpl === 3;
    const dr7 = this.#low(S.DR + 7 * 8);
    const breakpoints = (dr7 & 0xff) !== 0;
    this.#set(S.CODE_MODE, codeMode);
    this.#setWidths(long);
    this.#set(S.ALIGNMENT_CHECK, checkAlignment ? 1 : 0);
    this.#set(S.DATA_BREAKPOINTS, dataBreakpoints(dr7) || this.#watching ? 1 : 0);
    // who begins to single-step must come back to the run loop first
    if (!this.#single && ((flags & S.FLAG.TF) !== 0 || breakpoints)) this.leaveSoon();
    const B = S.BLOCK_MODE_BIT;
    const mode =
      codeMode |
      (this.#single ? B.STEP : 0) |
      (!long && this.#segmented() ? B.SEGMENTED : 0) |
      ((cr0 & CR0_TS) !== 0 ? B.TASK_SWITCHED : 0) |
      ((cr0 & CR0_EM) !== 0 ? B.EMULATION : 0) |
      ((cr4 & CR4_OSFXSR) === 0 ? B.NO_FXSR : 0);
    this.#set(S.BLOCK_MODE, mode);
    let table: number = cpl === 3 ? TLB_TABLES.USER : TLB_TABLES.KERNEL_AC;
    if (cpl !== 3 && (cr4 & CR4_SMAP) !== 0 && (flags & S.FLAG.AC) === 0) table = TLB_TABLES.KERNEL;
    if (checkAlignment || this.#get(S.DATA_BREAKPOINTS) !== 0) table = TLB_TABLES.NEVER_FILLED;
    this.#set(S.TLB_TABLE, this.area + S.TLB + table * S.TLB_BYTES);
    this.#setKey();
  }

  written(host: number, bytes: number): void {
    this.code.written(host, bytes);
  }

  // ---- debugging ----

  /** The widths in the state are those of 64-bit mode. */
  #wide = false;
  #single = false;
  #watching = false;
  /** One instruction per block from now on, or whole blocks. */
  setSingle(single: boolean): void {
    if (single === this.#single) return;
    this.#single = single;
    this.modeChanged();
  }
  /** Shows every data access to the `watch` hook (a debugger's watchpoints). */
  setWatching(watching: boolean): void {
    this.#watching = watching;
    this.modeChanged();
  }

  #regionsWanted = true;
  /** Whether translated code may run: it does not stop at every block, as a tracing debugger wants it. */
  setRegions(wanted: boolean): void {
    if (wanted === this.#regionsWanted) return;
    this.#regionsWanted = wanted;
    this.#allowRegions();
  }

  /** Regions do not look at the limit of CS. */
  #allowRegions(): void {
    const allowed = this.#regionsWanted && flat(this.#get64(S.CODE_LIMIT)) ? 1 : 0;
    if (allowed === this.#get(S.REGIONS_ON)) return;
    this.#set(S.REGIONS_ON, allowed);
    this.#newGeneration(true);
  }

  /** Masks and bounds that depend on SS and CS outside 64-bit mode. */
  #setWidths(long: boolean): void {
    if (long && this.#wide) return;
    this.#wide = long;
    const cs = S.SEGMENTS + S.SEG.CS * S.SEGMENT_STRIDE;
    const ss = this.#get(S.SEGMENTS + S.SEG.SS * S.SEGMENT_STRIDE + S.SEG_ATTRIBUTES);
    const stack = long ? -1n : (ss & (1 << 14)) !== 0 ? 0xffff_ffffn : 0xffffn;
    const base = long ? 0n : this.#get64(cs + S.SEG_BASE);
    const limit = long ? -1n : BigInt(this.#get(cs + S.SEG_LIMIT) >>> 0);
    const moved = base !== this.#get64(S.CODE_BASE);
    // decoded blocks know where a limit cuts them off
    const cut = limit !== this.#get64(S.CODE_LIMIT) && !(flat(limit) && flat(this.#get64(S.CODE_LIMIT)));
    this.#set64(S.STACK_MASK, stack);
    this.#set64(S.LINEAR_MASK, long ? -1n : 0xffff_ffffn);
    this.#set64(S.CODE_BASE, base);
    this.#set64(S.CODE_LIMIT, limit);
    this.#allowRegions();
    if (cut) this.code.flushBlocks();
    else if (moved) this.#newGeneration(true);
  }

  #segmented(): boolean {
    for (const n of [S.SEG.ES, S.SEG.SS, S.SEG.DS]) {
      const at = S.SEGMENTS + n * S.SEGMENT_STRIDE;
      if (this.#get(at + S.SEG_LIMIT) !== -1) return true;
      // present, data, writable, expand-up
      if ((this.#get(at + S.SEG_ATTRIBUTES) & 0x8e) !== 0x82) return true;
    }
    return this.#get(S.SEGMENTS + S.SEG.CS * S.SEGMENT_STRIDE + S.SEG_LIMIT) !== -1;
  }

  #setKey(): void {
    const user = this.#get(S.CPL) === 3;
    const key = user ? this.#get(S.KEY_USER) | 0x100 : this.#get(S.KEY_KERNEL);
    this.#set(S.JUMP_KEY, key | this.#get(S.BLOCK_MODE));
  }

  /** As a change of translations makes the caches by address stale. @param kernel also those below CPL 3 */
  #newGeneration(kernel: boolean): void {
    this.#exports.new_generation(this.area, kernel ? 1 : 0);
  }
}

/** A module made from other tables would run the wrong instructions. */
function checkModule(module: WasmModule): void {
  const [section] = wasm.Module.customSections(module, DIGEST_SECTION);
  const found = section === undefined ? '' : String.fromCharCode(...new Uint8Array(section));
  if (found === tableDigest()) return;
  throw new VmError('ENGINE_UNAVAILABLE', {
    message: 'The generated interpreter does not belong to this version of the engine',
    remedy: 'Generate it again: npm run build; or reinstall the package',
  });
}

/** A limit that cuts nothing off: 64-bit mode's, or 4 GiB. */
function flat(limit: bigint): boolean {
  return limit === -1n || limit === 0xffff_ffffn;
}

/** Has DR7 breakpoints on data enabled (SDM volume 3, 17.2.4)? */
function dataBreakpoints(dr7: number): boolean {
  return [0, 1, 2, 3].some((n) => ((dr7 >> (n * 2)) & 3) !== 0 && ((dr7 >> (16 + n * 4)) & 1) !== 0);
}
