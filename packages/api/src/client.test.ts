import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { WebSocketServer } from 'ws';
import { AttachControl } from './attach.ts';
import { type ApiClient, ApiError } from './client.ts';
import { connect } from './node.ts';
import type { Operation } from './schemas/operation.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A daemon that answers what the test says. */
async function daemon(t: TestContext, answer: Answer): Promise<{ client: ApiClient; path: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'viv-client-'));
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\viv-client-${process.pid}` : join(folder, 's');
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => answer(request, response, body));
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      // Sent back as output, control messages as they were understood.
      if (data[0] === 2) {
        const control = AttachControl.parse(JSON.parse(data.subarray(1).toString()));
        socket.send(Buffer.from(`\x01${JSON.stringify(control)}`));
      } else if (data[0] === 1) socket.send(Buffer.from('\x02{"kind":"exit","exitCode":3}'));
      else socket.send(data);
    });
  });
  server.listen(path);
  await once(server, 'listening');
  const client = connect(path);
  t.after(() => {
    client.close();
    sockets.close();
    for (const socket of sockets.clients) socket.terminate();
    server.close();
    server.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });
  return { client, path };
}

function json(response: ServerResponse, status: number, value: unknown, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

test('a call is the method, address, headers and body of its route', async (t) => {
  const seen: unknown[] = [];
  const { client } = await daemon(t, (request, response, body) => {
    const { method, url, headers } = request;
    seen.push({ method, url, match: headers['if-match'], key: headers['idempotency-key'], body });
    json(response, 200, { items: [] }, { etag: '"7"', location: '/v1/operations/1' });
  });
  await client.call('listVms', { query: { state: ['running', 'paused'], name: 'a b' } });
  await client.call('createVm', { body: { image: 'debian' }, idempotencyKey: 'k' });
  const exchange = await client.exchange('updateVm', { path: { vm: 'ä/b' }, body: { cpus: 2 }, ifMatch: 6 });
  await client.call('patchConfig', { body: {}, ifMatch: '*' });
  const none = { match: undefined, key: undefined, body: '' };
  assert.deepEqual(seen, [
    { ...none, method: 'GET', url: '/v1/vms?state=running&state=paused&name=a%20b' },
    { ...none, method: 'POST', url: '/v1/vms', key: 'k', body: '{"image":"debian"}' },
    { ...none, method: 'PATCH', url: '/v1/vms/%C3%A4%2Fb', match: '"6"', body: '{"cpus":2}' },
    { ...none, method: 'PATCH', url: '/v1/config', match: '*', body: '{}' },
  ]);
  assert.deepEqual([exchange.revision, exchange.location], [7, '/v1/operations/1']);
});

test('names that a URL would lose are no names', async (t) => {
  const { client } = await daemon(t, (_, response) => json(response, 200, {}));
  for (const vm of ['', '.', '..'])
    await assert.rejects(client.call('getVmStats', { path: { vm } }), { code: 'VM_NOT_FOUND', status: 404 });
});

test('a problem becomes an ApiError with all that it says', async (t) => {
  const problem = {
    type: 'about:blank',
    status: 400,
    code: 'REQUEST_INVALID',
    title: 'T',
    detail: 'D',
    remedy: 'R',
    causes: ['C'],
    violations: [{ at: '/image', detail: 'V' }],
  };
  let text = JSON.stringify(problem);
  const { client } = await daemon(t, (_, response) => response.writeHead(400).end(text));
  const error = await client.call('getHost').catch((thrown: unknown) => thrown);
  assert.ok(error instanceof ApiError);
  const { code, title, detail, remedy, causes, violations, status } = error;
  assert.deepEqual({ type: 'about:blank', code, title, detail, remedy, causes, violations, status }, problem);
  text = '<html>';
  await assert.rejects(client.call('getHost'), { code: 'INTERNAL', status: 400 });
});

test('no daemon, a daemon that is silent, a body that breaks off: DAEMON_UNREACHABLE', async (t) => {
  const { client, path } = await daemon(t, (request, response) => {
    if (request.url === '/v1/host') return;
    response.writeHead(200, { 'content-length': 100 }).write('{');
    setImmediate(() => response.destroy());
  });
  const code = 'DAEMON_UNREACHABLE';
  await assert.rejects(connect(`${path}.not`).call('getVersion'), {
    code,
    data: { socket: `${path}.not`, absent: true, error: 'ENOENT' },
  });
  await assert.rejects(connect(`${path}.not`).attach('vm'), { code });
  await assert.rejects(client.call('getHost', { timeoutMs: 20 }), { code });
  await assert.rejects(client.call('getVersion'), { code });
  const reason = new Error('enough');
  await assert.rejects(client.call('getHost', { signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const call = client.call('getHost', { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(call, reason);
});

test('finish() looks until the operation has ended, and throws its error', async (t) => {
  const states = ['running', 'done', 'failed'];
  const error = { code: 'HOST_MEMORY', title: 'T', detail: 'D' };
  const { client } = await daemon(t, (_, response) => {
    const state = states.shift();
    json(response, 200, { id: '01', state, error: state === 'failed' ? error : null });
  });
  const pending = { id: '01', state: 'pending', error: null } as Operation;
  const seen: string[] = [];
  const done = await client.finish(pending, { progress: ({ state }) => seen.push(state) });
  assert.equal(done.state, 'done');
  assert.deepEqual(seen, ['pending', 'running', 'done']);
  await assert.rejects(client.finish(pending), { code: 'HOST_MEMORY', status: 503, operation: '01' });
});

test('events go on behind the last that was seen, over broken connections', async (t) => {
  const asked: (string | undefined)[] = [];
  const event = (seq: number): string => `id: ${seq}\ndata: {"seq":${seq}}\n\n`;
  const bodies = ['id: 4\n\n: comment\n', `${event(5)}id: 6\nda`, `${event(6)}${event(7)}`];
  const { client } = await daemon(t, (request, response) => {
    asked.push(request.headers['last-event-id'] as string | undefined);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(bodies.shift() ?? '');
    setImmediate(() => response.destroy());
  });
  const seqs: number[] = [];
  for await (const { seq } of client.events()) if (seqs.push(seq) === 3) break;
  assert.deepEqual(seqs, [5, 6, 7]);
  assert.deepEqual(asked, [undefined, '4', '5']);
});

test('logs are lines of JSON, however the pieces are cut', async (t) => {
  const entries = [{ text: 'ä\n' }, { text: 'b' }];
  const bytes = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  const { client } = await daemon(t, (request, response) => {
    assert.equal(request.url, '/v1/vms/a/logs?follow=true');
    for (const byte of bytes) response.write(Buffer.of(byte));
    response.end();
  });
  const seen = await Array.fromAsync(client.logs({ path: { vm: 'a' }, query: { follow: true } }));
  assert.deepEqual(seen, entries);
});

test('attach carries input, its end, control messages and output, and ends with the machine', async (t) => {
  const { client } = await daemon(t, () => undefined);
  using attached = await client.attach('vm', { stdin: true });
  const big = Buffer.alloc(3 << 20, 'x');
  const items = Array.fromAsync(attached.items());
  await attached.write(big);
  await attached.resize(80, 24);
  await attached.signal('INT');
  await attached.end();
  let bytes = 0;
  const errors: string[] = [];
  for (const item of await items) {
    if (item.kind !== 'output') assert.deepEqual(item, { kind: 'exit', exitCode: 3 });
    else if (item.stream === 'stdout') bytes += item.bytes.length;
    else errors.push(Buffer.from(item.bytes).toString());
  }
  assert.equal(bytes, big.length);
  assert.deepEqual(errors, ['{"kind":"resize","columns":80,"rows":24}', '{"kind":"signal","name":"INT"}']);
});

test('a daemon that goes away while attached is not the end of the machine', async (t) => {
  const { client } = await daemon(t, () => undefined);
  using attached = await client.attach('vm');
  attached.close();
  await assert.rejects(Array.fromAsync(attached.items()), { code: 'DAEMON_UNREACHABLE' });
});

test('client and transport load no schema library, no server and no WebSocket', () => {
  const script = `
    const { registerHooks } = require('node:module');
    const seen = [];
    registerHooks({ resolve(name, context, next) { const r = next(name, context); seen.push(r.url); return r; } });
    import(${JSON.stringify(new URL('node.ts', import.meta.url).href)}).then(() => console.log(seen.join('\\n')));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  assert.equal(stderr, '');
  const modules = stdout.trim().split('\n');
  assert.ok(modules.some((url) => url.endsWith('/client.ts')));
  assert.deepEqual(
    modules.filter((url) => url.includes('/node_modules/') || url.includes('/schemas/')),
    [],
  );
});
