/**
 * Ports: everything the host-free core may ask of the outside. Entry points (`host/node`, later
 * `host/browser`) implement them; tests pass their own.
 */
export interface Clock {
  /** Monotonic time in nanoseconds since an arbitrary start; a double, so exact below 2^53 ns (104 days). */
  nowNs(): number;
  /** Wall clock: nanoseconds since 1970-01-01T00:00:00Z. */
  realtimeNs(): bigint;
}

export interface Randomness {
  /** Fills `target` (not shared memory) with cryptographically secure bytes. */
  fill(target: Uint8Array): void;
}
