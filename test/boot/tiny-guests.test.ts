/** Guests of a few bytes that behave badly, and machines that come and go. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { VM, type VmOptions } from '../../packages/vm/src/node.ts';
import { CODE, tinyKernel } from '../support/tiny-kernel.ts';

const MEMORY = 16 << 20;

function start(code: readonly number[], options: Partial<VmOptions> = {}): Promise<VM> {
  return VM.start({ kernel: tinyKernel(code), memory: MEMORY, ...options });
}

const LIMIT = { timeout: 60_000 };

test('a guest powers off', LIMIT, async () => {
  const vm = await start(CODE.powerOff);
  assert.deepEqual(await vm.exited, { reason: 'poweroff' });
});

test(
  'a triple fault, by a fault in a fault or a jump into nowhere, is a crash with its reason',
  LIMIT,
  async () => {
    for (const code of [CODE.crash, CODE.nowhere]) {
      const vm = await start(code, { noReboot: true });
      const exit = await vm.exited;
      assert.deepEqual([exit.reason, exit.error?.code], ['crashed', 'GUEST_CRASHED']);
    }
  },
);

test('a guest that resets without end can be stopped, and costs no memory', LIMIT, async () => {
  for (const code of [CODE.reset, CODE.crash]) {
    const vm = await start(code);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    await vm.powerOff();
    assert.equal((await vm.exited).reason, 'stopped');
  }
  const vm = await start(CODE.reset, { noReboot: true });
  assert.equal((await vm.exited).reason, 'reset');
});

test(
  'a guest that spins or sleeps with interrupts off pauses, resumes, resets and ends on request',
  LIMIT,
  async () => {
    for (const code of [CODE.spin, CODE.halt]) {
      const vm = await start(code);
      await vm.pause();
      await vm.resume();
      await vm.reset();
      await vm.pause();
      await vm.reset();
      assert.equal(vm.state, 'paused');
      await vm.powerOff();
      assert.equal((await vm.exited).reason, 'stopped');
    }
  },
);

test('a guest that floods the serial port neither fills memory nor stops the event loop', LIMIT, async () => {
  const vm = await start(CODE.flood);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20);
  const reader = vm.serial.getReader();
  const { value } = await reader.read();
  assert.equal(value?.[0], 0x78);
  await vm.powerOff();
});

test('an aborted machine ends', LIMIT, async () => {
  const abort = new AbortController();
  const vm = await start(CODE.halt, { signal: abort.signal });
  abort.abort();
  assert.equal((await vm.exited).reason, 'stopped');
  await assert.rejects(start(CODE.halt, { signal: abort.signal }), { name: 'AbortError' });
});

test('what cannot start leaves nothing behind', LIMIT, async () => {
  const before = process.getActiveResourcesInfo();
  for (const [code, options] of [
    ['KERNEL_NOT_A_KERNEL', { kernel: Buffer.from('hello') }],
    ['FILE_NOT_FOUND', { kernel: '/nonexistent' }],
    ['DISK_OPEN_FAILED', { disks: ['/nonexistent'] }],
    ['MEMORY_TOO_LARGE', { memory: '1t' }],
    ['ENGINE_UNAVAILABLE', { engine: 'kvm' }],
    ['USAGE', { command: { argv: ['a\0b'] } }],
    ['USAGE', { append: 'x\ny' }],
  ] as const) {
    await assert.rejects(start(CODE.halt, options), { code });
  }
  assert.deepEqual(process.getActiveResourcesInfo(), before);
});

test('a debugger breaks, watches and steps without the guest seeing it', LIMIT, async () => {
  const vm = await start(CODE.count);
  const target = vm.debugTarget();
  await target.interrupt();
  const top = 0x100005n;
  assert.deepEqual(await target.resume('continue', [{ kind: 'execute', address: top, length: 1 }]), {
    kind: 'breakpoint',
  });
  assert.equal((await target.readRegisters()).rip, top);
  assert.deepEqual(await target.resume('step', []), { kind: 'step' });
  assert.equal((await target.readRegisters()).rip, top + 2n);
  const watch = { kind: 'write', address: 0x200000n, length: 4 } as const;
  const count = async (): Promise<number> =>
    Buffer.from(await target.readMemory(watch.address, 4)).readUInt32LE();
  const before = await count();
  const stop = await target.resume('continue', [watch]);
  assert.deepEqual(stop, { kind: 'watchpoint', access: 'write', address: watch.address });
  assert.equal(await count(), before + 1);
  const cpu = await target.readRegisters();
  await target.writeRegisters({ ...cpu, gpr: cpu.gpr.with(3, 0x200100n) });
  await target.writeMemory(0x200100n, Uint8Array.of(41, 0, 0, 0));
  await target.resume('step', []);
  await target.resume('step', []);
  assert.equal((await target.readMemory(0x200100n, 1))[0], 42);
  assert.deepEqual((await target.readRegisters()).dr.slice(0, 4), [0n, 0n, 0n, 0n]);
  await target.detach();
  assert.equal(vm.state, 'running');
  await vm.powerOff();
});

const pssKiB = (): number =>
  Number(/^Pss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1]);
const threads = (): number =>
  Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

test('a hundred machines leave no thread, no handle and no memory', {
  ...LIMIT,
  timeout: 240_000,
  skip: process.platform === 'linux' ? false : 'reads /proc',
}, async () => {
  const handles = process.getActiveResourcesInfo();
  let early = { pss: 0, threads: 0 };
  for (let i = 1; i <= 100; i++) {
    const vm = await start(i % 2 === 0 ? CODE.powerOff : CODE.halt);
    if (i % 2 === 1) await vm.powerOff();
    await vm.exited;
    if (i === 10) early = { pss: pssKiB(), threads: threads() };
  }
  assert.deepEqual(process.getActiveResourcesInfo(), handles);
  assert.equal(threads(), early.threads);
  const late = pssKiB();
  assert.ok(late <= early.pss * 1.05, `${late} KiB after 100 machines, ${early.pss} after 10`);
});
