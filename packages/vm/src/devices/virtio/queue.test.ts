import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Driver,
  F_EVENT_IDX,
  F_VERSION_1,
  RAM_BYTES,
  TestMachine,
} from '../../../../../test/devices/driver.ts';
import { VcpuMailbox } from '../../machine/mailbox.ts';
import { GuestMemory } from '../../machine/memory.ts';
import { SplitQueue } from './queue.ts';

const timeout = 20_000;
const WRITE = 2;
const NEXT = 1;
const INDIRECT = 4;

function rng(): { machine: TestMachine; driver: Driver } {
  const machine = new TestMachine({ virtio: [{ type: 'rng' }] });
  const driver = new Driver(machine);
  machine.backends.start();
  machine.route(driver.pin, 0x41);
  return { machine, driver };
}

/** The device must still work after a reset, whatever happened before. */
async function recovers(machine: TestMachine, driver: Driver): Promise<void> {
  driver.start(1);
  assert.equal((await driver.request(0, [{ gpa: 0x3000, length: 16, write: true }])).length, 16);
  assert.equal(driver.status, 15);
  await machine.backends.stop();
}

for (const [name, size, at] of [
  ['size 0', 0, {}],
  ['size 3', 3, {}],
  ['a size above the maximum', 128, {}],
  ['size 0x10000', 0x10000, {}],
  ['a size that is right in its low 16 bits', 0x10010, {}],
  ['size 0xffffffff', 0xffffffff, {}],
  ['an unaligned descriptor table', 16, { desc: 0x10008 }],
  ['an unaligned available ring', 16, { desc: 0x10000, driver: 0x11001 }],
  ['an unaligned used ring', 16, { desc: 0x10000, device: 0x12002 }],
  ['a descriptor table in the memory hole', 16, { desc: 0xc0001000 }],
  ['a used ring over the I/O APIC', 16, { desc: 0x10000, device: 0xfec00000 }],
  ['a descriptor table across the end of RAM', 16, { desc: RAM_BYTES - 16 }],
  ['an available ring across the end of RAM', 16, { desc: 0x10000, driver: RAM_BYTES - 4 }],
  ['a used ring across the end of RAM', 16, { desc: 0x10000, device: RAM_BYTES - 8 }],
  [
    'addresses at the end of 64 bits',
    16,
    { desc: 0xfffffff0, driver: 0xfffffffe, device: 0xfffffffc, high: 0xffffffff },
  ],
] as const) {
  test(`a queue with ${name} asks for a reset`, { timeout }, async () => {
    const { machine, driver } = rng();
    driver.negotiate();
    driver.setQueue(0, size, at);
    driver.write(0x70, 15);
    await driver.needsReset();
    assert.equal(driver.read(0x60) & 2, 2);
    assert.deepEqual(machine.vectors(), [0x41]);
    driver.notify(0);
    await recovers(machine, driver);
  });
}

for (const [name, descriptors] of [
  ['a next index outside of the table', [[0x3000n, 16, WRITE | NEXT, 16]]],
  ['a next index of 65535', [[0x3000n, 16, WRITE | NEXT, 0xffff]]],
  ['a descriptor that points at itself', [[0x3000n, 16, WRITE | NEXT, 0]]],
  [
    'a cycle of three',
    [
      [0x3000n, 16, WRITE | NEXT, 1],
      [0x3010n, 16, WRITE | NEXT, 2],
      [0x3020n, 16, WRITE | NEXT, 0],
    ],
  ],
  ['an indirect descriptor', [[0x3000n, 16, INDIRECT, 0]]],
  ['an indirect descriptor with length 0', [[0x3000n, 0, INDIRECT, 0]]],
  ['an indirect descriptor of odd length that goes on', [[0x3000n, 17, INDIRECT | NEXT, 1]]],
  ['a buffer in the memory hole', [[0xc0001000n, 16, WRITE, 0]]],
  ['a buffer across the end of RAM', [[BigInt(RAM_BYTES) - 8n, 16, WRITE, 0]]],
  ['a buffer that wraps around 64 bits', [[0xfffffffffffffff0n, 0x20, WRITE, 0]]],
  ['a buffer at 2^53', [[1n << 53n, 16, WRITE, 0]]],
  ['a buffer of 4 GiB', [[0n, 0xffffffff, WRITE, 0]]],
  [
    'a readable descriptor after a writable one',
    [
      [0x3000n, 16, WRITE | NEXT, 1],
      [0x3010n, 16, 0, 0],
    ],
  ],
] as const) {
  test(`${name}: the head comes back unused, the device asks for a reset`, { timeout }, async () => {
    const { machine, driver } = rng();
    driver.start(1);
    descriptors.forEach(([address, length, flags, next], index) => {
      driver.setDescriptor(0, index, address, length, flags, next);
    });
    driver.makeAvailable(0, 0);
    driver.notify(0);
    assert.deepEqual(await driver.takeUsed(0), { head: 0, length: 0 });
    await driver.needsReset();
    driver.add(0, [{ gpa: 0x3000, length: 16, write: true }]);
    driver.notify(0);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(driver.usedIndex(0), 1);
    await recovers(machine, driver);
  });
}

