import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestMachine } from '../../../../../test/devices/driver.ts';
import { Request } from '../../machine/mailbox.ts';

const VECTOR = 0x31;

function keyboard(): {
  machine: TestMachine;
  drain: () => number[];
  command: (...bytes: number[]) => number[];
} {
  const machine = new TestMachine({ virtio: [] });
  machine.route(1, VECTOR);
  const drain = (): number[] => {
    const bytes: number[] = [];
    while ((machine.bus.readPort(0x64, 1) & 1) !== 0) bytes.push(machine.bus.readPort(0x60, 1));
    return bytes;
  };
  return {
    machine,
    drain,
    command: (first, ...rest) => {
      machine.bus.writePort(0x64, 1, first ?? 0);
      for (const byte of rest) machine.bus.writePort(0x60, 1, byte);
      return drain();
    },
  };
}

test("Linux's probe gets its answers at once", () => {
  const { command, machine } = keyboard();
  assert.equal(machine.bus.readPort(0x64, 1) & 0x11, 0x10);
  assert.deepEqual(command(0xaa), [0x55]);
  assert.deepEqual(command(0xab), [0x00]);
  assert.deepEqual(command(0xa9), [0x01]);
  assert.deepEqual(command(0x60, 0x43), []);
  assert.deepEqual(command(0x20), [0x43]);
  assert.deepEqual(command(0xd3, 0x5a), [0x5a]);
  assert.deepEqual(command(0xa8), []);
  assert.equal((command(0x20)[0] ?? 0xff) & 0x20, 0);
  assert.deepEqual(
    command(0xd0).map((byte) => byte & 1),
    [1],
  );
});

test('the keyboard acknowledges, tells its identity and its scan code set', () => {
  const { machine, drain } = keyboard();
  const type = (...bytes: number[]): number[] => {
    for (const byte of bytes) machine.bus.writePort(0x60, 1, byte);
    return drain();
  };
  assert.deepEqual(type(0xf2), [0xfa, 0xab, 0x83]);
  assert.deepEqual(type(0xff), [0xfa, 0xaa]);
  assert.deepEqual(type(0xed, 0x07), [0xfa, 0xfa]);
  assert.deepEqual(type(0xf0, 0x00), [0xfa, 0xfa, 0x02]);
});

test('Ctrl-Alt-Del interrupts once per byte', () => {
  const { machine } = keyboard();
  machine.backends.pressCtrlAltDel();
  for (const code of [0x1d, 0x38, 0xe0, 0x53]) {
    assert.deepEqual(machine.vectors(), [VECTOR]);
    assert.equal(machine.bus.readPort(0x60, 1), code);
  }
  assert.deepEqual(machine.vectors(), []);
  machine.bus.writePort(0x64, 1, 0x60);
  machine.bus.writePort(0x60, 1, 0x00);
  machine.backends.pressCtrlAltDel();
  assert.deepEqual(machine.vectors(), []);
  assert.equal(machine.bus.readPort(0x60, 1), 0x14);
});

test('every way to pulse the reset line resets, and no other command does', () => {
  const { machine } = keyboard();
  const requests = (): number => machine.mailboxes[0]?.takeRequests() ?? -1;
  for (let value = 0; value < 256; value++) {
    machine.bus.writePort(0x64, 1, value);
    assert.equal(requests(), value >= 0xf0 && value % 2 === 0 ? Request.RESET : 0, `command ${value}`);
  }
  machine.bus.writePort(0x64, 1, 0xd1);
  machine.bus.writePort(0x60, 1, 0xdf);
  assert.equal(requests(), 0);
  machine.bus.writePort(0x64, 1, 0xd1);
  machine.bus.writePort(0x60, 1, 0xfe);
  assert.equal(requests(), Request.RESET);
});

test('a flood of commands leaves a bounded queue', () => {
  const { machine, drain } = keyboard();
  for (let i = 0; i < 10_000; i++) machine.bus.writePort(0x60, 1, 0xf2);
  assert.equal(drain().length, 16);
});

test('port 0x61: bit 5 is high, bit 4 toggles', () => {
  const { machine } = keyboard();
  const first = machine.bus.readPort(0x61, 1);
  const second = machine.bus.readPort(0x61, 1);
  assert.equal(first & second & 0x20, 0x20);
  assert.equal((first ^ second) & 0x10, 0x10);
});

test('state round trip', () => {
  const { machine } = keyboard();
  machine.bus.writePort(0x60, 1, 0xed);
  machine.bus.writePort(0x64, 1, 0xd1);
  const state = machine.backends.save();
  const other = keyboard();
  other.machine.backends.load(JSON.parse(JSON.stringify(state)));
  assert.deepEqual(other.machine.backends.save().i8042, state.i8042);
  assert.deepEqual(state.i8042.queue, [0xfa]);
});
