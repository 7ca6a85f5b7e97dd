/** WebSockets over a unix socket or named pipe. Loaded when the first is opened. */
import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { apiError, errorOfAnswer } from '../api-error.ts';
import { MAX_FRAME_BYTES } from '../frames.ts';
import type { MessageSocket } from '../transport.ts';
import { unreachable } from './transport.ts';

const HANDSHAKE_MS = 10_000;
/** Received and not yet read: beyond it nothing more is taken from the connection. */
const MAX_WAITING_BYTES = 1 << 20;
/** Sent and not yet taken: beyond it `send` waits. */
const MAX_BUFFERED_BYTES = 1 << 20;
const MAX_PROBLEM_BYTES = 1 << 16;

export function openMessageSocket(
  socketPath: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<MessageSocket> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const socket = new WebSocket(`ws://localhost${path}`, {
      createConnection: () => connect(socketPath),
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      handshakeTimeout: HANDSHAKE_MS,
    });
    const abort = (): void => socket.terminate();
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('close', () => signal?.removeEventListener('abort', abort));
    const opened = openedSocket(socket);
    socket.once('open', () => resolve(opened));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      reject(signal?.aborted === true ? (signal.reason as Error) : unreachable(error, socketPath));
    });
    socket.once('unexpected-response', (request, response) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes <= MAX_PROBLEM_BYTES) pieces.push(piece);
        else request.destroy();
      });
      response.once('close', () => {
        reject(errorOfAnswer(response.statusCode ?? 0, parsed(Buffer.concat(pieces).toString())));
        request.destroy();
      });
    });
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function openedSocket(socket: WebSocket): MessageSocket {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let ended = false;
  let wake: (() => void) | undefined;
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) return;
    waiting.push(data);
    waitingBytes += data.length;
    if (waitingBytes > MAX_WAITING_BYTES) socket.pause();
    wake?.();
  });
  // An error is followed by the close, and says no more than that.
  socket.on('error', () => undefined);
  socket.once('close', () => {
    ended = true;
    wake?.();
  });
  async function* messages(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const message = waiting.shift();
      if (message !== undefined) {
        waitingBytes -= message.length;
        if (waitingBytes <= MAX_WAITING_BYTES && socket.isPaused) socket.resume();
        yield message;
      } else if (ended) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  return {
    messages: messages(),
    send: (message) =>
      new Promise((resolve, reject) => {
        if (socket.readyState !== socket.OPEN) {
          reject(apiError('DAEMON_UNREACHABLE', 'The connection to the machine has ended.'));
          return;
        }
        socket.send(message, { binary: true }, (error) => {
          if (error === undefined || error === null) resolve();
          else reject(unreachable(error, 'its socket'));
        });
        if (socket.bufferedAmount < MAX_BUFFERED_BYTES) resolve();
      }),
    close: () => socket.close(1000),
  };
}
