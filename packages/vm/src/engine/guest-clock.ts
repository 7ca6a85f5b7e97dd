/** The time a guest lives in: the host's monotonic clock without the time its vCPU was stopped. */
import type { Clock } from '../base/ports.ts';

export class GuestClock implements Clock {
  readonly #host: Clock;
  /** Time spent stopped. */
  #behindNs = 0;
  #stoppedNs: number | null;

  /** A new clock stands still. */
  constructor(host: Clock) {
    this.#host = host;
    this.#stoppedNs = host.nowNs();
  }

  nowNs(): number {
    return this.#stoppedNs ?? this.#host.nowNs() - this.#behindNs;
  }
  realtimeNs(): bigint {
    return this.#host.realtimeNs();
  }

  stop(): void {
    this.#stoppedNs ??= this.nowNs();
  }
  go(): void {
    if (this.#stoppedNs === null) return;
    this.#behindNs = this.#host.nowNs() - this.#stoppedNs;
    this.#stoppedNs = null;
  }
}
