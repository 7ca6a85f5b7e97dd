import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VmError } from '../base/errors.ts';
import type { BootImage } from '../firmware/loaders/boot-memory.ts';
import { layoutMemory, VCPU_BASE } from '../machine/layout.ts';
import { Request, VcpuMailbox } from '../machine/mailbox.ts';
import { GuestMemory } from '../machine/memory.ts';
import { createBackends, createFrontBus } from '../machine/platform.ts';
import type { VcpuExit } from '../machine/vcpu.ts';
import { pvhVcpu } from '../machine/vcpu-reset.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';
import { Machine } from './machine.ts';
import { MachineDebugTarget } from './machine-debug.ts';
import { type ThreadStarter, VcpuThread } from './vcpu-thread.ts';

const clock = { nowNs: () => 0, realtimeNs: () => 0n };
const randomness = { fill: (target: Uint8Array) => void target.fill(4) };
/** Fires when the test says so. */
const alarms: (() => void)[] = [];
const timer = {
  after: (_delayMs: number, callback: () => void) => {
    alarms.push(callback);
    return () => void alarms.splice(alarms.indexOf(callback), 1);
  },
};
const boot: BootImage = {
  protocol: 'pvh',
  pieces: [{ gpa: 0x100000, bytes: Uint8Array.of(0xf4), zeros: 8 }],
  vcpu: pvhVcpu(0x100000n, 0n, { base: 0n, limit: 0, idtBase: 0n }),
};

/** A machine whose vCPU does what the test says: `guest` is the instruction stream, one call per run. */
function fixture(options: { noReboot?: boolean; boot?: () => Promise<BootImage> } = {}) {
  const layout = layoutMemory(2 << 20);
  const buffer = new SharedArrayBuffer(layout.wasmPages * 0x10000);
  const mailbox = new VcpuMailbox(buffer, VCPU_BASE);
  const backends = createBackends(buffer, layout, { virtio: [] }, { clock, randomness });
  const bus = createFrontBus({ buffer }, layout, { virtio: [] }, { clock });
  const memory = new GuestMemory(buffer, layout, [mailbox]);
  const loaded: VcpuRecord[] = [];
  const guest: (() => VcpuExit)[] = [];
  let terminated = 0;
  let boots = 0;
  let deaf = false;

  /** As the engine does: runs until a request or until the guest's own exit. */
  async function run(): Promise<VcpuExit> {
    const own = guest.shift()?.();
    if (own !== undefined) return own;
    if (deaf) return new Promise(() => undefined);
    for (;;) {
      const requests = mailbox.takeRequests();
      if ((requests & Request.RESET) !== 0) return { kind: 'reset' };
      if ((requests & Request.STOP) !== 0) return { kind: 'stopped' };
      mailbox.takeAttention();
      await Atomics.waitAsync(mailbox.words, 0, 0).value;
    }
  }
  const start: ThreadStarter = (_index, events) => ({
    post: (command) => {
      if (command.op === 'run')
        void run().then(
          (exit) => events.reply({ exit, retired: 1n }),
          (e) => events.failed(e),
        );
      if (command.op === 'load') loaded.push(command.record);
      const record = structuredClone(loaded.at(-1));
      if (command.op !== 'run') queueMicrotask(() => events.reply(record === undefined ? {} : { record }));
    },
    terminate: async () => {
      terminated++;
    },
  });
  const machine = new Machine({
    memory,
    mailboxes: [mailbox],
    backends,
    threads: [new VcpuThread(start, 0)],
    boot: options.boot ?? (async () => boot),
    timer,
    noReboot: options.noReboot ?? false,
    onBoot: () => boots++,
  });
  return {
    machine,
    memory,
    bus,
    guest,
    loaded,
    deafen: () => (deaf = true),
    counts: () => ({ boots, terminated }),
  };
}

const isState = (e: unknown): boolean => (e as VmError).code === 'VM_STATE';

test('start loads the kernel and its zeros; power-off ends everything once', async () => {
  const { machine, memory, loaded, counts } = fixture();
  memory.write(0x100000, new Uint8Array(16).fill(0xaa));
  await machine.start();
  assert.equal(machine.state, 'running');
  assert.equal(loaded[0]?.rip, 0x100000n);
  const bytes = new Uint8Array(10);
  memory.read(0x100000, bytes);
  assert.deepEqual([...bytes], [0xf4, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa]);
  await Promise.all([machine.powerOff(), machine.powerOff()]);
  assert.deepEqual(await machine.exited, { reason: 'stopped' });
  assert.deepEqual(counts(), { boots: 1, terminated: 1 });
});

