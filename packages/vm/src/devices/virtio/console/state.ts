/** Saved state of a console. Bytes queued on the host's side belong to the host and are not saved. */
export interface ConsolePortState {
  readonly name: string;
  readonly guestOpen: boolean;
  readonly hostOpen: boolean;
  readonly ready: boolean;
  /** The guest has closed the port, and its stream has not ended yet. */
  readonly closing: boolean;
  /** Control messages the guest has not got yet: bits of Owed. */
  readonly owed: number;
  /** Bytes already taken from the first buffer of the transmit queue. */
  readonly transmitOffset: number;
}

export interface ConsoleState {
  readonly kind: 'virtio-console';
  readonly version: 1;
  readonly columns: number;
  readonly rows: number;
  readonly ports: readonly ConsolePortState[];
}
