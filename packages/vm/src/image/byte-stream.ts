/** Reads exact lengths from a stream of chunks. */
export class ByteStream {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #used = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** Makes at least one byte available; false at the end. */
  async #fill(): Promise<boolean> {
    while (this.#used === this.#chunk.length) {
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#chunk = next.value;
      this.#used = 0;
    }
    return true;
  }

  #takeAtMost(length: number): Uint8Array {
    const piece = this.#chunk.subarray(this.#used, this.#used + length);
    this.#used += piece.length;
    return piece;
  }

  /** The next `length` bytes; undefined when the stream has ended before the first. Throws when it ends within. */
  async read(length: number): Promise<Uint8Array | undefined> {
    if (length > 0 && !(await this.#fill())) return undefined;
    if (this.#chunk.length - this.#used >= length) return this.#takeAtMost(length);
    const bytes = new Uint8Array(length);
    let at = 0;
    for await (const piece of this.take(length)) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Passes the next `length` bytes on as they come. Throws when the stream ends within. */
  async *take(length: number): AsyncIterable<Uint8Array> {
    for (let left = length; left > 0; ) {
      if (!(await this.#fill())) throw new Error(`the data end ${left} bytes too early`);
      const piece = this.#takeAtMost(left);
      left -= piece.length;
      yield piece;
    }
  }

  async skip(length: number): Promise<void> {
    for await (const _ of this.take(length)) {
      // Only the position matters.
    }
  }

  /** Ends the source early, so that it can free what it holds. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

export async function* oneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

/** All of a stream, at most `limit` bytes. */
export async function collect(source: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    length += chunk.length;
    if (length > limit) throw new Error(`more than ${limit} bytes`);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
