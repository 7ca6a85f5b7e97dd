import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutMemory, VCPU_BASE } from '../../machine/layout.ts';
import { Request, VcpuMailbox } from '../../machine/mailbox.ts';
import { resetVcpu } from '../../machine/vcpu-reset.ts';
import { VcpuThread } from '../../vm/vcpu-thread.ts';
import { workerFile, workerThreads } from './threads.ts';

const file = new URL('../../../../../test/support/idle-vcpu-worker.ts', import.meta.url);
const layout = layoutMemory(1 << 20);

function thread(behaviour: 'idle' | 'throw' | 'spin') {
  const memory = new WebAssembly.Memory({
    initial: layout.wasmPages,
    maximum: layout.wasmPages,
    shared: true,
  });
  const buffer = memory.buffer as unknown as SharedArrayBuffer;
  const start = workerThreads(file, (index) => ({ memory, layout, index, behaviour }));
  return { vcpu: new VcpuThread(start, 0), mailbox: new VcpuMailbox(buffer, VCPU_BASE) };
}

test('a thread loads, runs, stops on request and saves', async () => {
  const { vcpu, mailbox } = thread('idle');
  const record = { ...resetVcpu(0), rip: 5n };
  await vcpu.load(record, false);
  const exit = vcpu.run();
  mailbox.request(Request.STOP);
  assert.deepEqual(await exit, { kind: 'stopped' });
  assert.deepEqual(await vcpu.save(), record);
  await vcpu.terminate();
  await assert.rejects(vcpu.save(), { code: 'ENGINE_FAILED' });
});

test('a defect in the thread rejects what waits for it, with its message', async () => {
  const { vcpu } = thread('throw');
  await assert.rejects(vcpu.run(), { code: 'ENGINE_FAILED', message: /a defect/ });
  await vcpu.terminate();
});

test('a thread that listens to nobody is ended all the same', async () => {
  const { vcpu } = thread('spin');
  const exit = vcpu.run();
  await Promise.all([vcpu.terminate(), assert.rejects(exit, { code: 'ENGINE_FAILED' })]);
});

test('twenty threads come and go and leave no handle', async () => {
  const before = process.getActiveResourcesInfo();
  for (let i = 0; i < 20; i++) {
    const { vcpu, mailbox } = thread('idle');
    const exit = vcpu.run();
    mailbox.request(Request.STOP);
    await exit;
    await vcpu.terminate();
  }
  assert.deepEqual(process.getActiveResourcesInfo(), before);
});

test('a worker file has the extension of the file that asks', () => {
  assert.equal(workerFile('w', 'file:///a/b.ts').href, 'file:///a/w.ts');
  assert.equal(workerFile('w', 'file:///a/b.js').href, 'file:///a/w.js');
});
