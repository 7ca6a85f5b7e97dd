/** A port of the virtio console as the guest protocol uses it; and its ends as web streams. */
export interface GuestPort {
  /**
   * The guest's next bytes. Undefined says: the guest has closed the port, and all it wrote before has been read;
   * the next call waits until it is opened again. Bytes nobody reads hold the guest back.
   */
  read(): Promise<Uint8Array | undefined>;
  /** Resolves when the guest's queue has taken the bytes; waits while the guest has not opened the port. */
  write(bytes: Uint8Array): Promise<void>;
  /** The guest sees the end of input, after everything written before. */
  close(): void;
  /** Undoes `close`. */
  open(): void;
}

/** A queue's bytes as a stream that reads only on demand, and ends at the queue's first end. */
export function readableOf(queue: Pick<GuestPort, 'read'>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await queue.read();
        if (bytes === undefined) controller.close();
        else controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
}

export const END: unique symbol = Symbol('end');

/**
 * An end to wait for together with something else, again and again. Racing a long-lived promise itself would leave
 * a reaction on it each time, a leak of every chunk of output.
 */
export class Ending {
  readonly #isOver: () => boolean;
  #wake: () => void = () => undefined;

  /** @param causes look again whether it is over when one of them resolves */
  constructor(isOver: () => boolean, causes: readonly Promise<void>[]) {
    this.#isOver = isOver;
    for (const cause of causes) void cause.then(() => this.check());
  }

  check(): void {
    if (this.#isOver()) this.#wake();
  }

  /** Resolves when it is over. Only the last promise given out counts. */
  wait(): Promise<typeof END> {
    const { promise, resolve } = Promise.withResolvers<typeof END>();
    this.#wake = () => resolve(END);
    this.check();
    return promise;
  }
}

/** The guest's output through one port, as streams one after the other: each begins when the one before has ended. */
export class OutputPort {
  readonly #port: GuestPort;
  readonly #gone: Promise<void>;
  /** The read under way, kept when a stream ends, so that the next stream loses nothing. */
  #next: Promise<Uint8Array | undefined> | undefined;
  #last: Promise<void> = Promise.resolve();

  /** @param gone resolves when the machine is gone: nothing more can come */
  constructor(port: GuestPort, gone: Promise<void>) {
    this.#port = port;
    this.#gone = gone;
  }

  /**
   * What a command writes. The stream ends when `exited` has resolved and, if `untilClosed`, the guest has closed
   * the port; otherwise when what had arrived by then is read. A guest that reboots closes the port before its
   * command has exited, and opens it again: the stream goes on.
   */
  stream(exited: Promise<void>, untilClosed: boolean): ReadableStream<Uint8Array> {
    const before = this.#last;
    const ended = Promise.withResolvers<void>();
    this.#last = ended.promise;
    let isGone = false;
    let hasExited = false;
    let closed = false;
    const gone = this.#gone.then(() => void (isGone = true));
    const exit = exited.then(() => void (hasExited = true));
    const ending = new Ending(() => isGone || (hasExited && (closed || !untilClosed)), [gone, exit]);
    const read = async (): Promise<Uint8Array | typeof END> => {
      await before;
      for (;;) {
        this.#next ??= this.#port.read();
        // Promise.race takes the first that is settled: what has arrived wins over an end that came with it, except
        // that after a close an exit says that what comes next is not ours.
        const next = await Promise.race(closed ? [ending.wait(), this.#next] : [this.#next, ending.wait()]);
        if (next === END) return END;
        this.#next = undefined;
        closed = next === undefined;
        if (next !== undefined) return next;
      }
    };
    const drain = async (): Promise<void> => {
      while ((await read()) !== END);
      ended.resolve();
    };
    return new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = await read();
        if (next !== END) {
          controller.enqueue(next);
          return;
        }
        controller.close();
        ended.resolve();
      },
      /** Nobody reads any more: the guest must not wait for a reader, nor the canceller for the guest. */
      cancel() {
        void drain();
      },
    });
  }
}

/** Writes go to `port`; with `closes`, the end of the stream is the end of the guest's input. */
export function inputStream(
  port: GuestPort,
  closes: boolean,
  gone: Promise<void>,
): WritableStream<Uint8Array> {
  let isGone = false;
  const ending = new Ending(() => isGone, [gone.then(() => void (isGone = true))]);
  return new WritableStream<Uint8Array>({
    async write(bytes) {
      await Promise.race([port.write(bytes), ending.wait()]);
    },
    close() {
      if (closes) port.close();
    },
  });
}
