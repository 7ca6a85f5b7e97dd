import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestMachine } from '../../../../../test/devices/driver.ts';
import { Request, VcpuMailbox } from '../../machine/mailbox.ts';
import { IoApic } from './device.ts';

const BASE = 0xfec00000;

function chip(vcpus = 1): { apic: IoApic; machine: TestMachine; read: (index: number) => number } {
  const machine = new TestMachine({ virtio: [] }, {}, vcpus);
  // The devices' own I/O APIC, at its place in the shared memory.
  const apic = new IoApic(machine.buffer, 0x11000, machine.mailboxes);
  const read = (index: number): number => {
    machine.bus.writeMmio(BASE, 4, index);
    return machine.bus.readMmio(BASE + 0x10, 4);
  };
  return { apic, machine, read };
}

test('identity, and entries masked after reset', () => {
  const { machine, read } = chip();
  assert.equal(read(1), 0x00170011);
  for (let pin = 0; pin < 24; pin++)
    assert.deepEqual([read(0x10 + 2 * pin), read(0x11 + 2 * pin)], [0x10000, 0]);
  machine.bus.writeMmio(BASE, 4, 0);
  machine.bus.writeMmio(BASE + 0x10, 4, 0xffffffff);
  assert.equal(read(0), 0x0f000000);
  assert.equal(read(0x40), 0);
  assert.equal(read(0xff), 0);
});

test('an edge fires once per rise; on a masked pin it is lost', () => {
  const { apic, machine } = chip();
  apic.set(10, true);
  machine.route(10, 0x50);
  assert.deepEqual(machine.vectors(), []);
  apic.set(10, false);
  apic.set(10, true);
  apic.set(10, true);
  assert.deepEqual(machine.vectors(), [0x50]);
  apic.set(10, true);
  assert.deepEqual(machine.vectors(), []);
  apic.pulse(10);
  assert.deepEqual(machine.vectors(), [0x50]);
});

test('a level fires once until its end of interrupt, then again while the line is high', () => {
  const { apic, machine, read } = chip();
  machine.route(11, 0x8051);
  apic.set(11, true);
  assert.deepEqual(machine.vectors(), [0x51]);
  assert.equal(read(0x10 + 22) & 0x4000, 0x4000);
  apic.set(11, false);
  apic.set(11, true);
  assert.deepEqual(machine.vectors(), []);
  machine.bus.endOfInterrupt(0x51);
  assert.deepEqual(machine.vectors(), [0x51]);
  apic.set(11, false);
  machine.bus.endOfInterrupt(0x52);
  assert.equal(read(0x10 + 22) & 0x4000, 0x4000);
  machine.bus.endOfInterrupt(0x51);
  assert.equal(read(0x10 + 22) & 0x4000, 0);
  assert.deepEqual(machine.vectors(), []);
});

test('unmasking a level pin with a high line fires; going to edge clears a stuck remote IRR', () => {
  const { apic, machine, read } = chip();
  machine.route(12, 0x18052);
  apic.set(12, true);
  assert.deepEqual(machine.vectors(), []);
  machine.route(12, 0x8052);
  assert.deepEqual(machine.vectors(), [0x52]);
  machine.route(12, 0x10052);
  assert.equal(read(0x10 + 24) & 0x4000, 0);
});

test('the level bit reaches the mailbox', () => {
  const { apic, machine } = chip();
  machine.route(11, 0x8051);
  apic.set(11, true);
  const trigger = new Int32Array(8);
  machine.mailboxes[0]?.takePosted(new Int32Array(8), trigger);
  assert.equal(trigger[2], 1 << (0x51 & 31));
});

for (const [name, low, high, expected] of [
  ['physical to 1', 0x60, 0x01000000, [1]],
  ['physical to nobody', 0x60, 0x07000000, []],
  ['physical to all', 0x60, 0xff000000, [0, 1, 2]],
  ['logical to 0 and 2', 0x860, 0x05000000, [0, 2]],
  ['lowest priority among 1 and 2', 0x960, 0x06000000, [1]],
  ['a vector below 16', 0x0f, 0, []],
  ['SMI', 0x260, 0, []],
  ['ExtINT', 0x760, 0, []],
  ['a reserved mode', 0x360, 0, []],
] as const) {
  test(`delivery: ${name}`, () => {
    const { apic, machine } = chip(3);
    machine.route(9, low, high);
    apic.set(9, true);
    const hit = [0, 1, 2].filter((vcpu) => machine.vectors(vcpu).includes(0x60));
    assert.deepEqual(hit, expected);
  });
}

test('NMI and INIT become requests', () => {
  const { apic, machine } = chip();
  const mailbox = machine.mailboxes[0] as VcpuMailbox;
  machine.route(9, 0x400);
  apic.pulse(9);
  assert.equal(mailbox.takeRequests(), Request.NMI);
  machine.route(9, 0x8500);
  apic.pulse(9);
  assert.equal(mailbox.takeRequests(), Request.INIT);
});

test('junk: all widths, all offsets, all registers', () => {
  const { machine } = chip();
  for (const size of [1, 2, 4] as const) {
    for (let offset = 0; offset < 0x60; offset++) {
      machine.bus.writeMmio(BASE + offset, size, 0xffffffff);
      machine.bus.readMmio(BASE + offset, size);
    }
  }
  for (let index = 0; index < 256; index++) {
    machine.bus.writeMmio(BASE, 4, index);
    machine.bus.writeMmio(BASE + 0x10, 4, 0xffffffff);
    machine.bus.readMmio(BASE + 0x10, 4);
  }
  for (let vector = -1; vector < 300; vector++) machine.bus.endOfInterrupt(vector);
  assert.equal(machine.bus.readMmio(BASE, 1), 0xff);
  assert.equal(machine.bus.readMmio(BASE + 0x20, 4), 0);
});

test('state round trip', () => {
  const { apic, machine } = chip();
  machine.route(11, 0x8051, 0x03000000);
  apic.set(11, true);
  machine.route(3, 0x44);
  const state = apic.save();
  const other = chip();
  other.apic.load(JSON.parse(JSON.stringify(state)));
  assert.deepEqual(other.apic.save(), state);
});
