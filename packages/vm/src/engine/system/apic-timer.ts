/**
 * The local APIC's timer (SDM 3A, 11.5.4): one-shot and periodic counts of a 1 GHz bus clock, and deadlines of
 * the time-stamp counter.
 */
import type { Clock } from '../../base/ports.ts';
import type { TimeStampCounter } from './tsc.ts';

/** Bits 18:17 of the LVT entry. */
const MODE_SHIFT = 17;
const PERIODIC = 1;
const DEADLINE = 2;

export class ApicTimer {
  /** Clock time of the next expiry. */
  deadlineNs: number = Infinity;
  /** IA32_TSC_DEADLINE: 0 = disarmed. */
  tscDeadline = 0n;
  #mode = 0;
  #divide = 2;
  #initialCount = 0;
  readonly #clock: Clock;
  readonly #tsc: TimeStampCounter;

  constructor(clock: Clock, tsc: TimeStampCounter) {
    this.#clock = clock;
    this.#tsc = tsc;
  }

  /** The LVT entry was written: a change to or from deadlines disarms. */
  setLvt(lvt: number): boolean {
    const mode = (lvt >>> MODE_SHIFT) & 3;
    const disarm = (mode === DEADLINE) !== (this.#mode === DEADLINE);
    this.#mode = mode;
    if (disarm) this.disarm();
    return disarm;
  }

  disarm(): void {
    this.deadlineNs = Infinity;
    this.tscDeadline = 0n;
    this.#initialCount = 0;
  }

  /** @param register divide configuration: bits 3, 1, 0 are the exponent minus 1, 7 = divide by 1 */
  setDivide(register: number): void {
    const remaining = this.currentCount();
    const code = (register & 3) | ((register >>> 1) & 4);
    this.#divide = 1 << ((code + 1) & 7);
    if (this.#initialCount !== 0 && this.deadlineNs !== Infinity)
      this.deadlineNs = this.#clock.nowNs() + remaining * this.#divide;
  }

  setInitialCount(count: number): void {
    if (this.#mode === DEADLINE) return;
    this.#initialCount = count;
    this.deadlineNs = count === 0 ? Infinity : this.#clock.nowNs() + count * this.#divide;
  }

  currentCount(): number {
    if (this.#initialCount === 0 || this.deadlineNs === Infinity) return 0;
    const left = Math.ceil((this.deadlineNs - this.#clock.nowNs()) / this.#divide);
    if (left > 0) return Math.min(left, this.#initialCount);
    if (this.#mode !== PERIODIC) return 0;
    const into = -left % this.#initialCount;
    return this.#initialCount - into;
  }

  /** Arms a TSC deadline; outside deadline mode the write is lost. */
  setTscDeadline(value: bigint): void {
    if (this.#mode !== DEADLINE) return;
    this.tscDeadline = value;
    this.deadlineNs = value === 0n ? Infinity : this.#tsc.nsOf(value);
  }

  /** The counter was moved: a deadline stands for another time now. */
  tscMoved(): void {
    if (this.tscDeadline !== 0n) this.deadlineNs = this.#tsc.nsOf(this.tscDeadline);
  }

  /** Has the timer run out? Starts the next period. */
  expire(nowNs: number): boolean {
    if (nowNs < this.deadlineNs) return false;
    if (this.#mode === PERIODIC && this.#initialCount !== 0) {
      const period = this.#initialCount * this.#divide;
      const missed = Math.floor((nowNs - this.deadlineNs) / period);
      this.deadlineNs += (missed + 1) * period;
    } else {
      this.deadlineNs = Infinity;
      this.tscDeadline = 0n;
    }
    return true;
  }

  /** Continues a saved timer. @param currentCount of the count modes */
  restore(
    lvt: number,
    divide: number,
    initialCount: number,
    currentCount: number,
    tscDeadline: bigint,
  ): void {
    this.#mode = (lvt >>> MODE_SHIFT) & 3;
    this.disarm();
    this.setDivide(divide);
    if (this.#mode === DEADLINE) {
      this.setTscDeadline(tscDeadline);
      return;
    }
    this.#initialCount = initialCount;
    if (initialCount !== 0 && (currentCount !== 0 || this.#mode === PERIODIC))
      this.deadlineNs = this.#clock.nowNs() + currentCount * this.#divide;
  }
}
