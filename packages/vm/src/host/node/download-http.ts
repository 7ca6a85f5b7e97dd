/** The HTTP port on Node: redirects followed, `http_proxy`, `https_proxy` and `no_proxy` obeyed, nothing cached. */
import type { IncomingMessage } from 'node:http';
import type { Http, HttpResponse } from '../../base/ports.ts';

const MAX_REDIRECTS = 5;
/** Without a byte for this long a connection counts as broken. */
const IDLE_MS = 30_000;

async function request(url: URL, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  // Loaded only here: TLS costs 15 MB, and a machine whose image is in the cache downloads nothing.
  const { Agent, get: send } =
    url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const settings = { proxyEnv: process.env, timeout: IDLE_MS };
  const options = {
    agent: new Agent(settings),
    headers: { 'User-Agent': 'vivarium', 'Accept-Encoding': 'identity', ...headers },
    timeout: IDLE_MS,
  };
  return new Promise((resolve, reject) => {
    const sent = send(url, options, resolve);
    sent.on('timeout', () => sent.destroy(new Error(`no answer for ${IDLE_MS / 1000} seconds`)));
    sent.on('error', reject);
  });
}

const QUEUE_CHUNKS = 16;

/**
 * The body as it comes. When the connection breaks, everything that has arrived is passed on before the error: a
 * stream's own iterator would drop it.
 */
function bodyOf(message: IncomingMessage): AsyncIterable<Uint8Array> {
  const queue: Uint8Array[] = [];
  let ended: 'complete' | Error | undefined;
  let wake = (): void => {};
  const end = (how: 'complete' | Error): void => {
    ended ??= how;
    wake();
  };
  message.on('data', (chunk: Uint8Array) => {
    queue.push(chunk);
    if (queue.length >= QUEUE_CHUNKS) message.pause();
    wake();
  });
  message.on('end', () => end('complete'));
  message.on('error', end);
  message.on('close', () => end(new Error('the connection broke')));
  return (async function* () {
    for (;;) {
      const chunk = queue.shift();
      if (chunk !== undefined) {
        yield chunk;
      } else if (ended === undefined) {
        message.resume();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (ended === 'complete') {
        return;
      } else {
        throw ended;
      }
    }
  })();
}

const REDIRECTS = [301, 302, 303, 307, 308];

async function get(address: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpResponse> {
  let url = new URL(address);
  for (let redirects = 0; ; redirects++) {
    const message = await request(url, headers);
    const status = message.statusCode ?? 0;
    const location = message.headers.location;
    if (!REDIRECTS.includes(status) || location === undefined) {
      const length = message.headers['content-length'];
      return {
        status,
        contentLength: length === undefined ? undefined : Number(length),
        contentRange: message.headers['content-range'],
        body: bodyOf(message),
        discard: () => {
          message.on('error', () => {});
          message.destroy();
        },
      };
    }
    message.destroy();
    if (redirects === MAX_REDIRECTS) throw new Error(`more than ${MAX_REDIRECTS} redirects`);
    const next = new URL(location, url);
    if (url.protocol === 'https:' && next.protocol !== 'https:')
      throw new Error(`redirected from https to ${next.protocol}`);
    if (next.protocol !== 'https:' && next.protocol !== 'http:')
      throw new Error(`redirected to ${next.protocol}`);
    url = next;
  }
}

export const nodeHttp: Http = { get };
