/**
 * Deterministic mode (ADR 0031): what a vCPU's thread and the main thread must agree on. Plain data that can be sent
 * to a thread, the clock that counts instructions, and the events of a run.
 */
import type { Clock, Randomness } from '../base/ports.ts';

export interface DeterministicSettings {
  /** Of every random number that the guest gets; 32 bits. */
  readonly seed: number;
  /** The guest's time per instruction: a whole number. */
  readonly nsPerInstruction: number;
  /** Wall clock at instruction 0, in milliseconds since 1970. */
  readonly startTimeMs: number;
  /** A checkpoint each time so many instructions have retired; 0 = none. */
  readonly checkpointEvery: number;
  /** Report events. */
  readonly log: boolean;
}

export const DETERMINISTIC_DEFAULTS: DeterministicSettings = {
  seed: 1,
  nsPerInstruction: 1,
  // 2026-01-01T00:00:00Z
  startTimeMs: 1_767_225_600_000,
  checkpointEvery: 0,
  log: false,
};

/** What happened after `count` retired instructions. Two runs are the same as far as their events are. */
export type CountedEvent =
  /** An interrupt, NMI or debug trap was delivered. */
  | { readonly count: number; readonly kind: 'interrupt'; readonly vector: number }
  /** Something from outside entered: console input, the power button, a resume. The only events that may differ. */
  | { readonly count: number; readonly kind: 'input' }
  /** A hash of guest RAM and one of the vCPU's record. */
  | { readonly count: number; readonly kind: 'checkpoint'; readonly ram: string; readonly vcpu: string };

export function eventLine(event: CountedEvent): string {
  switch (event.kind) {
    case 'interrupt':
      return `${event.count} interrupt 0x${event.vector.toString(16)}`;
    case 'input':
      return `${event.count} input`;
    case 'checkpoint':
      return `${event.count} checkpoint ram ${event.ram} vcpu ${event.vcpu}`;
  }
}

/** Time as a function of the instructions that a vCPU has retired, and of the time it skipped while halted. */
export class CountedClock implements Clock {
  /** Instructions retired so far: the vCPU that counts them says. */
  count: () => number = () => 0;
  readonly #settings: DeterministicSettings;
  #skippedNs = 0;

  constructor(settings: DeterministicSettings) {
    this.#settings = settings;
  }

  nowNs(): number {
    return this.count() * this.#settings.nsPerInstruction + this.#skippedNs;
  }
  realtimeNs(): bigint {
    return BigInt(this.#settings.startTimeMs) * 1_000_000n + BigInt(this.nowNs());
  }

  /** All the time skipped so far. */
  get skippedNs(): number {
    return this.#skippedNs;
  }

  /** How many instructions retire until the clock shows `deadlineNs` or more. */
  instructionsUntil(deadlineNs: number): number {
    return Math.ceil((deadlineNs - this.nowNs()) / this.#settings.nsPerInstruction);
  }

  /** The vCPU halts until then. */
  skipTo(deadlineNs: number): void {
    this.#skippedNs += Math.max(0, Math.ceil(deadlineNs) - this.nowNs());
  }
}

/** Numbers from a seed (SplitMix32), for guests only: nothing secret may come from here. */
export function seededRandomness(seed: number): Randomness {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  return {
    fill(target) {
      for (let i = 0; i < target.length; i++) target[i] = next() & 0xff;
    },
  };
}
