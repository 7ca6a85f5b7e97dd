/**
 * The contract between a machine and a virtual CPU, whatever engine executes it. A vCPU lives on a thread of
 * its own; everything here is called on that thread. Others talk to it through its mailbox only.
 *
 *   load(record) → run() → exit → save() …      run() may be called again after any exit but 'shutdown'
 */
import type { Clock, Randomness } from '../base/ports.ts';
import type { IoBus } from './bus.ts';
import type { CountedClock, CountedEvent, DeterministicSettings } from './deterministic.ts';
import type { MemoryLayout } from './layout.ts';
import type { MeetingAttendee } from './meeting.ts';
import type { VcpuRecord } from './vcpu-state.ts';

export interface CpuidLeaf {
  readonly leaf: number;
  /** 0 where the leaf has no subleaves. */
  readonly subleaf: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/**
 * What CPU a guest sees; part of a machine's saved state, one for all its vCPUs. The engine fills in the bits
 * that follow the vCPU's state or index (OSXSAVE, APIC, the APIC ids).
 */
export interface CpuModel {
  readonly name: 'portable';
  readonly vendor: string;
  readonly leaves: readonly CpuidLeaf[];
  /** Bits XCR0 may have; 0 where XSAVE is absent. */
  readonly xcr0Mask: number;
  readonly physicalBits: number;
  readonly tscKhz: number;
}

export type BreakpointKind = 'execute' | 'write' | 'access';

export interface Breakpoint {
  readonly kind: BreakpointKind;
  /** Guest-virtual (linear) address. */
  readonly address: bigint;
  /** Bytes watched; 1 for 'execute'. */
  readonly length: number;
}

/** A debugger's wishes, invisible to the guest (its DR0–7 and TF stay its own). */
export interface DebugControl {
  /** run() returns after one instruction, or after the delivery of one event. */
  readonly singleStep: boolean;
  /** With singleStep: after a block of instructions (up to a branch) instead of after each. For traces. */
  readonly wholeBlocks?: boolean;
  readonly breakpoints: readonly Breakpoint[];
}

export type VcpuExit =
  /** A STOP request was seen; state is exact, before the instruction at RIP. */
  | { readonly kind: 'stopped' }
  /** Triple fault: only a reset brings this vCPU back. `why` names the faults. */
  | { readonly kind: 'shutdown'; readonly why: string }
  /** A RESET request was seen (keyboard controller, ACPI reset register, another thread). */
  | { readonly kind: 'reset' }
  /** 'execute' stops before the instruction, 'write' and 'access' after it; 'step' after any one. */
  | { readonly kind: 'debug'; readonly cause: BreakpointKind | 'step'; readonly address: bigint };

export interface Vcpu {
  /**
   * Takes over a whole state. Decoded and translated code is dropped, unless the vCPU `resumes`: then memory is as it
   * left it, but for writes through GuestMemory.
   */
  load(record: VcpuRecord, resumes?: boolean): void;
  /** The exact state; only between calls of run(). */
  save(): VcpuRecord;
  /** Runs until one of the exits. HLT waits inside, on the mailbox. */
  run(): VcpuExit;
  /** In force from the next run() on, until called again. */
  setDebug(control: DebugControl): void;
}

/** How a vCPU uses the translator. */
export interface TranslateOptions {
  /**
   * off: interpreter only. auto: what is hot, compiled on another thread. sync: what is hot, compiled at once on the
   * vCPU's thread (tests). always: every block on first execution, at once. random: as always, but each block is
   * translated or not by a pseudo-random choice.
   */
  readonly tier: 'off' | 'auto' | 'sync' | 'always' | 'random';
  /** Seed of `random`. */
  readonly seed?: number;
  /** Executions of a block after which it is translated. */
  readonly threshold?: number;
  /** Bytes of translated code (WebAssembly and V8's machine code, estimated) kept at most. */
  readonly cacheBytes?: number;
  /** Count instructions exactly on every path (deterministic mode). */
  readonly exactCount?: boolean;
  /** Count exits of regions by their reason, at the price of some speed. */
  readonly countExits?: boolean;
  /** Keep the WebAssembly of all regions, so that they can be explained. */
  readonly keep?: boolean;
  /** Only code with these hashes (region-log.ts) is translated, and with how many blocks at most (bisect). */
  readonly only?: { readonly from: number; readonly to: number };
  readonly maxBlocks?: number;
  /** For tests of tools: rows whose text begins so are translated wrongly. */
  readonly wrongRow?: string;
}

/** One translated region, as tools see it. */
export interface RegionReport {
  /** In the order in which regions were put to use, from 1. */
  readonly number: number;
  /** Linear address of its entry where it was translated. */
  readonly rip: bigint;
  /** Of the code at its entry (region-log.ts). */
  readonly hash: number;
  readonly mode: number;
  readonly blocks: number;
  readonly instructions: number;
  readonly codeBytes: number;
  readonly entered: number;
  /** Overwritten or evicted since. */
  readonly gone: boolean;
  /** Guest code it was made from, by the distance from its entry. */
  readonly code: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
  /** Its module, and the name under which that exports its function. */
  readonly wasm: Uint8Array;
  readonly name: string;
  /** Which of the host's compilers made its machine code; undefined when the host does not tell. */
  readonly compiler?: string | undefined;
}

/** A vCPU's translated code, now and so far. */
export interface RegionCounters {
  readonly regions: number;
  readonly modules: number;
  /** Estimate of what they occupy. */
  readonly bytes: number;
  /** The largest that it has been. */
  readonly mostBytes: number;
  readonly installed: number;
  /** Came too late: their guest code had changed, or a region was there. */
  readonly refused: number;
  readonly overwritten: number;
  readonly evicted: number;
  readonly wasmBytes: number;
  /** Regions entered. */
  readonly entered: number;
  /** If regions are kept: the hashes of all that were put to use, and the last of them. */
  readonly hashes: readonly number[];
  readonly last: RegionReport | undefined;
}

/** What translating did for a vCPU so far. */
export interface TranslationStats extends RegionCounters {
  readonly requests: number;
  /** Requests that the translator made nothing of. */
  readonly declined: number;
  /** Guest instructions executed in regions, how often one left an instruction to the interpreter. */
  readonly instructions: number;
  readonly interprets: number;
  /** Regions not entered because a page of theirs was mapped elsewhere. */
  readonly mismatches: number;
  /** Which instructions were left to the interpreter (the first of each time), by the interpreter's handlers. */
  readonly left: readonly { readonly handler: number; readonly count: number }[];
  /** Exits of regions by reason (engine/translate/region.ts); empty unless they are counted. */
  readonly exits: readonly { readonly reason: string; readonly count: number }[];
  /** Guest instructions translated, copies counted. */
  readonly guestInstructions: number;
  /** Requests dropped because too many waited. */
  readonly forgotten: number;
  /** Errors of the translator on its own thread, and the last one's text. */
  readonly failed: number;
  readonly lastError: string | undefined;
  readonly translateMs: number;
  readonly compileMs: number;
  readonly installMs: number;
  /** Processor time of the vCPU's thread; undefined where the host does not tell. */
  readonly vcpuMs: number | undefined;
}

/** Looks at a vCPU now and then while it runs, on its thread (vm/profile/sampler.ts). */
export interface VcpuSampler {
  /** Instructions until it wants to look; at least 1. */
  left(): number;
  /** `done` instructions were executed since the last call, which took `ns`; the shared state is that after them. */
  ran(done: number, ns: number): void;
}

/** What the engine's `createSoftVcpu` takes. */
export interface SoftVcpuOptions {
  /** The machine's one shared WebAssembly memory, laid out by `layoutMemory()`. */
  readonly memory: { readonly buffer: SharedArrayBuffer };
  /** The compiled interpreter module (opaque here; `wasm/api.ts` types it). */
  readonly module: object;
  readonly layout: MemoryLayout;
  readonly index: number;
  readonly bus: IoBus;
  readonly clock: Clock;
  readonly random: Randomness;
  readonly model: CpuModel;
  /** Default: { tier: 'off' }. */
  readonly translate?: TranslateOptions | undefined;
  readonly sampler?: VcpuSampler | undefined;
  /** Deterministic mode; `clock` is this one's. */
  readonly counted?: CountedParts | undefined;
  /** For the tier `auto`. */
  readonly compiler?: CompileThread | undefined;
  /** Processor time of the calling thread so far. */
  readonly cpuNs?: (() => number) | undefined;
  /** Which compiler made a WebAssembly function's machine code, if the host can tell. */
  readonly compilerOf?: ((run: object) => string | undefined) | undefined;
}

/** Another thread that translates for a vCPU; it has the machine's memory. Neither call waits. */
export interface CompileThread {
  /** Counts results in COMPILED (x86/state.ts) of the vCPU's area. */
  post(job: object): void;
  /** The next result, in any order; undefined when there is none yet. */
  take(): object | undefined;
}

/** What a vCPU that counts instructions needs. */
export interface CountedParts {
  readonly settings: DeterministicSettings;
  readonly clock: CountedClock;
  readonly meeting: MeetingAttendee;
  /** Takes events in order. */
  readonly report: (events: readonly CountedEvent[]) => void;
}

/** A vCPU of the soft engine. */
export interface SoftVcpu extends Vcpu {
  /** Guest instructions retired since creation. */
  retired(): bigint;
  /** undefined: nothing is translated. */
  translationStats(): TranslationStats | undefined;
  /** Regions that contain linear address `address`, or all; none unless they are kept. */
  regions(address?: bigint): RegionReport[];
}
