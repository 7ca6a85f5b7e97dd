import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VmError } from './base/errors.ts';
import type { VcpuRecord } from './machine/vcpu-state.ts';
import type { ThreadStarter } from './vm/vcpu-thread.ts';
import { type SharedParts, VirtualMachine, type VmConfig, type VmPorts } from './vm.ts';

const GPA = 0x1000000;

/** A vmlinux with a PVH note and one page of code. */
function vmlinux(): Uint8Array {
  const file = new Uint8Array(0x400);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  for (const [at, type, offset, size] of [
    [64, 1, 0x200, 16],
    [120, 4, 0x300, 24],
  ] as const) {
    view.setUint32(at, type, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 24, BigInt(GPA), true);
    view.setBigUint64(at + 32, BigInt(size), true);
    view.setBigUint64(at + 40, BigInt(size), true);
  }
  file.fill(0xf4, 0x200, 0x210);
  new Uint32Array(file.buffer, 0x300, 3).set([4, 8, 18]);
  file.set(Buffer.from('Xen\0'), 0x30c);
  view.setUint32(0x310, GPA, true);
  return file;
}

/** Ports whose vCPU does nothing until it is ended. */
function fixture(config: Partial<VmConfig> = {}) {
  const seen: { shared?: SharedParts; record?: VcpuRecord } = {};
  const threads = (shared: SharedParts): ThreadStarter => {
    seen.shared = shared;
    return (_index, events) => ({
      post: (command) => {
        if (command.op === 'load') seen.record = command.record;
        const words = new Int32Array(shared.memory.buffer, 0x200000, 18);
        if (command.op !== 'run') queueMicrotask(() => events.reply({}));
        else
          void Promise.resolve(Atomics.waitAsync(words, 0, 0).value).then(() =>
            events.reply({ exit: { kind: 'stopped' } }),
          );
      },
      terminate: async () => undefined,
    });
  };
  const ports: VmPorts = {
    clock: { nowNs: () => 0, realtimeNs: () => 0n },
    randomness: { fill: (target) => void target.fill(4) },
    timer: { after: () => () => undefined },
    decompressor: { decompress: () => assert.fail('nothing is compressed') },
    threads,
  };
  const vm = new VirtualMachine(
    {
      engine: 'auto',
      memoryBytes: 32 << 20,
      kernelFiles: async () => ({ kernel: vmlinux(), initrd: Uint8Array.of(1, 2, 3), handOver: true }),
      quiet: true,
      append: 'extra=1',
      disks: [],
      noReboot: false,
      ...config,
    },
    ports,
  );
  return { vm, seen };
}

test('a booted machine has kernel, initrd, command line and ACPI tables where the vCPU is told to look', async () => {
  const { vm, seen } = fixture();
  await vm.start();
  const { shared, record } = seen;
  assert(shared !== undefined && record !== undefined);
  const ram = new DataView(shared.memory.buffer, shared.layout.ramOffset, shared.layout.ramBytes);
  const u64 = (gpa: number): number => Number(ram.getBigUint64(gpa, true));
  const text = (gpa: number, length: number): string =>
    Array.from({ length }, (_, i) => String.fromCharCode(ram.getUint8(gpa + i))).join('');
  assert.equal(record.rip, BigInt(GPA));
  assert.equal(ram.getUint8(GPA), 0xf4);
  const info = Number(record.gpr[3]);
  assert.equal(ram.getUint8(u64(u64(info + 16))), 1);
  const cmdline = text(u64(info + 24), 400).split('\0')[0] ?? '';
  assert.match(cmdline, /^console=ttyS0 panic=-1 .* quiet extra=1$/);
  const rsdp = u64(info + 32);
  assert.equal(text(rsdp, 8), 'RSD PTR ');
  assert.equal(text(u64(rsdp + 24), 4), 'XSDT');
  await vm.powerOff();
  assert.equal((await vm.exited).reason, 'stopped');
});

test('what waits for the guest learns of its end', async () => {
  const { vm } = fixture({ command: { argv: ['sh'], tty: false } });
  await vm.start();
  const exit = vm.command?.exitCode;
  await vm.stop();
  const isState = (e: unknown): boolean => e instanceof VmError && e.code === 'VM_STATE';
  await assert.rejects(exit ?? Promise.resolve(), isState);
  await assert.rejects(vm.ready, isState);
  for await (const bytes of vm.serial) assert.fail(`${bytes.length} bytes from nowhere`);
});

test('a machine whose kernel is none ends at its start, with the reason', async () => {
  const { vm } = fixture({
    kernelFiles: async () => ({ kernel: Buffer.from('no kernel'), handOver: false }),
  });
  await assert.rejects(vm.start(), (e: unknown) => e instanceof VmError && e.code === 'KERNEL_NOT_A_KERNEL');
  assert.equal((await vm.exited).error?.code, 'KERNEL_NOT_A_KERNEL');
});

test('what cannot be given is refused before anything is made', () => {
  for (const [code, config] of [
    ['ENGINE_UNAVAILABLE', { engine: 'kvm' }],
    ['MEMORY_TOO_LARGE', { memoryBytes: 2 ** 40 }],
  ] as const) {
    assert.throws(
      () => fixture(config),
      (e: unknown) => e instanceof VmError && e.code === code && e.remedy !== undefined,
    );
  }
});
