import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Doorbell } from './doorbell.ts';

const timeout = 20_000;

test('rings before and while listening arrive; bits are merged', { timeout }, async () => {
  const bell = new Doorbell(new SharedArrayBuffer(64), 0);
  bell.ring(1);
  bell.ring(4);
  const heard: number[] = [];
  const listening = bell.listen((bits) => {
    heard.push(bits);
    if (bits === 5) bell.ring(8);
    if (bits === 8) bell.stop();
  });
  await listening;
  assert.deepEqual(heard, [5, 8]);
});

test('an endless ringer does not starve the event loop', { timeout }, async () => {
  const bell = new Doorbell(new SharedArrayBuffer(64), 0);
  const listening = bell.listen(() => bell.ring(1));
  bell.ring(1);
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  bell.stop();
  await listening;
});

test('no ring of another thread is lost', { timeout }, async () => {
  const shared = new SharedArrayBuffer(64);
  const words = new Int32Array(shared);
  const bell = new Doorbell(shared, 0);
  const rounds = 3000;
  const listening = bell.listen(() => {
    // Word 8 is the ringer's wait address: the next ring comes only after this one was heard.
    Atomics.add(words, 8, 1);
    Atomics.notify(words, 8);
  });
  const code = `
    import { workerData } from 'node:worker_threads';
    const { Doorbell } = await import(workerData.module);
    const bell = new Doorbell(workerData.shared, 0);
    const words = new Int32Array(workerData.shared);
    for (let i = 0; i < workerData.rounds; i++) {
      bell.ring(1);
      while (Atomics.load(words, 8) === i) Atomics.wait(words, 8, i);
    }
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: { shared, rounds, module: new URL('./doorbell.ts', import.meta.url).href },
  });
  await new Promise((resolve, reject) => {
    worker.once('exit', resolve);
    worker.once('error', reject);
  });
  bell.stop();
  await listening;
  assert.equal(Atomics.load(words, 8), rounds);
});

test('listening does not keep a process alive', { timeout }, () => {
  const code = `
    import { Doorbell } from ${JSON.stringify(new URL('./doorbell.ts', import.meta.url).href)};
    void new Doorbell(new SharedArrayBuffer(64), 0).listen(() => {});
  `;
  const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { timeout: 15_000 });
  assert.equal(status, 0);
});
