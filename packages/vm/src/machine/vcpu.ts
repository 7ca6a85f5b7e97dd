/**
 * The contract between a machine and a virtual CPU, whatever engine executes it. A vCPU lives on a thread of
 * its own; everything here is called on that thread. Others talk to it through its mailbox only.
 *
 *   load(record) → run() → exit → save() …      run() may be called again after any exit but 'shutdown'
 */
import type { Clock, Randomness } from '../base/ports.ts';
import type { IoBus } from './bus.ts';
import type { MemoryLayout } from './layout.ts';
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
  /** Takes over a whole state. Cached translations and decoded code are dropped. */
  load(record: VcpuRecord): void;
  /** The exact state; only between calls of run(). */
  save(): VcpuRecord;
  /** Runs until one of the exits. HLT waits inside, on the mailbox. */
  run(): VcpuExit;
  /** In force from the next run() on, until called again. */
  setDebug(control: DebugControl): void;
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
}

/** A vCPU of the soft engine. */
export interface SoftVcpu extends Vcpu {
  /** Guest instructions retired since creation. */
  retired(): bigint;
}