test('a chain longer than 4 GiB in total asks for a reset', { timeout }, async () => {
  const { machine, driver } = rng();
  driver.negotiate();
  driver.setQueue(0, 64);
  driver.write(0x70, 15);
  const memory = new TestMachine({ virtio: [] }, {}, 1, 0x8000000);
  const view = new GuestMemory(memory.buffer, memory.layout, []);
  const queue = SplitQueue.open(
    view,
    { size: 64, sizeMax: 64, desc: 0, driver: 0x1000, device: 0x2000 },
    false,
  );
  assert.ok(queue instanceof SplitQueue);
  for (let i = 0; i < 40; i++) {
    memory.ram.setUint32(16 * i + 8, 0x7000000, true);
    memory.ram.setUint16(16 * i + 12, WRITE | (i < 39 ? NEXT : 0), true);
    memory.ram.setUint16(16 * i + 14, i + 1, true);
  }
  memory.ram.setUint16(0x1002, 1, true);
  assert.equal(queue.pop(), undefined);
  assert.equal(queue.fault, 'chain longer than 4 GiB');
  await machine.backends.stop();
});

for (const index of [17, 0x7fff, 0xffff]) {
  test(`an available index that jumps to ${index} asks for a reset`, { timeout }, async () => {
    const { machine, driver } = rng();
    driver.start(1);
    driver.setAvailableIndex(0, index);
    driver.notify(0);
    await driver.needsReset();
    assert.equal(driver.usedIndex(0), 0);
    await recovers(machine, driver);
  });
}

test('a head outside of the table asks for a reset', { timeout }, async () => {
  const { machine, driver } = rng();
  driver.start(1);
  driver.makeAvailable(0, 16);
  driver.notify(0);
  await driver.needsReset();
  assert.equal(driver.usedIndex(0), 0);
  await recovers(machine, driver);
});

test('the same head submitted twice is served twice', { timeout }, async () => {
  const { machine, driver } = rng();
  driver.start(1);
  const head = driver.add(0, [{ gpa: 0x3000, length: 8, write: true }]);
  driver.makeAvailable(0, head);
  driver.notify(0);
  assert.deepEqual(await driver.takeUsed(0), { head, length: 8 });
  assert.deepEqual(await driver.takeUsed(0), { head, length: 8 });
  await recovers(machine, driver);
});

test('rings on top of each other, and a buffer on top of the rings, harm nobody but the guest', {
  timeout,
}, async () => {
  const { machine, driver } = rng();
  driver.negotiate();
  driver.setQueue(0, 16, { desc: 0x10000, driver: 0x10000, device: 0x10000 });
  driver.write(0x70, 15);
  machine.bytes.fill(0xff, 0x10000, 0x10100);
  driver.notify(0);
  await driver.needsReset();
  driver.start(1);
  driver.add(0, [{ gpa: 0x10000, length: 0x3000, write: true }]);
  driver.notify(0);
  await driver.needsReset();
  await recovers(machine, driver);
});

test('interrupts: none when the driver says so, one per EVENT_IDX crossing', { timeout }, async () => {
  const { machine, driver } = rng();
  const buffer = [{ gpa: 0x3000, length: 8, write: true }];
  driver.start(1);
  driver.setNoInterrupt(0, true);
  await driver.request(0, buffer);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(machine.vectors(), []);
  driver.setNoInterrupt(0, false);
  await driver.request(0, buffer);
  assert.deepEqual(machine.vectors(), [0x41]);

  driver.start(1, F_VERSION_1 | F_EVENT_IDX);
  machine.vectors();
  driver.setUsedEvent(0, 2);
  await driver.request(0, buffer);
  await driver.request(0, buffer);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(machine.vectors(), []);
  await driver.request(0, buffer);
  assert.deepEqual(machine.vectors(), [0x41]);
  assert.equal(driver.availableEvent(0), 3);
  await machine.backends.stop();
});

test('indices wrap at 65536', () => {
  const machine = new TestMachine({ virtio: [] });
  const memory = new GuestMemory(machine.buffer, machine.layout, []);
  const open = SplitQueue.open(
    memory,
    { size: 4, sizeMax: 4, desc: 0, driver: 0x1000, device: 0x2000 },
    true,
  );
  assert.ok(open instanceof SplitQueue);
  open.resumeAt({ nextAvailable: 0xffff, nextUsed: 0xffff, signalled: 0xffff });
  machine.ram.setUint32(8, 1, true);
  machine.ram.setUint16(0x1002, 1, true);
  machine.ram.setUint16(0x1000 + 4 + 8, 0, true);
  assert.equal(open.pop()?.head, 0);
  assert.equal(open.pop()?.head, 0);
  assert.equal(open.pop(), undefined);
  assert.equal(open.fault, '');
  open.push(0, 0);
  open.push(0, 0);
  assert.equal(machine.ram.getUint16(0x2002, true), 1);
  assert.equal(open.takeInterrupt(), true);
  assert.equal(open.armNotification(), false);
  assert.deepEqual(open.position(), { nextAvailable: 1, nextUsed: 1, signalled: 1 });
});

test('device writes mark pages dirty, and tell every vCPU about pages that hold decoded code', () => {
  const machine = new TestMachine({ virtio: [] }, {}, 2);
  const memory = new GuestMemory(machine.buffer, machine.layout, machine.mailboxes);
  const flags = new Uint8Array(machine.buffer, machine.layout.pageFlags, RAM_BYTES / 0x1000);
  flags[6] = 4;
  assert.equal(memory.write(0x4fff, new Uint8Array(0x1002)), true);
  assert.deepEqual(Array.from(flags.subarray(3, 8)), [0, 2, 2, 6, 0]);
  for (const mailbox of machine.mailboxes) {
    assert.ok(mailbox instanceof VcpuMailbox);
    assert.deepEqual(mailbox.takeInvalidations(), [6]);
  }
  assert.equal(memory.write(RAM_BYTES - 1, new Uint8Array(2)), false);
  assert.equal(memory.write(-1, new Uint8Array(2)), false);
  assert.equal(memory.read(RAM_BYTES, new Uint8Array(1)), false);
  assert.equal(memory.readUint(RAM_BYTES - 2, 4), -1);
});
