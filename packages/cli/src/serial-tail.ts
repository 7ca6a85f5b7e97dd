/** Reads the serial console to its end: passes it on where wanted, and keeps the last of it for error messages. */
const KEPT_BYTES = 4096;
const SHOWN_LINES = 15;

export class SerialTail {
  readonly #decoder: TextDecoder = new TextDecoder();
  #text = '';
  #copy: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(serial: ReadableStream<Uint8Array>, to: { write(bytes: Uint8Array): unknown } | undefined) {
    void this.#read(serial, to);
  }

  /** Everything from now on. */
  copy(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#copy = controller;
      },
      cancel: () => {
        this.#copy = undefined;
      },
    });
  }

  /** The last lines, for people; empty when there are none. */
  tail(): string {
    const lines = this.#text.trimEnd().split(/\r?\n/).slice(-SHOWN_LINES);
    if (lines.join('').trim() === '') return '';
    return `viv: the last lines of the serial console:\n${lines.map((line) => `  | ${line}\n`).join('')}`;
  }

  async #read(
    serial: ReadableStream<Uint8Array>,
    to: { write(bytes: Uint8Array): unknown } | undefined,
  ): Promise<void> {
    try {
      for await (const bytes of serial) {
        this.#text = (this.#text + this.#decoder.decode(bytes, { stream: true })).slice(-KEPT_BYTES);
        to?.write(bytes);
        this.#copy?.enqueue(bytes);
      }
    } catch {
      // The machine is gone, and with it its console.
    }
    this.#copy?.close();
  }
}
