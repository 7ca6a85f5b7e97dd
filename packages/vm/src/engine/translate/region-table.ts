/**
 * The translated regions of one vCPU. Each has a slot: an entry of the run loop's function table, a record in the
 * vCPU's area (state.ts REGION_TABLE) and the number in its block's header (BLOCK.SLOT). A region goes when bytes that
 * it was made from change, and with its whole module when room is needed; the module's code is freed by the host when
 * its last region is gone.
 */
import type { RegionCounters } from '../../machine/vcpu.ts';
import { wasm, type WasmFunction, type WasmModule, type WasmTable } from '../../wasm/api.ts';
import * as S from '../../x86/state.ts';
import type { BlockIndex } from '../block-index.ts';
import type { CodePages } from '../code-pages.ts';
import type { RegionLog } from './region-log.ts';
import { EXIT_REASONS, type ExitReason, type TranslatedModule, type TranslatedRegion } from './region.ts';

/** Bytes that a region occupies beside the machine code: function objects, table entries, bookkeeping. */
const REGION_OVERHEAD = 1500;
/** Machine code (V8's both compilers) per byte of WebAssembly. */
const MACHINE_CODE_RATIO = 6;
/** Pages of which the table remembers how often their regions were overwritten. */
const MAX_REWRITTEN = 4096;
/** A block whose region was evicted has to become hot this often: else a cache that is too small only compiles. */
const EVICTED = 8;
/** Slots to be freed by one look through the jump cache. */
const MANY_FREED = 256;
export const DEFAULT_CACHE_BYTES: number = 256 << 20;

export interface RegionTableOptions {
  readonly memory: { readonly buffer: SharedArrayBuffer };
  /** Host address of the vCPU's area. */
  readonly area: number;
  /** Exports of the interpreter: warm functions and the table `regions`. */
  readonly interpreter: Readonly<Record<string, unknown>>;
  readonly blocks: BlockIndex;
  readonly pages: CodePages;
  /** Executions of a block before its translation is asked for (again). */
  readonly heatOf: (host: number, mode: number) => number;
  readonly cacheBytes?: number | undefined;
  readonly log?: RegionLog | undefined;
}

export interface CompiledModule {
  readonly module: WasmModule;
  readonly wasmBytes: number;
}

interface Module {
  readonly regions: Set<Region>;
  /** Of all its regions, those that are gone included: the host frees the code of a module as a whole. */
  readonly bytes: number;
  /** Its place in the table's list; −1: it is not in it yet. */
  at: number;
}

interface Region {
  readonly slot: number;
  readonly host: number;
  readonly mode: number;
  readonly level: 1 | 2;
  /** Its larger form was asked for. */
  asked: boolean;
  /** How often it had been entered when eviction last looked; −1: it is new. */
  seen: number;
  readonly ranges: readonly { readonly host: number; readonly bytes: number }[];
  readonly module: Module;
}

export class RegionTable {
  readonly #o: RegionTableOptions;
  readonly #table: WasmTable;
  readonly #void: WasmFunction;
  readonly #u8: Uint8Array;
  readonly #i32: Int32Array;
  readonly #regions: (Region | undefined)[] = [undefined];
  readonly #free: number[] = [];
  /** Slots that the jump cache may still name: entering one has RIP looked up anew. */
  readonly #freed: number[] = [];
  /** Mode and host address → region. */
  readonly #byKey = new Map<number, Region>();
  /** Page number of host memory → regions made from bytes in it. */
  readonly #byPage = new Map<number, Set<Region>>();
  /** Eviction goes round this list; a list with gaps, as a Set's is, would be walked from its start each time. */
  readonly #modules: Module[] = [];
  /** Which of them eviction looks at next. */
  #hand = 0;
  readonly #rewritten = new Map<number, number>();
  #bytes = 0;
  #mostBytes = 0;
  #installed = 0;
  #refused = 0;
  #overwritten = 0;
  #evicted = 0;
  /** Entries of regions that are gone. */
  #entered = 0;
  #wasmBytes = 0;

  constructor(options: RegionTableOptions) {
    this.#o = options;
    this.#u8 = new Uint8Array(options.memory.buffer);
    this.#i32 = new Int32Array(options.memory.buffer);
    this.#table = options.interpreter['regions'] as WasmTable;
    this.#void = options.interpreter['region_void'] as WasmFunction;
    this.#table.set(0, this.#void);
  }

