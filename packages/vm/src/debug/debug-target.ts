/** What a debugger needs of a machine. All addresses are guest-virtual (linear). */
import type { Breakpoint } from '../machine/vcpu.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';

export type StopReason =
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'step' }
  | { readonly kind: 'breakpoint' }
  | { readonly kind: 'watchpoint'; readonly access: 'write' | 'access'; readonly address: bigint }
  /** The machine has ended; nothing more can be asked. */
  | { readonly kind: 'ended' };

export interface DebugTarget {
  /** Stops the machine when it runs. A pending `resume` then resolves with 'interrupted'. */
  interrupt(): Promise<void>;
  /** Runs on, with these breakpoints armed, until something stops it. */
  resume(mode: 'continue' | 'step', breakpoints: readonly Breakpoint[]): Promise<StopReason>;
  readRegisters(): Promise<VcpuRecord>;
  writeRegisters(record: VcpuRecord): Promise<void>;
  /** The bytes from `address` up to `length` or the first unmapped page; empty when none is mapped. */
  readMemory(address: bigint, length: number): Promise<Uint8Array>;
  /** False when some byte is unmapped; nothing is written then. */
  writeMemory(address: bigint, bytes: Uint8Array): Promise<boolean>;
  /** Lets the machine run on without a debugger. */
  detach(): Promise<void>;
  /** Powers the machine off. */
  kill(): Promise<void>;
}
