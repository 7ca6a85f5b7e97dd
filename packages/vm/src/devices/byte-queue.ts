/**
 * Bytes from the guest on their way to a reader on the host; bounded. Until somebody reads, the newest `limit`
 * bytes are kept and older ones dropped. From the first `read` on nothing is dropped: `full` tells the device to
 * hold the guest back until the reader has caught up.
 */
export class ByteQueue {
  readonly #limit: number;
  readonly #onRoom: () => void;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #attached = false;
  #ended = false;
  #readers: ((bytes: Uint8Array | undefined) => void)[] = [];
  /** Bytes dropped because nobody read. */
  dropped = 0;

  /** @param onRoom called when a full queue has been read */
  constructor(limit: number, onRoom: () => void) {
    this.#limit = limit;
    this.#onRoom = onRoom;
  }

  /** True when the device must hold back. */
  get full(): boolean {
    return this.#attached && this.#size >= this.#limit;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#ended) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader(bytes);
      return;
    }
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    // Many tiny chunks cost more than their bytes.
    if (this.#chunks.length > 64) this.#chunks = [this.#join()];
    if (!this.#attached && this.#size > this.#limit) this.#trim();
  }

  /** Everything there is, as soon as there is anything; undefined after the end. */
  read(): Promise<Uint8Array | undefined> {
    this.#attached = true;
    if (this.#size > 0) {
      const wasFull = this.full;
      const bytes = this.#join();
      this.#chunks = [];
      this.#size = 0;
      if (wasFull) this.#onRoom();
      return Promise.resolve(bytes);
    }
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** No more bytes will come; what is queued can still be read. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) reader(undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) yield bytes;
  }

  #trim(): void {
    const all = this.#join();
    const kept = all.slice(all.length - this.#limit);
    this.dropped += all.length - kept.length;
    this.#chunks = [kept];
    this.#size = kept.length;
  }

  #join(): Uint8Array {
    if (this.#chunks.length === 1) return this.#chunks[0] as Uint8Array;
    const all = new Uint8Array(this.#size);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}
