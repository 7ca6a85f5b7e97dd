/** The host's end of the serial line, on the main thread: output to read or to listen to, input to write. */
import { ByteQueue } from '../byte-queue.ts';
import type { Serial } from './device.ts';

/** Output kept for a reader that comes later; see ByteQueue for what happens beyond. */
const KEPT_BYTES = 0x10000;

interface PendingInput {
  bytes: Uint8Array;
  readonly done: () => void;
}

export class SerialPort {
  readonly #serial: Serial;
  readonly #enter: (work: () => void) => void;
  readonly #listeners: Set<(bytes: Uint8Array) => void> = new Set();
  #input: PendingInput[] = [];
  /** What the guest wrote. A slow reader makes the guest's transmitter busy. */
  readonly output: ByteQueue;

  /** @param enter does work that the guest may see, when it may */
  constructor(serial: Serial, enter: (work: () => void) => void = (work) => work()) {
    this.#serial = serial;
    this.#enter = enter;
    this.output = new ByteQueue(KEPT_BYTES, () => this.pump());
  }

  /** Calls `listener` with all output from now on; it must not throw. Returns the way to stop. */
  onOutput(listener: (bytes: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Types `bytes` into the guest; resolves when its UART has taken the last one. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((done) => {
      this.#input.push({ bytes, done });
      this.#feed();
    });
  }

  /** Moves what can move; called when the doorbell rings. */
  pump(): void {
    if (!this.output.full) {
      const bytes = this.#serial.take();
      if (bytes.length > 0) {
        for (const listener of this.#listeners) listener(bytes);
        this.output.push(bytes);
      }
    }
    this.#feed();
  }

  #feed(): void {
    if (this.#input.length > 0) this.#enter(() => this.#offer());
  }

  #offer(): void {
    for (let next = this.#input[0]; next !== undefined; next = this.#input[0]) {
      const count = this.#serial.offer(next.bytes);
      if (count < next.bytes.length) {
        next.bytes = next.bytes.subarray(count);
        return;
      }
      this.#input.shift();
      next.done();
    }
  }

  /** Gives up input that nobody will read any more. */
  discardInput(): void {
    for (const { done } of this.#input.splice(0)) done();
  }
}
