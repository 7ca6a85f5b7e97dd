/** One client's end of a machine's streams (frames.ts). */
import { apiError } from './api-error.ts';
import type { AttachControl, AttachEvent } from './attach.ts';
import { CLIENT_FRAME, DAEMON_FRAME, MAX_FRAME_BYTES } from './frames.ts';
import type { MessageSocket } from './transport.ts';

export type AttachedItem =
  | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array }
  | AttachEvent;

export class Attached {
  readonly #socket: MessageSocket;

  constructor(socket: MessageSocket) {
    this.#socket = socket;
  }

  /**
   * Output in order, last how the machine ended. Who does not read holds the guest back. To be iterated once.
   * @throws {ApiError} DAEMON_UNREACHABLE when the connection ends before the machine
   */
  async *items(): AsyncGenerator<AttachedItem, void, undefined> {
    for await (const frame of this.#socket.messages) {
      const content = frame.subarray(1);
      switch (frame[0]) {
        case DAEMON_FRAME.STDOUT:
          yield { kind: 'output', stream: 'stdout', bytes: content };
          break;
        case DAEMON_FRAME.STDERR:
          yield { kind: 'output', stream: 'stderr', bytes: content };
          break;
        case DAEMON_FRAME.EVENT:
          yield JSON.parse(new TextDecoder().decode(content)) as AttachEvent;
          return;
        default: // of a newer daemon
      }
    }
    throw apiError(
      'DAEMON_UNREACHABLE',
      'The daemon ended the connection to the machine; the machine may still run.',
      {
        remedy: 'viv ps',
      },
    );
  }

  /** Resolves when more may be sent. */
  async write(bytes: Uint8Array): Promise<void> {
    const most = MAX_FRAME_BYTES - 1;
    for (let at = 0; at < bytes.length; at += most)
      await this.#send(CLIENT_FRAME.STDIN, bytes.subarray(at, at + most));
  }

  /** The end of standard input. */
  end(): Promise<void> {
    return this.#send(CLIENT_FRAME.STDIN_END, new Uint8Array());
  }

  resize(columns: number, rows: number): Promise<void> {
    return this.#control({ kind: 'resize', columns, rows });
  }

  signal(name: Extract<AttachControl, { kind: 'signal' }>['name']): Promise<void> {
    return this.#control({ kind: 'signal', name });
  }

  /** The machine goes on without us. */
  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #control(message: AttachControl): Promise<void> {
    return this.#send(CLIENT_FRAME.CONTROL, new TextEncoder().encode(JSON.stringify(message)));
  }

  #send(kind: number, content: Uint8Array): Promise<void> {
    const frame = new Uint8Array(content.length + 1);
    frame[0] = kind;
    frame.set(content, 1);
    return this.#socket.send(frame);
  }
}
