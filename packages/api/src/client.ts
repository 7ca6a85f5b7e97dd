/**
 * The typed client: every operation of the API by its id. Loads no schema library and nothing of a host, since a
 * command has a quarter of a second for everything; `./node` carries it to a daemon on this host.
 */
import { apiError, type ApiError, errorOfAnswer, errorOfOperation } from './api-error.ts';
import { Attached } from './attached.ts';
import type { CallArguments, CallResponse, Calls, EventsQuery, LogsQuery, RequestOptions } from './calls.ts';
import { BASE_PATH, ROUTES, SOCKETS } from './routes.ts';
import type { HostEvent } from './schemas/event.ts';
import type { LogEntry } from './schemas/log.ts';
import type { Operation } from './schemas/operation.ts';
import { jsonLines, serverSentEvents } from './text-streams.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

export { ApiError, errorOfOperation, errorOfRecord } from './api-error.ts';
export type { Attached, AttachedItem } from './attached.ts';
export type * from './calls.ts';
export { PROBLEMS, type ProblemCode } from './problems.ts';
export { API_VERSION, BASE_PATH, type OperationId, ROUTES } from './routes.ts';
export type * from './schemas/event.ts';
export type * from './schemas/host.ts';
export type * from './schemas/log.ts';
export type * from './schemas/operation.ts';
export type * from './schemas/problem.ts';
export type * from './schemas/vm.ts';
export type * from './transport.ts';
export * from './vocabulary.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_JSON_BYTES = 64 << 20;
/** The daemon sends a comment each 15 s. */
const EVENTS_IDLE_MS = 45_000;
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MOST_MS = 5000;

/** An answer with what its headers say. */
export interface Exchange<T> {
  readonly status: number;
  readonly body: T;
  /** Of `ETag`: what If-Match wants. */
  readonly revision: number | undefined;
  /** Of the operation, of an answer 202. */
  readonly location: string | undefined;
}