  counters(): RegionCounters {
    let entered = this.#entered;
    for (const region of this.#byKey.values()) entered += this.enteredAt(region.slot);
    return {
      hashes: this.#o.log?.hashes() ?? [],
      last: this.#o.log?.last(),
      entered,
      regions: this.#byKey.size,
      modules: this.#modules.length,
      bytes: this.#bytes,
      mostBytes: this.#mostBytes,
      installed: this.#installed,
      refused: this.#refused,
      overwritten: this.#overwritten,
      evicted: this.#evicted,
      wasmBytes: this.#wasmBytes,
    };
  }

  /** Slot of the region that begins at `host`, 0 when there is none. */
  slotAt(host: number, mode: number): number {
    return this.#byKey.get(keyOf(host, mode))?.slot ?? 0;
  }

  /** What a small region is made from that is to be made anew, once; undefined of one that can't grow. */
  toGrow(slot: number): { readonly host: number; readonly mode: number } | undefined {
    const region = this.#regions[slot];
    if (region === undefined || region.level !== 1 || region.asked) return undefined;
    region.asked = true;
    return { host: region.host, mode: region.mode };
  }
  /** Lets a region become hot again. */
  countAgain(host: number, mode: number): void {
    const region = this.#byKey.get(keyOf(host, mode));
    if (region === undefined) return;
    region.asked = false;
    this.#i32[(this.#o.area + S.REGION_COUNTS + region.slot * 4) >> 2] = 0;
  }

  /** How often the region in `slot` was entered. */
  enteredAt(slot: number): number {
    return (this.#i32[(this.#o.area + S.REGION_COUNTS + slot * 4) >> 2] as number) >>> 0;
  }

  /** Instructions that regions left to the interpreter, by its handlers. */
  left(): { readonly handler: number; readonly count: number }[] {
    const first = (this.#o.area + S.HANDLER_COUNTS) >> 2;
    const counts = [...this.#i32.subarray(first, first + S.HANDLERS)];
    return counts.flatMap((count, handler) => (count === 0 ? [] : [{ handler, count: count >>> 0 }]));
  }

  /** How often regions were left, by reason. */
  exits(): { readonly reason: ExitReason; readonly count: number }[] {
    const first = (this.#o.area + S.EXIT_COUNTS) >> 2;
    return EXIT_REASONS.map((reason, i) => ({ reason, count: (this.#i32[first + i] as number) >>> 0 }));
  }

  /** How often regions in the page of `host` were overwritten: code there is better left to the interpreter. */
  rewrites(host: number): number {
    return this.#rewritten.get(host >>> 12) ?? 0;
  }

  /**
   * Takes a module's regions into use, but for those whose guest code has changed since.
   * @param compiled the module, when another thread compiled it: its bytes are not here then
   * @returns how many regions it installed
   */
  install(translated: TranslatedModule, compiled?: CompiledModule): number {
    const wanted = translated.regions.filter((region) => this.#acceptable(region));
    this.#refused += translated.regions.length - wanted.length;
    if (wanted.length === 0) return 0;
    const bytes = translated.regions.reduce((sum, region) => sum + costOf(region), 0);
    this.#makeRoom(bytes, wanted.length);
    const env: Record<string, unknown> = { memory: this.#o.memory, regions: this.#table };
    for (const name of translated.imports) env[name] = this.#o.interpreter[name];
    const { exports } = new wasm.Instance(compiled?.module ?? new wasm.Module(translated.bytes), { env });
    const module: Module = { regions: new Set(), bytes, at: -1 };
    translated.regions.forEach((region, i) => {
      if (!wanted.includes(region)) return;
      const run = exports[`r${i}`] as WasmFunction;
      const slot = this.#add(region, run, module);
      if (slot > 0) this.#o.log?.installed(translated, i, run, () => this.enteredAt(slot));
    });
    if (module.regions.size === 0) return 0;
    module.at = this.#modules.push(module) - 1;
    this.#bytes += bytes;
    this.#mostBytes = Math.max(this.#mostBytes, this.#bytes);
    this.#wasmBytes += compiled?.wasmBytes ?? translated.bytes.length;
    this.#installed += module.regions.size;
    return module.regions.size;
  }

  #acceptable(region: TranslatedRegion): boolean {
    if (region.pages.length > S.REGION_MAX_PAGES) return false;
    const there = this.#byKey.get(keyOf(region.host, region.mode));
    return there === undefined || there.level < region.level;
  }

  /** @returns its slot, 0 when it came too late */
  #add(source: TranslatedRegion, run: WasmFunction, module: Module): number {
    const host = source.host >>> 0;
    const { mode } = source;
    const lesser = this.#byKey.get(keyOf(host, mode));
    if (lesser !== undefined && lesser.level < source.level) this.#drop(lesser);
    const region: Region = {
      slot: this.#takeSlot(),
      host,
      mode,
      level: source.level,
      asked: false,
      seen: -1,
      ranges: source.ranges.map((range) => ({ host: range.host >>> 0, bytes: range.bytes.length })),
      module,
    };
    // from here on writes are told, so that none between this look and the next can be missed
    for (const page of pagesOf(region)) this.#link(page, region);
    if (this.slotAt(host, mode) !== 0 || !source.ranges.every((range) => this.#unchanged(range))) {
      for (const page of pagesOf(region)) this.#unlink(page, region);
      this.#freed.push(region.slot);
      this.#refused++;
      return 0;
    }
    const words = (this.#o.area + S.REGION_TABLE + (region.slot << S.REGION_SLOT_SHIFT)) >> 2;
    this.#i32[words] = source.pages.length;
    this.#i32[words + 1] = S.HEAT_RETRY;
    source.pages.forEach((page, i) => this.#i32.set([page.delta, page.host | 0], words + 2 + i * 2));
    this.#table.set(region.slot, run);
    this.#regions[region.slot] = region;
    this.#byKey.set(keyOf(host, mode), region);
    module.regions.add(region);
    const block = this.#o.blocks.find(host, mode);
    if (block !== 0) this.#o.blocks.setRegion(block, region.slot, S.HEAT_NEVER);
    this.forgetJump(source.rip);
    for (const member of source.members) {
      const inside = this.#o.blocks.find(member, mode);
      if (inside !== 0 && inside !== block) this.#o.blocks.joinRegion(inside, this.#o.heatOf(member, mode));
    }
    return region.slot;
  }

  #takeSlot(): number {
    if (this.#free.length === 0 && this.#freed.length >= MANY_FREED) this.#forgetJumps();
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const slot = this.#regions.push(undefined) - 1;
    const { length } = this.#table;
    if (slot >= length)
      this.#table.grow(Math.min(Math.max(length, 256), S.REGION_SLOTS - length), this.#void);
    return slot;
  }

  #unchanged({ host, bytes }: { readonly host: number; readonly bytes: Uint8Array }): boolean {
    const first = host >>> 0;
    for (let i = 0; i < bytes.length; i++) if (this.#u8[first + i] !== bytes[i]) return false;
    return true;
  }

  #link(page: number, region: Region): void {
    const set = this.#byPage.get(page);
    if (set !== undefined) {
      set.add(region);
      return;
    }
    this.#byPage.set(page, new Set([region]));
    this.#o.pages.hold(page);
  }

  #unlink(page: number, region: Region): void {
    const set = this.#byPage.get(page);
    set?.delete(region);
    if (set?.size !== 0) return;
    this.#byPage.delete(page);
    this.#o.pages.release(page);
  }

  /** Bytes at `hostAddress` were written: drops the regions made from them. */
  written(hostAddress: number, bytes: number): void {
    const host = hostAddress >>> 0;
    for (let page = host >>> 12; page <= (host + bytes - 1) >>> 12; page++) {
      for (const region of [...(this.#byPage.get(page) ?? [])]) {
        if (!region.ranges.some((r) => host < r.host + r.bytes && r.host < host + bytes)) continue;
        this.#noteRewrite(region.host >>> 12);
        this.#drop(region);
        this.#overwritten++;
      }
    }
  }

  #noteRewrite(page: number): void {
    if (this.#rewritten.size >= MAX_REWRITTEN) this.#rewritten.clear();
    this.#rewritten.set(page, (this.#rewritten.get(page) ?? 0) + 1);
  }

  /** Jump-cache entries that name it go when they are used. */
  #drop(region: Region, colder = 1): void {
    const { slot, host, mode, module } = region;
    this.#o.log?.dropped(host, mode);
    this.#table.set(slot, this.#void);
    this.#entered += this.enteredAt(slot);
    this.#i32[(this.#o.area + S.REGION_COUNTS + slot * 4) >> 2] = 0;
    this.#regions[slot] = undefined;
    this.#freed.push(slot);
    this.#byKey.delete(keyOf(host, mode));
    for (const page of pagesOf(region)) this.#unlink(page, region);
    const block = this.#o.blocks.find(host, mode);
    const heat = Math.min(S.HEAT_NEVER, this.#o.heatOf(host, mode) * colder);
    if (block !== 0) this.#o.blocks.setRegion(block, 0, heat);
    module.regions.delete(region);
    if (module.regions.size === 0 && module.at >= 0) this.#remove(module);
  }

  #remove(module: Module): void {
    const last = this.#modules.pop();
    if (last !== undefined && last !== module) {
      this.#modules[module.at] = last;
      last.at = module.at;
    }
    this.#bytes -= module.bytes;
  }

  /** Drops all regions. */
  clear(): void {
    for (const region of [...this.#byKey.values()]) this.#drop(region);
  }

  /** Host address of the jump-cache entry for `rip` (mmu/fetch.ts). */
  jumpEntry(rip: bigint): number {
    const index = Number((rip ^ (BigInt.asUintN(64, rip) >> 12n)) & BigInt(S.JUMP_CACHE_ENTRIES - 1));
    return this.#o.area + S.JUMP_CACHE + index * 16;
  }
  /** The run loop looks anew at what is at `rip`. */
  forgetJump(rip: bigint): void {
    this.#i32[(this.jumpEntry(rip) + 12) >> 2] = 0;
  }

  /** Evicts modules none of whose regions ran since the last look at them, until there is room. */
  #makeRoom(bytes: number, slots: number): void {
    const most = (this.#o.cacheBytes ?? DEFAULT_CACHE_BYTES) - bytes;
    let evicted = false;
    // two rounds clear every mark
    for (let looks = this.#modules.length * 2; looks >= 0; looks--) {
      if (
        this.#bytes <= most &&
        this.#regions.length - this.#free.length - this.#freed.length + slots + MANY_FREED <= S.REGION_SLOTS
      )
        break;
      if (this.#hand >= this.#modules.length) this.#hand = 0;
      const module = this.#modules[this.#hand];
      if (module === undefined) break;
      if (this.#takeUsed(module)) {
        this.#hand++;
        continue;
      }
      // another one takes its place in the list
      for (const region of [...module.regions]) {
        this.#drop(region, EVICTED);
        this.#evicted++;
      }
      evicted = true;
    }
    if (evicted) this.#forgetJumps();
  }

  /** Did one of the module's regions run since this was asked last? */
  #takeUsed(module: Module): boolean {
    let used = false;
    for (const region of module.regions) {
      const entered = this.enteredAt(region.slot);
      if (entered !== region.seen) used = true;
      region.seen = entered;
    }
    return used;
  }

  /** Empties the jump-cache entries that name regions which are gone: then their slots can be used again. */
  #forgetJumps(): void {
    const first = (this.#o.area + S.JUMP_CACHE) >> 2;
    const i32 = this.#i32;
    const regions = this.#regions;
    for (let at = first; at < first + S.JUMP_CACHE_ENTRIES * 4; at += 4) {
      const value = i32[at + 2] as number;
      if ((value & 1) !== 0 && regions[value >> 3] === undefined) i32[at + 3] = 0;
    }
    this.#free.push(...this.#freed.splice(0));
  }
}

function keyOf(host: number, mode: number): number {
  return mode * 2 ** 32 + (host >>> 0);
}

function costOf(region: TranslatedRegion): number {
  return REGION_OVERHEAD + region.codeBytes * MACHINE_CODE_RATIO;
}

function pagesOf(region: Region): Set<number> {
  return new Set(region.ranges.map((range) => range.host >>> 12));
}
