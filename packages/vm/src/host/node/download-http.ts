/** The HTTP port on Node: redirects followed, `http_proxy`, `https_proxy` and `no_proxy` obeyed, nothing cached. */
import { Agent as HttpAgent, get as httpGet, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import type { Http, HttpResponse } from '../../base/ports.ts';

const MAX_REDIRECTS = 5;
/** Without a byte for this long a connection counts as broken. */
const IDLE_MS = 30_000;

function request(url: URL, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:';
  const settings = { proxyEnv: process.env, timeout: IDLE_MS };
  const options = {
    agent: secure ? new HttpsAgent(settings) : new HttpAgent(settings),
    headers: { 'User-Agent': 'vivarium', 'Accept-Encoding': 'identity', ...headers },
    timeout: IDLE_MS,
  };
  return new Promise((resolve, reject) => {
    const sent = secure ? httpsGet(url, options, resolve) : httpGet(url, options, resolve);
    sent.on('timeout', () => sent.destroy(new Error(`no answer for ${IDLE_MS / 1000} seconds`)));
    sent.on('error', reject);
  });
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
        body: message,
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
