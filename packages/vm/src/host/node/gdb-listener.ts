/** The gdb stub's socket on Node: a loopback TCP port or a unix socket, one debugger at a time. */
import { createServer, type Socket } from 'node:net';
import { VmError } from '../../base/errors.ts';
import type { DebugTarget } from '../../debug/debug-target.ts';
import { GdbSession } from '../../debug/gdb-session.ts';

export interface GdbListener {
  /** What to type into gdb after `target remote`. */
  readonly address: string;
  close(): Promise<void>;
}

function serve(socket: Socket, target: DebugTarget): Promise<void> {
  const session = new GdbSession(target, (text) => socket.write(text, 'latin1'));
  socket.setNoDelay(true);
  socket.on('data', (bytes: Uint8Array) => session.feed(bytes));
  socket.on('error', () => socket.destroy());
  session.attach();
  return new Promise((resolve) => {
    socket.on('close', () => {
      session.close().then(resolve, resolve);
    });
  });
}

/** @param where a port of 127.0.0.1 (0 = any free one) or the path of a unix socket */
export function listenForGdb(target: DebugTarget, where: number | string): Promise<GdbListener> {
  let current: Socket | undefined;
  const server = createServer((socket) => {
    if (current !== undefined) {
      socket.destroy();
      return;
    }
    current = socket;
    void serve(socket, target).then(() => {
      current = undefined;
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new VmError('USAGE', {
          message: `The debugger's port ${where} cannot be opened: ${cause.message}`,
          remedy: 'Choose another port, for example: --gdb 0',
          cause,
        }),
      );
    });
    server.listen(typeof where === 'number' ? { port: where, host: '127.0.0.1' } : { path: where }, () => {
      const address = server.address();
      resolve({
        address:
          address !== null && typeof address === 'object' ? `127.0.0.1:${address.port}` : String(where),
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            current?.destroy();
          }),
      });
    });
  });
}
