/**
 * Bytes from the guest on their way to a reader on the host; bounded. Until somebody reads, the newest `limit`
 * bytes are kept and older ones dropped. From the first `read` on nothing is dropped: `full` tells the device to
 * hold the guest back until the reader has caught up. A stream may end and begin again (a port that is closed and
 * opened): each end reads as one undefined.
 */
const END = null;

export class ByteQueue {
  readonly #limit: number;
  #onRoom: () => void;
  #chunks: (Uint8Array | typeof END)[] = [];
  #size = 0;
  #attached = false;
  #closed = false;
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
    if (bytes.length === 0 || this.#closed) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader(bytes);
      return;
    }
    // Small chunks are joined: an object costs more than its bytes.
    const last = this.#chunks.at(-1);
    if (last instanceof Uint8Array && last.length + bytes.length <= 0x1000) {
      this.#chunks[this.#chunks.length - 1] = join([last, bytes]);
    } else {
      this.#chunks.push(bytes);
    }
    this.#size += bytes.length;
    if (!this.#attached) this.#trim();
  }

  /** Ends the stream for now: its reader gets undefined once. An empty stream's end is not told twice. */
  end(): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader(undefined);
    else if (this.#chunks.at(-1) !== END) this.#chunks.push(END);
  }

  /** No more bytes will ever come; what is queued can still be read. */
  close(): void {
    this.#closed = true;
    // What is queued may outlive the machine; its memory must not.
    this.#onRoom = () => undefined;
    for (const reader of this.#readers.splice(0)) reader(undefined);
  }

  /** Everything there is, as soon as there is anything; undefined at an end of the stream. */
  read(): Promise<Uint8Array | undefined> {
    const wasFull = this.full;
    this.#attached = true;
    if (this.#chunks.length > 0) return Promise.resolve(this.#take(wasFull));
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) yield bytes;
  }

  #take(wasFull: boolean): Uint8Array | undefined {
    const end = this.#chunks.indexOf(END);
    if (end === 0) {
      this.#chunks.shift();
      return undefined;
    }
    const bytes = join(this.#chunks.splice(0, end < 0 ? this.#chunks.length : end) as Uint8Array[]);
    this.#size -= bytes.length;
    if (wasFull && !this.full) this.#onRoom();
    return bytes;
  }

  #trim(): void {
    while (this.#size > this.#limit) {
      const first = this.#chunks[0];
      if (first === END || first === undefined) {
        this.#chunks.shift();
        continue;
      }
      const excess = Math.min(this.#size - this.#limit, first.length);
      if (excess === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(excess);
      this.#size -= excess;
      this.dropped += excess;
    }
  }
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0] as Uint8Array;
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
