/**
 * How a vCPU thread tells the main thread that a device has work. One bit per source; bits rung before the main
 * thread looks are merged. Waiting neither keeps a process alive nor uses a timer: `Atomics.waitAsync`.
 *
 *   word 0  sequence: changes when the pending word leaves zero (wait address)
 *   word 1  pending source bits
 *   word 2  never written: the main thread waits here to give its event loop a turn
 */
const SEQUENCE = 0;
const PENDING = 1;
const TURN = 2;
/** After so many turns without a pause, one of them waits a millisecond: Node may run all turns before its timers. */
const TURNS_PER_REST = 64;

export class Doorbell {
  readonly #words: Int32Array<SharedArrayBuffer>;
  #listening = 0;

  /** @param byteOffset of 12 shared bytes, 4-byte aligned */
  constructor(buffer: SharedArrayBuffer, byteOffset: number) {
    this.#words = new Int32Array(buffer, byteOffset, 3);
  }

  /** Any thread: `bits` have work. Costs a system call only when nothing was pending. */
  ring(bits: number): void {
    if (Atomics.or(this.#words, PENDING, bits) !== 0) return;
    Atomics.add(this.#words, SEQUENCE, 1);
    Atomics.notify(this.#words, SEQUENCE);
  }

  /** Is something pending? */
  get isPending(): boolean {
    return Atomics.load(this.#words, PENDING) !== 0;
  }

  /** Takes what is pending. */
  take(): number {
    return Atomics.exchange(this.#words, PENDING, 0);
  }

  /**
   * Main thread: calls `handler` with the pending bits, each time in a new turn of the event loop, so that a guest
   * that rings without end starves nobody. Ends after `stop()`.
   */
  async listen(handler: (bits: number) => void): Promise<void> {
    const generation = ++this.#listening;
    let turns = 0;
    while (this.#listening === generation) {
      const sequence = Atomics.load(this.#words, SEQUENCE);
      const bits = this.take();
      if (bits !== 0) {
        handler(bits);
        await this.turn(++turns % TURNS_PER_REST === 0);
        continue;
      }
      turns = 0;
      const wait = Atomics.waitAsync(this.#words, SEQUENCE, sequence);
      if (wait.async) await wait.value;
    }
  }

  /** Resolves in a later turn of the event loop. */
  async turn(rest = false): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, TURN, 0, rest ? 1 : Number.POSITIVE_INFINITY);
    if (!rest) Atomics.notify(this.#words, TURN);
    if (wait.async) await wait.value;
  }

  /** Ends `listen`; what is pending stays pending. */
  stop(): void {
    this.#listening++;
    Atomics.add(this.#words, SEQUENCE, 1);
    Atomics.notify(this.#words, SEQUENCE);
  }
}
