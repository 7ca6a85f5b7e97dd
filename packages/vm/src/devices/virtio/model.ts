/**
 * What a virtio device has to say, and what its transport does for it (both on the main thread). A device never
 * sees a ring: it pops chains, returns heads, and is told when there is more.
 */
import type { Chain } from './chain.ts';
import type { VirtioState } from './mmio/state.ts';

export interface VirtioModel {
  readonly deviceId: number;
  /** Device-specific feature bits 0 to 23. */
  readonly features: number;
  /** Largest size of each queue, a power of two. */
  readonly queueSizes: readonly number[];
  /** The configuration space at reset. */
  config(): Uint8Array;
  /** DRIVER_OK was set; `features` are the acknowledged bits 0 to 31. */
  activate(transport: VirtioTransport, features: number): void;
  /** Queue `index` may have requests. Takes a bounded number; more are announced with `transport.again`. */
  notify(index: number): void;
  /** The guest has reset the device, or it failed: nothing may touch guest memory any more. */
  reset(): void;
  /** Resolves when no request is in flight (none is popped meanwhile). */
  quiesce(): Promise<void>;
  save(): VirtioState['device'];
  load(state: VirtioState['device']): void;
}

export interface VirtioTransport {
  /** True while the machine is paused: requests stay in their rings. */
  readonly paused: boolean;
  /** The next request of queue `index`; undefined when there is none, or the device is paused or failed. */
  pop(index: number): Chain | undefined;
  unpop(index: number): void;
  /** Returns a request; `length` = bytes written. The interrupt follows when the caller is done. */
  push(index: number, head: number, length: number): void;
  /** Queue `index` has more work than fits into one turn. */
  again(index: number): void;
  /** The driver broke the protocol: NEEDS_RESET, and nothing more until it resets. */
  fail(reason: string): void;
  /** Changes the configuration space and tells the driver. */
  setConfig(offset: number, bytes: Uint8Array): void;
  /**
   * Runs `work` outside of `notify`: after a file operation, or when the host has input. Does nothing when the
   * guest has reset the device since this transport was handed out.
   */
  enter(work: () => void): void;
}
