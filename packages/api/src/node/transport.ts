/** HTTP/1.1 over a unix socket or named pipe; connections are kept for the next request. */
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { apiError, type ApiError } from '../api-error.ts';
import type { MessageSocket, Transport, TransportRequest, TransportResponse } from '../transport.ts';

/** Errors of a connection that mean that there is no daemon behind the path. */
const ABSENT = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR']);

export class NodeTransport implements Transport {
  readonly #socketPath: string;
  /** Waiting connections do not keep the process alive. */
  readonly #agent: Agent = new Agent({ keepAlive: true, maxFreeSockets: 2 });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    try {
      return await this.#once(request, isRepeatable(request));
    } catch (error) {
      // A kept connection that the daemon closed while this request was on its way: once more, on a fresh one.
      if (!(error instanceof StaleConnection)) throw error;
      return await this.#once(request, false);
    }
  }

  async openSocket(path: string, signal?: AbortSignal): Promise<MessageSocket> {
    const { openMessageSocket } = await import('./socket.ts');
    return openMessageSocket(this.#socketPath, path, signal);
  }

  close(): void {
    this.#agent.destroy();
  }

  #once(request: TransportRequest, reuse: boolean): Promise<TransportResponse> {
    const { method, path, headers, signal } = request;
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({
        socketPath: this.#socketPath,
        // A kept connection may just be closing, and then nobody knows whether the request was done.
        agent: reuse ? this.#agent : false,
        method,
        path,
        headers: { host: 'localhost', ...headers },
        ...(signal === undefined ? {} : { signal }),
      });
      const slow = setTimeout(() => {
        outgoing.destroy(
          apiError('DAEMON_UNREACHABLE', `The daemon did not answer within ${request.timeoutMs / 1000} s.`),
        );
      }, request.timeoutMs);
      outgoing.once('response', (response) => {
        clearTimeout(slow);
        resolve(answerOf(response, request.idleTimeoutMs));
      });
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(slow);
        const reset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
        if (signal?.aborted === true) reject(signal.reason as Error);
        else if (reset && outgoing.reusedSocket) reject(new StaleConnection());
        else reject(unreachable(error, this.#socketPath));
      });
      outgoing.end(request.body);
    });
  }
}

class StaleConnection extends Error {}

/** May be sent again without asking what became of the first. */
function isRepeatable({ method, headers }: TransportRequest): boolean {
  return method === 'GET' || headers['idempotency-key'] !== undefined;
}

/** An error of a connection as the client tells it; what is one already stays. */
export function unreachable(error: NodeJS.ErrnoException, socketPath: string): ApiError {
  if (error.name === 'ApiError') return error as unknown as ApiError;
  const absent = ABSENT.has(error.code ?? '');
  return apiError(
    'DAEMON_UNREACHABLE',
    absent ? `No daemon listens at ${socketPath}.` : `The connection to the daemon broke: ${error.message}.`,
    {
      ...(absent ? { remedy: 'viv up' } : {}),
      data: { socket: socketPath, absent, error: error.code ?? error.name },
      cause: error,
    },
  );
}

function answerOf(response: IncomingMessage, idleTimeoutMs: number | undefined): TransportResponse {
  return {
    status: response.statusCode ?? 0,
    header: (name) => {
      const value = response.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body: bodyOf(response, idleTimeoutMs),
  };
}

async function* bodyOf(
  response: IncomingMessage,
  idleTimeoutMs: number | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const idle = (): void => {
    response.destroy(apiError('DAEMON_UNREACHABLE', 'The daemon has become silent.'));
  };
  let timer = idleTimeoutMs === undefined ? undefined : setTimeout(idle, idleTimeoutMs);
  try {
    for await (const bytes of response as AsyncIterable<Buffer>) {
      timer?.refresh();
      yield bytes;
    }
  } catch (error) {
    const { name } = error as Error;
    throw name === 'AbortError' ? error : unreachable(error as NodeJS.ErrnoException, 'its socket');
  } finally {
    clearTimeout(timer);
    timer = undefined;
  }
}
