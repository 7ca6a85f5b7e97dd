/**
 * The time-stamp counter: a linear function of the clock port, moved by TSC_OFFSET. RDTSC computes it in generated code
 * (engine/interp/timestamp.ts), by the same steps.
 */
import type { Clock } from '../../base/ports.ts';
import * as S from '../../x86/state.ts';
import type { Cpu } from './cpu.ts';

export class TimeStampCounter {
  readonly khz: number;
  /** IA32_TSC_ADJUST, signed 64 bits. */
  adjust = 0n;
  readonly #cpu: Cpu;
  readonly #clock: Clock;
  readonly #startNs: number;

  constructor(cpu: Cpu, clock: Clock, khz: number) {
    this.#cpu = cpu;
    this.#clock = clock;
    this.khz = khz;
    this.#startNs = clock.nowNs();
    cpu.area.setFloat64(S.TSC_START, this.#startNs, true);
    cpu.area.setFloat64(S.TSC_SCALE, khz / 1e6, true);
  }

  #ticksAt(ns: number): bigint {
    return BigInt(Math.floor((ns - this.#startNs) * (this.khz / 1e6)));
  }
  /** The counter when the clock shows (or showed) `ns`. */
  at(ns: number): bigint {
    return BigInt.asUintN(64, this.#ticksAt(ns) + this.#cpu.get64(S.TSC_OFFSET));
  }
  now(): bigint {
    return this.at(this.#clock.nowNs());
  }
  /** The counter goes on from `value`. */
  set(value: bigint): void {
    const offset = BigInt.asUintN(64, value - this.#ticksAt(this.#clock.nowNs()));
    this.#cpu.set64(S.TSC_OFFSET, offset);
  }
  /** As a guest's write to IA32_TIME_STAMP_COUNTER: IA32_TSC_ADJUST moves along. */
  write(value: bigint): void {
    const delta = value - this.now();
    this.adjust = BigInt.asIntN(64, this.adjust + delta);
    this.set(value);
  }
  writeAdjust(value: bigint): void {
    const delta = BigInt.asIntN(64, value) - this.adjust;
    this.adjust = BigInt.asIntN(64, value);
    this.#cpu.set64(S.TSC_OFFSET, BigInt.asUintN(64, this.#cpu.get64(S.TSC_OFFSET) + delta));
  }
  /** Clock time (ns) at which the counter reaches `value`, or passed it; the counter does not wrap. */
  nsOf(value: bigint): number {
    const ticks = this.#ticksAt(this.#clock.nowNs());
    const now = BigInt.asUintN(64, ticks + this.#cpu.get64(S.TSC_OFFSET));
    return this.#startNs + Number(ticks + value - now) / (this.khz / 1e6);
  }
}