export interface EventsOptions extends RequestOptions {
  readonly query?: EventsQuery | undefined;
  /** The last event that was seen: goes on behind it. */
  readonly after?: number | undefined;
  /** When the daemon goes away: keeps trying for so long, then fails. 0 = ends with the connection. Default one minute. */
  readonly reconnectMs?: number | undefined;
}
export interface LogsOptions extends RequestOptions {
  readonly path: { readonly vm: string };
  readonly query?: LogsQuery | undefined;
}
export interface FinishOptions {
  /** Between looks at an operation that runs. Default 0.25 s when there is `progress`, 30 s otherwise. */
  readonly lookSeconds?: number | undefined;
  readonly progress?: ((operation: Operation) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Any of the options, as one shape. */
interface AnyOptions extends RequestOptions {
  readonly path?: object | undefined;
  readonly query?: object | undefined;
  readonly body?: unknown;
  readonly ifMatch?: number | '*' | undefined;
  readonly idempotencyKey?: string | undefined;
}

export class ApiClient {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws {ApiError} */
  async call<K extends keyof Calls>(id: K, ...args: CallArguments<K>): Promise<CallResponse<K>> {
    return (await this.exchange(id, ...args)).body;
  }

  /** As `call`, with the headers of the answer. */
  async exchange<K extends keyof Calls>(
    id: K,
    ...args: CallArguments<K>
  ): Promise<Exchange<CallResponse<K>>> {
    const options = (args[0] ?? {}) as AnyOptions;
    const response = await this.#send(id, options, 'application/json');
    const body = await readJson(response.body);
    return {
      status: response.status,
      body: body as CallResponse<K>,
      revision: revisionOf(response.header('etag')),
      location: response.header('location'),
    };
  }

  /** Waits for an operation's end. @throws {ApiError} when it failed or was cancelled */
  async finish(operation: Operation, options: FinishOptions = {}): Promise<Operation> {
    const { progress, signal } = options;
    const waitSeconds = options.lookSeconds ?? (progress === undefined ? 30 : 0.25);
    let now = operation;
    while (now.state === 'pending' || now.state === 'running') {
      progress?.(now);
      now = await this.call('getOperation', { path: { operation: now.id }, query: { waitSeconds }, signal });
    }
    progress?.(now);
    if (now.state !== 'done') throw errorOfOperation(now);
    return now;
  }

  /** What a machine has written, and with `follow` what it writes until its end. */
  async *logs(options: LogsOptions): AsyncGenerator<LogEntry, void, undefined> {
    const response = await this.#send('getLogs', options, 'application/x-ndjson');
    for await (const entry of jsonLines(response.body)) yield entry as LogEntry;
  }

  /** What happens, from now on or behind `after`; over the daemon's restarts without a hole. */
  async *events(options: EventsOptions = {}): AsyncGenerator<HostEvent, void, undefined> {
    const patienceMs = options.query?.until === 'now' ? 0 : (options.reconnectMs ?? 60_000);
    let after = options.after?.toString();
    let failures = 0;
    let failingSince: number | undefined;
    for (let connectedOnce = false; ; ) {
      try {
        const headers: Record<string, string> = after === undefined ? {} : { 'last-event-id': after };
        const idle = { idleTimeoutMs: EVENTS_IDLE_MS, headers };
        const response = await this.#send('streamEvents', options, 'text/event-stream', idle);
        connectedOnce = true;
        failures = 0;
        failingSince = undefined;
        for await (const event of serverSentEvents(response.body)) {
          if (event.id !== '') after = event.id;
          if (event.data !== '') yield JSON.parse(event.data) as HostEvent;
        }
        if (patienceMs === 0) return;
      } catch (error) {
        options.signal?.throwIfAborted();
        failingSince ??= Date.now();
        const lost = isLost(error) && Date.now() - failingSince < patienceMs;
        if (!connectedOnce || !lost) throw error;
      }
      await pause(Math.min(RECONNECT_FIRST_MS * 2 ** failures++, RECONNECT_MOST_MS), options.signal);
    }
  }

  /** The standard streams of a machine's command; may be opened before the machine is started. */
  attach(
    vm: string,
    options: { readonly stdin?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Attached> {
    return this.#open(SOCKETS.attach, vm, { stdin: options.stdin === true }, options.signal);
  }

  /** A machine's serial console. */
  console(
    vm: string,
    options: { readonly input?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Attached> {
    return this.#open(SOCKETS.console, vm, { input: options.input === true }, options.signal);
  }

  close(): void {
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #open(path: string, vm: string, query: object, signal?: AbortSignal): Promise<Attached> {
    return new Attached(
      await this.#transport.openSocket(`${addressOf(path, { vm })}${queryOf(query)}`, signal),
    );
  }

  /** @throws {ApiError} of any answer that is not a success */
  async #send(
    id: keyof typeof ROUTES,
    options: AnyOptions,
    accept: string,
    more: { readonly idleTimeoutMs?: number; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<TransportResponse> {
    const [method, template] = ROUTES[id];
    const headers: Record<string, string> = {
      accept: `${accept}, application/problem+json`,
      ...more.headers,
    };
    if (options.ifMatch !== undefined)
      headers['if-match'] = options.ifMatch === '*' ? '*' : `"${options.ifMatch}"`;
    if (options.idempotencyKey !== undefined) headers['idempotency-key'] = options.idempotencyKey;
    const request: TransportRequest = {
      method,
      path: `${addressOf(template, options.path ?? {})}${queryOf(options.query ?? {})}`,
      headers,
      signal: options.signal,
      timeoutMs: (options.timeoutMs ?? DEFAULT_TIMEOUT_MS) + waitMs(options.query ?? {}),
      ...(more.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: more.idleTimeoutMs }),
    };
    const response = await this.#transport.request(
      options.body === undefined
        ? request
        : {
            ...request,
            headers: { ...headers, 'content-type': 'application/json' },
            body: JSON.stringify(options.body),
          },
    );
    if (response.status < 400) return response;
    throw await problemOf(response);
  }
}

async function problemOf(response: TransportResponse): Promise<ApiError> {
  return errorOfAnswer(response.status, await readJson(response.body).catch(() => null));
}

/** The whole of a body; null of an empty one. */
async function readJson(body: AsyncIterable<Uint8Array>): Promise<unknown> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > MAX_JSON_BYTES) throw apiError('INTERNAL', "The daemon's answer has no end.");
    text += decoder.decode(piece, { stream: true });
  }
  text += decoder.decode();
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw apiError('INTERNAL', "The daemon's answer is not JSON.", { cause });
  }
}

function addressOf(template: string, path: object): string {
  const values = path as Readonly<Record<string, string | undefined>>;
  return (
    BASE_PATH +
    template.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = values[name] ?? '';
      // A URL would lose these.
      if (value === '' || value === '.' || value === '..')
        throw apiError(
          name === 'operation' ? 'OPERATION_NOT_FOUND' : 'VM_NOT_FOUND',
          `"${value}" names nothing.`,
        );
      return encodeURIComponent(value);
    })
  );
}

function queryOf(query: object): string {
  const pairs = Object.entries(query as Readonly<Record<string, unknown>>).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as unknown[]) : value === undefined ? [] : [value]).map(
      (one) => `${name}=${encodeURIComponent(String(one))}`,
    ),
  );
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

/** What a request asks the daemon to wait. */
function waitMs(query: object): number {
  const { waitSeconds, timeoutSeconds } = query as { waitSeconds?: number; timeoutSeconds?: number };
  return ((waitSeconds ?? 0) + (timeoutSeconds ?? 0)) * 1000;
}

function revisionOf(etag: string | undefined): number | undefined {
  const found = /^(?:W\/)?"(\d+)"$/.exec(etag ?? '');
  return found === null ? undefined : Number(found[1]);
}

function isLost(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === 'DAEMON_UNREACHABLE' || code === 'TOO_MANY_REQUESTS';
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      if (signal?.aborted === true) reject(signal.reason as Error);
      else resolve();
    }
  });
}
