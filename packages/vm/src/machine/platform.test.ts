import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEVICES_BASE, DEVICES_SIZE, layoutMemory, VCPU_BASE } from './layout.ts';
import { Request, VcpuMailbox } from './mailbox.ts';
import { createBackends, createFrontBus, type GuestRequest } from './platform.ts';

const layout = layoutMemory(0x10000);
const clock = { nowNs: () => 0, realtimeNs: () => 1_700_000_000n * 1_000_000_000n };
const randomness = { fill: (target: Uint8Array) => void target.fill(4) };

function machine() {
  const buffer = new SharedArrayBuffer(layout.wasmPages * 0x10000);
  const backends = createBackends(buffer, layout, { virtio: [] }, { clock, randomness });
  const bus = createFrontBus({ buffer }, layout, { virtio: [] }, { clock });
  return { buffer, backends, bus, mailbox: new VcpuMailbox(buffer, VCPU_BASE) };
}

test('what nobody claims reads all ones at every width, and no access throws', () => {
  const { bus } = machine();
  assert.ok(DEVICES_BASE + DEVICES_SIZE <= VCPU_BASE);
  for (const size of [1, 2, 4] as const) {
    const ones = 2 ** (8 * size) - 1;
    assert.equal(bus.readPort(0x80, size), ones);
    assert.equal(bus.readMmio(0xc0000000, size), ones);
    assert.equal(bus.readMmio(0xfec00fff + 1, size), ones);
    for (let port = 0; port < 0x10000; port++) {
      if (port === 0x64 || (port >= 0x600 && port < 0x608)) continue;
      const value = bus.readPort(port, size);
      assert.ok(value >= 0 && value <= ones, `port ${port}`);
      bus.writePort(port, size, 0xffffffff);
    }
    for (let gpa = 0xfec00000 - 8; gpa < 0xfec00050; gpa++) {
      bus.writeMmio(gpa, size, 0xffffffff);
      bus.readMmio(gpa, size);
    }
  }
});

for (const [name, port, value, expected, request] of [
  ['ACPI reset', 0x600, 1, 'reset', Request.RESET],
  ['ACPI power-off', 0x600, 0x34, 'poweroff', Request.STOP],
  ['i8042 reset', 0x64, 0xfe, 'reset', Request.RESET],
] as const) {
  test(`${name} stops the vCPU at once and tells the main thread`, async () => {
    const { bus, backends, mailbox } = machine();
    backends.start();
    const asked = new Promise<GuestRequest>((resolve) => backends.onRequest(resolve));
    bus.writePort(port, 1, value);
    assert.equal(mailbox.takeRequests(), request);
    assert.equal(await asked, expected);
    await backends.stop();
  });
}

test('serial output reaches the reader, and after stop the end does', async () => {
  const { bus, backends } = machine();
  backends.start();
  for (const byte of new TextEncoder().encode('hello')) bus.writePort(0x3f8, 1, byte);
  assert.equal(new TextDecoder().decode(await backends.serial.output.read()), 'hello');
  await backends.stop();
  assert.equal(await backends.serial.output.read(), undefined);
});

test('the platform state survives a round trip through JSON', () => {
  const { bus, backends } = machine();
  bus.writePort(0x3f9, 1, 0x05);
  bus.writePort(0x70, 1, 0x40);
  bus.writePort(0x71, 1, 0xab);
  bus.writePort(0x64, 1, 0x20);
  bus.writeMmio(0xfec00000, 4, 0x18);
  bus.writeMmio(0xfec00010, 4, 0x00000034);
  const state = backends.save();
  const copy = machine();
  copy.backends.load(JSON.parse(JSON.stringify(state)));
  assert.deepEqual(copy.backends.save(), state);
  assert.equal(copy.bus.readPort(0x71, 1), 0xab);
});
