/**
 * A lock over one shared word for state that vCPU threads and the main thread both change. It is held for
 * microseconds; the main thread must not sleep, so waiting means spinning. A thread that was terminated while
 * it held the lock must not hang the others: after STEAL_AFTER tries (seconds) the lock is taken over.
 */
const STEAL_AFTER = 30_000_000;

export class SpinLock {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #index: number;

  constructor(words: Int32Array<SharedArrayBuffer>, index: number) {
    this.#words = words;
    this.#index = index;
  }

  lock(): void {
    for (let tries = 0; tries < STEAL_AFTER; tries++) {
      if (Atomics.compareExchange(this.#words, this.#index, 0, 1) === 0) return;
    }
    Atomics.store(this.#words, this.#index, 1);
  }

  unlock(): void {
    Atomics.store(this.#words, this.#index, 0);
  }
}
