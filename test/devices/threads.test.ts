/**
 * The platform between two real threads: a worker plays a guest that sends requests, sleeps on its mailbox until the
 * interrupt, and resets the device every now and then. A lost doorbell or a lost interrupt hangs this test.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { layoutMemory } from '../../packages/vm/src/machine/layout.ts';
import { createBackends, type PlatformConfig } from '../../packages/vm/src/machine/platform.ts';

const clock = { nowNs: (): number => 0, realtimeNs: (): bigint => 0n };
const config: PlatformConfig = { virtio: [{ type: 'rng' }] };

test('3000 requests and 100 resets across threads', { timeout: 60_000 }, async () => {
  const layout = layoutMemory(0x400000);
  const buffer = new SharedArrayBuffer(layout.wasmPages * 0x10000);
  const randomness = { fill: (target: Uint8Array) => void target.fill(0x5a) };
  const backends = createBackends(buffer, layout, config, { clock, randomness });
  backends.start();
  const worker = new Worker(new URL('./guest-worker.ts', import.meta.url), {
    workerData: { buffer, layout, config, requests: 3000, resetEvery: 30 },
  });
  const done = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  assert.deepEqual(done, { served: 3000 });
  await worker.terminate();
  await backends.stop();
});
