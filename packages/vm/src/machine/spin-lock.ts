/**
 * A lock over one shared word for state that vCPU threads and the main thread both change. It is held for
 * microseconds, so waiting begins with spinning; a holder that lost its processor gets it back by short sleeps (where
 * the thread may sleep: a browser's main thread may not). A thread that was terminated while it held the lock must not
 * hang the others for ever: after some ten seconds the lock is taken over.
 */
const SPINS = 2000;
const SLEEP_MS = 0.05;
const SLEEPS = 100_000;
/** Instead of sleeping: about as long. */
const BLIND_SPINS = 500_000_000;

export class SpinLock {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #index: number;
  readonly #sleeps: number;

  /** @param sleeps before a lock is taken over */
  constructor(words: Int32Array<SharedArrayBuffer>, index: number, sleeps: number = SLEEPS) {
    this.#words = words;
    this.#index = index;
    this.#sleeps = sleeps;
  }

  lock(): void {
    if (!this.#spin(SPINS)) this.#wait();
  }

  unlock(): void {
    Atomics.store(this.#words, this.#index, 0);
  }

  #spin(tries: number): boolean {
    for (let i = 0; i < tries; i++) {
      if (Atomics.compareExchange(this.#words, this.#index, 0, 1) === 0) return true;
    }
    return false;
  }

  #wait(): void {
    for (let i = 0; i < this.#sleeps; i++) {
      try {
        Atomics.wait(this.#words, this.#index, 1, SLEEP_MS);
      } catch {
        // This thread may not sleep.
        if (!this.#spin(BLIND_SPINS)) break;
        return;
      }
      if (this.#spin(1)) return;
    }
    Atomics.store(this.#words, this.#index, 1);
  }
}
