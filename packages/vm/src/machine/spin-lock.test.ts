import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SpinLock } from './spin-lock.ts';

const timeout = 60_000;

test('threads exclude each other, also when the holder is slow', { timeout }, async () => {
  const shared = new SharedArrayBuffer(64);
  const words = new Int32Array(shared);
  const code = `
    import { workerData } from 'node:worker_threads';
    const { SpinLock } = await import(workerData.module);
    const words = new Int32Array(workerData.shared);
    const lock = new SpinLock(words, 0);
    for (let i = 0; i < 20000; i++) {
      lock.lock();
      const before = words[1];
      if (i % 1000 === 0) Atomics.wait(words, 2, 0, 2);
      words[1] = before + 1;
      lock.unlock();
    }
  `;
  const workerData = { shared, module: new URL('./spin-lock.ts', import.meta.url).href };
  const ended = [0, 1, 2].map(() => {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData });
    return new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  });
  await Promise.all(ended);
  assert.equal(words[1], 60_000);
});

test('a lock whose holder is gone is taken over in the end', { timeout }, () => {
  const lock = new SpinLock(new Int32Array(new SharedArrayBuffer(4)), 0, 20);
  lock.lock();
  lock.lock();
  lock.unlock();
  lock.lock();
});
