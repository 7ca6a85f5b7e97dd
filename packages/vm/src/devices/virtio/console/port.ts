/**
 * The host's end of one console port, as streams with back-pressure. Output of a port that somebody reads holds the
 * guest back when the reader is slow; before the first read the newest 64 KiB are kept. Input waits until the guest
 * has opened the port; when the guest closes it, nobody reads any more, and input is dropped until it is opened again.
 */
import { ByteQueue } from '../../byte-queue.ts';

const KEPT_BYTES = 0x10000;

export type InputItem =
  | { readonly kind: 'bytes'; bytes: Uint8Array; readonly done: () => void }
  | { readonly kind: 'open'; readonly open: boolean };

export class ConsolePort {
  readonly name: string;
  /** True for a terminal (hvcN). */
  readonly console: boolean;
  /** What the guest wrote; ends (undefined) each time the guest closes the port. */
  readonly output: ByteQueue;
  readonly #wake: () => void;
  readonly #listeners: Set<(open: boolean) => void> = new Set();
  #discarding = false;

  // ---- the device's own view ----
  readonly input: InputItem[] = [];
  guestOpen = false;
  hostOpen = true;
  /** The guest has announced that it can take this port's control messages. */
  ready = false;
  /** Bits of Owed. */
  owed = 0;
  transmitOffset = 0;
  /** The guest has closed the port; its stream ends when the transmit queue is empty. */
  closing = false;

  /** @param wake tells the device that the host's side has changed */
  constructor(name: string, console: boolean, wake: () => void) {
    this.name = name;
    this.console = console;
    this.#wake = wake;
    this.output = new ByteQueue(KEPT_BYTES, wake);
  }

  /** Sends `bytes` to the guest; resolves when its buffers have taken the last one, or nobody reads any more. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#discarding || bytes.length === 0) return Promise.resolve();
    return new Promise((done) => {
      this.input.push({ kind: 'bytes', bytes, done });
      this.#wake();
    });
  }

  /** After what was written the guest reads end of file. */
  endInput(): void {
    this.input.push({ kind: 'open', open: false });
    this.#wake();
  }

  /** The host's end is open again: for the next reader in the guest. */
  openInput(): void {
    this.#discarding = false;
    this.input.push({ kind: 'open', open: true });
    this.#wake();
  }

  /** Calls `listener` when the guest opens or closes the port. Returns the way to stop. */
  onGuestOpen(listener: (open: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The device has heard that the guest opened or closed the port. */
  setGuestOpen(open: boolean): void {
    if (open === this.guestOpen) return;
    this.guestOpen = open;
    this.closing = !open;
    this.#discarding = !open;
    if (!open) this.dropInput();
    for (const listener of this.#listeners) listener(open);
  }

  /** Drops bytes that nobody will read; their writers go on. */
  dropInput(): void {
    for (const item of this.input.splice(0)) {
      if (item.kind === 'bytes') item.done();
      else this.input.push(item);
    }
  }

  /** Back to the state before the guest's driver came. */
  reset(): void {
    if (this.guestOpen || this.closing) this.output.end();
    this.dropInput();
    this.#discarding = false;
    this.guestOpen = false;
    this.hostOpen = true;
    this.ready = false;
    this.owed = 0;
    this.transmitOffset = 0;
    this.closing = false;
  }
}
