import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestMachine, until } from '../../../../../test/devices/driver.ts';

const timeout = 20_000;
const COM1 = 0x3f8;
const VECTOR = 0x34;

interface Uart {
  readonly machine: TestMachine;
  readonly get: (register: number) => number;
  readonly set: (register: number, value: number) => void;
  readonly send: (text: string) => void;
}

function uart(): Uart {
  const machine = new TestMachine({ virtio: [] });
  machine.route(4, VECTOR);
  const set = (register: number, value: number): void => machine.bus.writePort(COM1 + register, 1, value);
  return {
    machine,
    get: (register) => machine.bus.readPort(COM1 + register, 1),
    set,
    send: (text) => {
      for (const byte of new TextEncoder().encode(text)) set(0, byte);
    },
  };
}

test('reset values and the registers that Linux probes', () => {
  const { get, set } = uart();
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(get), [0x00, 0x01, 0x03, 0x08, 0x60, 0xb0]);
  set(1, 0xff);
  assert.equal(get(1), 0x0f);
  set(7, 0xa5);
  assert.equal(get(7), 0xa5);
  set(2, 0x01);
  assert.equal(get(2) & 0xc0, 0xc0);
  set(3, 0x83);
  assert.deepEqual([get(0), get(1)], [12, 0]);
  set(0, 0x34);
  set(1, 0x12);
  assert.deepEqual([get(0), get(1)], [0x34, 0x12]);
  set(3, 0x03);
  assert.equal(get(1), 0x0f);
});

test('loopback connects modem lines and data', () => {
  const { get, set, machine } = uart();
  set(4, 0x1a);
  assert.equal(get(6) & 0xf0, 0x90);
  set(0, 0x5a);
  assert.equal(get(5) & 1, 1);
  assert.equal(get(0), 0x5a);
  assert.equal(get(5) & 1, 0);
  set(4, 0x08);
  machine.backends.serial.pump();
  assert.equal(machine.backends.serial.output.full, false);
});

test('the THR-empty interrupt: raised when enabled, by each byte, cleared by reading IIR', () => {
  const { get, set, machine } = uart();
  set(1, 2);
  assert.deepEqual(machine.vectors(), [VECTOR]);
  assert.equal(get(2) & 0x0f, 0x02);
  assert.equal(get(2) & 0x0f, 0x01);
  assert.deepEqual(machine.vectors(), []);
  set(0, 0x41);
  assert.deepEqual(machine.vectors(), [VECTOR]);
  set(0, 0x42);
  assert.deepEqual(machine.vectors(), [VECTOR]);
  set(1, 0);
  set(1, 2);
  assert.deepEqual(machine.vectors(), [VECTOR]);
});

test('received data interrupts once until it is read, and OUT2 gates the line', async () => {
  const { get, set, machine } = uart();
  set(1, 1);
  await machine.backends.serial.write(new TextEncoder().encode('ab'));
  assert.deepEqual(machine.vectors(), [VECTOR]);
  assert.equal(get(2) & 0x0f, 0x04);
  assert.equal(get(0), 0x61);
  assert.equal(get(5) & 1, 1);
  assert.equal(get(0), 0x62);
  assert.equal(get(2) & 0x0f, 0x01);
  assert.deepEqual(machine.vectors(), []);
  await machine.backends.serial.write(Uint8Array.of(1));
  assert.deepEqual(machine.vectors(), [VECTOR]);
  assert.equal(get(0), 1);
  set(4, 0);
  await machine.backends.serial.write(Uint8Array.of(2));
  assert.deepEqual(machine.vectors(), []);
  set(4, 8);
  assert.deepEqual(machine.vectors(), [VECTOR]);
});

test('input beyond the ring waits for the guest', { timeout }, async () => {
  const { get, machine } = uart();
  machine.backends.start();
  const text = Uint8Array.from({ length: 10000 }, (_, i) => i & 0xff);
  let written = false;
  const writing = machine.backends.serial.write(text).then(() => {
    written = true;
  });
  for (let i = 0; i < text.length; i++) {
    if ((get(5) & 1) === 0) {
      assert.equal(written, false);
      await until(() => (get(5) & 1) !== 0);
    }
    assert.equal(get(0), text[i]);
  }
  await writing;
  assert.equal(get(5) & 1, 0);
  await machine.backends.stop();
});

test('a flood nobody takes: THR goes busy, bytes written all the same are lost, then it goes on', {
  timeout,
}, async () => {
  const { get, set, send, machine } = uart();
  set(1, 2);
  for (let i = 0; i < 0x10000; i++) {
    assert.equal(get(5) & 0x20, 0x20);
    set(0, i % 200);
  }
  assert.equal(get(5) & 0x60, 0);
  machine.vectors();
  for (let i = 0; i < 1000; i++) set(0, 0xee);
  assert.deepEqual(machine.vectors(), []);
  machine.backends.start();
  const output = (await machine.backends.serial.output.read()) as Uint8Array;
  assert.equal(output.length, 0x10000);
  assert.equal(output.includes(0xee), false);
  assert.equal(get(5) & 0x60, 0x60);
  assert.deepEqual(machine.vectors(), [VECTOR]);
  send('on');
  assert.equal(new TextDecoder().decode(await machine.backends.serial.output.read()), 'on');
  await machine.backends.stop();
});

test('a guest that floods while nobody reads costs a fixed amount of memory', { timeout }, async () => {
  const { send, machine } = uart();
  const seen: number[] = [];
  machine.backends.serial.onOutput((bytes) => seen.push(bytes.length));
  for (let round = 0; round < 8; round++) {
    send('x'.repeat(0x8000));
    machine.backends.serial.pump();
  }
  send('the end');
  machine.backends.serial.pump();
  assert.equal(
    seen.reduce((sum, length) => sum + length, 0),
    8 * 0x8000 + 7,
  );
  assert.equal(machine.backends.serial.output.dropped, 8 * 0x8000 + 7 - 0x10000);
  const kept = (await machine.backends.serial.output.read()) as Uint8Array;
  assert.equal(kept.length, 0x10000);
  assert.equal(new TextDecoder().decode(kept.slice(-8)), 'xthe end');
});

test('a slow reader makes the transmitter busy instead of losing output', { timeout }, async () => {
  const { get, send, machine } = uart();
  const { serial } = machine.backends;
  machine.backends.start();
  const first = serial.output.read();
  send('a');
  await first;
  send('b'.repeat(0x10000));
  await until(() => serial.output.full);
  send('c'.repeat(0x10000));
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(get(5) & 0x20, 0);
  assert.equal((await serial.output.read())?.length, 0x10000);
  assert.equal(get(5) & 0x20, 0x20);
  assert.equal((await serial.output.read())?.length, 0x10000);
  await machine.backends.stop();
});

test('state: input survives, and a THR-empty interrupt is raised again rather than lost', () => {
  const { set, get, machine } = uart();
  set(1, 3);
  get(2);
  machine.vectors();
  void machine.backends.serial.write(Uint8Array.of(7, 8));
  const state = machine.backends.save();
  const other = uart();
  other.machine.backends.load(state);
  assert.deepEqual(other.machine.backends.save().serial.input, [7, 8]);
  assert.deepEqual(other.machine.vectors(), [VECTOR]);
  assert.deepEqual([other.get(0), other.get(0)], [7, 8]);
  assert.equal(other.get(2) & 0x0f, 0x02);
});
