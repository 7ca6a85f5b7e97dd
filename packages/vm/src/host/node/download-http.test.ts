import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { collect } from '../../image/byte-stream.ts';
import { nodeHttp } from './download-http.ts';

async function serve(
  listener: RequestListener,
): Promise<{ server: Server; origin: string } & AsyncDisposable> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    server,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const text = async (url: string): Promise<string> =>
  Buffer.from(await collect((await nodeHttp.get(url)).body, 1000)).toString();

describe('nodeHttp', () => {
  it('follows redirects, relative ones too, but not in circles', async () => {
    await using site = await serve((request, response) => {
      if (request.url === '/end') response.end('here');
      else response.writeHead(302, { Location: request.url === '/start' ? 'end' : '/loop' }).end();
    });
    assert.equal(await text(`${site.origin}/start`), 'here');
    await assert.rejects(nodeHttp.get(`${site.origin}/loop`), /more than 5 redirects/);
  });

  it('goes through the proxy of the environment', async () => {
    await using proxy = await serve((request, response) => response.end(`for ${request.url}`));
    process.env['http_proxy'] = proxy.origin;
    try {
      assert.equal(await text('http://mirror.test/debian/x'), 'for http://mirror.test/debian/x');
    } finally {
      delete process.env['http_proxy'];
    }
  });

  it('passes on everything that has arrived before a connection breaks', async () => {
    await using site = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 100 });
      response.write('part', () => response.socket?.end());
    });
    const response = await nodeHttp.get(site.origin);
    const received: string[] = [];
    await assert.rejects(async () => {
      for await (const chunk of response.body) received.push(Buffer.from(chunk).toString());
    });
    assert.equal(received.join(''), 'part');
  });
});
