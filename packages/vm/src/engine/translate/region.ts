/**
 * The contract between the translator, which makes WebAssembly of guest code, and the vCPU, which runs it.
 *
 * A region is one function `(cpu: i32) → REGION_STATUS`. It is entered with the guest's state in memory and RIP at
 * its first instruction, and leaves with exact state in memory, RIP included, always between two instructions; it
 * takes what it executed off BUDGET and leaves at a back-edge once BUDGET is used up. It depends on linear addresses only
 * relative to its entry: the same code at another address, or in another process, shares it.
 */

/** What a region returns. RIP says where execution goes on. */
export const REGION_STATUS = {
  /** Look RIP up: another region, or a block of the interpreter. */
  CHAIN: 0,
  /** The instruction at RIP is the interpreter's: a fault, a device, a write to code, an untranslated row. */
  INTERPRET: 1,
} as const;

/** Why regions are left, in the order of their counters (state.ts EXIT_COUNTS). */
export const EXIT_REASONS = [
  /** A branch, jump or call to a known place that is not part of the region. */
  'direct',
  /** A return to where no call of the region waits for it. */
  'return',
  /** An indirect jump or call. */
  'computed',
  /** An instruction that is not translated. */
  'untranslated',
  /** An instruction that the interpreter has to do this time: its memory access, a device, a fault. */
  'unfinished',
  /** No reason of its own: exits of these reasons that went on in another region at once. */
  'chained',
] as const;
export type ExitReason = (typeof EXIT_REASONS)[number];

/** A page of guest code that a region was made from. */
export interface RegionPage {
  /** Linear page number minus that of the region's entry. */
  readonly delta: number;
  /** Host address of the page. */
  readonly host: number;
}

/** Guest bytes a region was made from: it is void once one of them changes. */
export interface RegionRange {
  /** Host address of the first byte; a range lies in one page. */
  readonly host: number;
  /** As they were when they were translated. */
  readonly bytes: Uint8Array;
}

export interface TranslatedRegion {
  /** Linear address of the entry where it was translated; for tools only. */
  readonly rip: bigint;
  /** Host address of the entry's first byte. */
  readonly host: number;
  /** BLOCK_MODE under which it was translated (state.ts). */
  readonly mode: number;
  /** Of the request: 2 replaces 1. */
  readonly level: 1 | 2;
  /** Pages other than the entry's that must be mapped as they were: [] when it lies in one page. */
  readonly pages: readonly RegionPage[];
  readonly ranges: readonly RegionRange[];
  /** Host addresses where its blocks begin, the entry's first. */
  readonly members: readonly number[];
  readonly blocks: number;
  /** Guest instructions translated, copies counted. */
  readonly instructions: number;
  /** Bytes of its function's body. */
  readonly codeBytes: number;
}

/** One WebAssembly module: region `i` is exported as `r<i>`; it imports `env.memory` and warm functions by name. */
export interface TranslatedModule {
  readonly bytes: Uint8Array;
  readonly regions: readonly TranslatedRegion[];
  /** Warm functions of the interpreter's module that it imports from `env`. */
  readonly imports: readonly string[];
}

/** The table of all regions that a module imports as `env.regions`, to go on from one to the next. */
export const REGIONS_IMPORT = 'regions';

/** What became hot: the block at linear address `rip`. */
export interface TranslationRequest {
  readonly rip: bigint;
  readonly host: number;
  readonly mode: number;
  /**
   * 1 (default): the function's own loops and branches, made early. 2: what it calls is copied in; for a region that
   * is entered again and again.
   */
  readonly level?: 1 | 2;
}

/** Where the translator gets guest code from: everything it may know about the guest. */
export interface CodeSource {
  /** All of the machine's memory, by host address. */
  readonly u8: Uint8Array;
  /** Host address of the code byte at a linear address, 0 when it is not mapped executable RAM. Has no side effects. */
  fetch(rip: bigint): number;
  /** How often the interpreter ran the block that starts at `host`, 0 when it never did (or forgot). */
  heat(host: number, mode: number): number;
  /** Where regions have been made that have all that a computed jump leads to: the translator's own notes. */
  readonly dispatched?: Set<number>;
  /** Where the computed call at `host` went last, 0 when nobody knows. */
  calledFrom?(host: number): bigint;
  /** Host address of the TLB that data accesses of the code go through, where that is always the same one: at CPL 3. */
  readonly tlb?: number | undefined;
}

export type { TranslateOptions } from '../../machine/vcpu.ts';