test('each operation is checked against the state it finds, and errors change nothing', async () => {
  const { machine } = fixture();
  await assert.rejects(machine.pause(), isState);
  await assert.rejects(machine.reset(), isState);
  await machine.start();
  await assert.rejects(machine.start(), isState);
  await assert.rejects(machine.resume(), isState);
  const storm = await Promise.allSettled([
    machine.pause(),
    machine.pause(),
    machine.resume(),
    machine.resume(),
  ]);
  assert.deepEqual(
    storm.map((s) => s.status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
  );
  assert.equal(machine.state, 'running');
  await machine.powerButton();
  await machine.powerOff();
  await assert.rejects(machine.resume(), isState);
});

test('pause keeps the vCPU state, and resume gives it back', async () => {
  const { machine, loaded } = fixture();
  await machine.start();
  await machine.pause();
  assert.equal(machine.state, 'paused');
  await machine.resume();
  assert.equal(loaded.length, 2);
  assert.deepEqual(loaded[1], loaded[0]);
  await machine.powerOff();
});

test('the guest powers itself off', async () => {
  const { machine, bus, guest } = fixture();
  guest.push(() => {
    bus.writePort(0x600, 1, 0x34);
    return { kind: 'stopped' };
  });
  await machine.start();
  assert.deepEqual(await machine.exited, { reason: 'poweroff' });
});

for (const [name, exit] of [
  ['reset request', { kind: 'reset' }],
  ['triple fault', { kind: 'shutdown', why: 'page fault' }],
] as const) {
  test(`a ${name} boots again, or ends the machine when it may not`, async () => {
    for (const noReboot of [false, true]) {
      const { machine, bus, guest, counts } = fixture({ noReboot });
      const again = Promise.withResolvers<void>();
      guest.push(() => {
        if (exit.kind === 'reset') bus.writePort(0x600, 1, 1);
        return exit;
      });
      guest.push(() => {
        again.resolve();
        bus.writePort(0x600, 1, 0x34);
        return { kind: 'stopped' };
      });
      await machine.start();
      const end = await machine.exited;
      if (noReboot) {
        assert.equal(end.reason, exit.kind === 'reset' ? 'reset' : 'crashed');
        assert.equal(end.error?.code, exit.kind === 'reset' ? undefined : 'GUEST_CRASHED');
        assert.equal(counts().boots, 1);
      } else {
        await again.promise;
        assert.deepEqual([end.reason, counts().boots], ['poweroff', 2]);
      }
    }
  });
}

test('a thread that dies ends the machine, and pending operations with it', async () => {
  const { machine, guest } = fixture();
  guest.push(() => {
    throw new Error('out of memory');
  });
  await machine.start();
  const end = await machine.exited;
  assert.deepEqual([end.reason, end.error?.code], ['failed', 'ENGINE_FAILED']);
  assert.match(end.error?.message ?? '', /out of memory/);
  await assert.rejects(machine.pause(), isState);
});

test('a vCPU that listens to nobody is ended when its time is up', async () => {
  const { machine, deafen, counts } = fixture();
  deafen();
  await machine.start();
  const pausing = machine.pause();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(alarms.length, 1);
  alarms[0]?.();
  await pausing.catch(() => undefined);
  assert.equal((await machine.exited).reason, 'failed');
  assert.ok(counts().terminated > 0);
  alarms.length = 0;
});

test('a kernel that cannot be loaded ends the machine at start and at reset', async () => {
  let works = true;
  const { machine } = fixture({
    boot: async () => {
      if (!works) throw new Error('file is gone');
      return boot;
    },
  });
  await machine.start();
  works = false;
  await assert.rejects(machine.reset(), /file is gone/);
  assert.equal((await machine.exited).reason, 'failed');
});

test('a debugger stops, reads and writes memory and registers, steps, and lets go', async () => {
  const { machine, guest, loaded, memory } = fixture();
  await machine.start();
  const target = new MachineDebugTarget(machine);
  await target.interrupt();
  assert.equal(machine.state, 'paused');
  const cpu = await target.readRegisters();
  cpu.gpr[0] = 5n;
  await target.writeRegisters(cpu);
  assert.equal(loaded.at(-1)?.gpr[0], 5n);
  assert.equal(await target.writeMemory(0x1fffffn, Uint8Array.of(1)), true);
  assert.equal(await target.writeMemory(0x1fffffn, Uint8Array.of(2, 2)), false);
  assert.equal((await target.readMemory(0x1ffffen, 64)).length, 2);
  assert.equal(memory.readUint(0x1fffff, 1), 1);
  guest.push(() => ({ kind: 'debug', cause: 'step', address: 0x100001n }));
  assert.deepEqual(await target.resume('step', []), { kind: 'step' });
  assert.equal(loaded.at(-1)?.events.shadow, 'sti');
  const running = target.resume('continue', []);
  await target.interrupt();
  assert.deepEqual(await running, { kind: 'interrupted' });
  await target.detach();
  assert.equal(machine.state, 'running');
  const ending = target.interrupt().then(() => target.resume('continue', []));
  await machine.powerOff();
  assert.deepEqual(await ending, { kind: 'ended' });
});
