/** Saved state of a virtio device: its transport and its queues, and the record of the device itself. */
import type { BlkState } from '../blk/state.ts';
import type { ConsoleState } from '../console/state.ts';
import type { RngState } from '../rng/state.ts';

export interface QueueState {
  readonly size: number;
  readonly ready: boolean;
  /** Guest-physical addresses as [low, high] words. */
  readonly desc: readonly [number, number];
  readonly driver: readonly [number, number];
  readonly device: readonly [number, number];
  /** Next entry of the available ring to take, next of the used ring to fill, last one signalled; mod 65536. */
  readonly nextAvailable: number;
  readonly nextUsed: number;
  readonly signalled: number;
}

export interface VirtioState {
  readonly kind: 'virtio-mmio';
  readonly version: 1;
  readonly deviceId: number;
  readonly status: number;
  readonly deviceFeaturesSelect: number;
  readonly driverFeaturesSelect: number;
  readonly driverFeatures: readonly [number, number];
  readonly queueSelect: number;
  readonly interruptStatus: number;
  readonly configGeneration: number;
  readonly queues: readonly QueueState[];
  readonly device: BlkState | ConsoleState | RngState;
}
