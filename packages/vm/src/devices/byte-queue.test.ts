import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteQueue } from './byte-queue.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

test('unread, the newest bytes are kept; read, nothing is dropped', async () => {
  let rooms = 0;
  const queue = new ByteQueue(4, () => rooms++);
  queue.push(bytes(1, 2, 3));
  queue.push(bytes(4, 5, 6));
  assert.equal(queue.full, false);
  assert.equal(queue.dropped, 2);
  assert.deepEqual(await queue.read(), bytes(3, 4, 5, 6));
  queue.push(bytes(1, 2, 3));
  queue.push(bytes(4, 5, 6));
  assert.equal(queue.full, true);
  assert.equal(rooms, 0);
  assert.deepEqual(await queue.read(), bytes(1, 2, 3, 4, 5, 6));
  assert.equal(rooms, 1);
  assert.equal(queue.full, false);
});

test('each end is read once, in its place; close is for good', async () => {
  const queue = new ByteQueue(100, () => {});
  queue.push(bytes(1));
  queue.end();
  queue.end();
  queue.push(bytes(2));
  assert.deepEqual(await queue.read(), bytes(1));
  assert.equal(await queue.read(), undefined);
  assert.deepEqual(await queue.read(), bytes(2));
  const waiting = queue.read();
  queue.end();
  assert.equal(await waiting, undefined);
  const last = queue.read();
  queue.close();
  assert.equal(await last, undefined);
  queue.push(bytes(3));
  assert.equal(await queue.read(), undefined);
});

test('a reader that waits gets the next bytes, an iteration ends at the end', async () => {
  const queue = new ByteQueue(100, () => {});
  const first = queue.read();
  queue.push(bytes(1));
  assert.deepEqual(await first, bytes(1));
  queue.push(bytes(2, 3));
  queue.end();
  const seen: number[] = [];
  for await (const chunk of queue) seen.push(...chunk);
  assert.deepEqual(seen, [2, 3]);
});

test('many ends and single bytes without a reader stay bounded', async () => {
  const queue = new ByteQueue(8, () => {});
  for (let i = 0; i < 10_000; i++) {
    queue.push(bytes(i & 0xff));
    queue.end();
  }
  let reads = 0;
  while (reads < 20_000 && (reads < 16 || !queue.full)) {
    const pending = queue.read();
    queue.close();
    reads++;
    if ((await pending) === undefined && (await queue.read()) === undefined) break;
  }
  assert.ok(reads <= 17, `${reads} reads`);
});
