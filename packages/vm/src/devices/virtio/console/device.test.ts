import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Driver, F_VERSION_1, TestMachine, until } from '../../../../../../test/devices/driver.ts';
import type { ConsolePort } from './port.ts';

const timeout = 20_000;
const F_MULTIPORT = 2n;
const RX = 0x100000;
const TX = 0x200000;
const CONTROL_RX = 0x300000;
const CONTROL_TX = 0x310000;
const PORTS = [
  { name: 'hvc', console: true },
  { name: 'viv.stdin' },
  { name: 'viv.stdout' },
  { name: 'viv.stderr' },
  { name: 'viv.control' },
];

class Guest {
  readonly machine: TestMachine;
  readonly driver: Driver;
  #transmitted = 0;

  constructor() {
    this.machine = new TestMachine({ virtio: [{ type: 'console', ports: PORTS, columns: 100, rows: 40 }] });
    this.driver = new Driver(this.machine);
    this.machine.backends.start();
    this.driver.start(12, F_VERSION_1 | F_MULTIPORT, 64);
  }

  port(name: string): ConsolePort {
    return this.machine.backends.consolePorts.get(name) as ConsolePort;
  }

  /** Gives the device `count` buffers for control messages. */
  offerControl(count: number): void {
    for (let i = 0; i < count; i++)
      this.driver.add(2, [{ gpa: CONTROL_RX + 64 * i, length: 64, write: true }]);
    this.driver.notify(2);
  }

  async control(id: number, event: number, value: number): Promise<void> {
    const { ram } = this.machine;
    ram.setUint32(CONTROL_TX, id, true);
    ram.setUint16(CONTROL_TX + 4, event, true);
    ram.setUint16(CONTROL_TX + 6, value, true);
    await this.driver.request(3, [{ gpa: CONTROL_TX, length: 8 }]);
  }

  /** The next control message from the device: [port, event, value, text]. */
  async nextControl(): Promise<[number, number, number, string]> {
    const { head, length } = await this.driver.takeUsed(2);
    const at = this.machine.ram.getUint32(this.driver.ringBase(2) + 16 * head, true);
    const { ram, bytes } = this.machine;
    const text = new TextDecoder().decode(bytes.slice(at + 8, at + length));
    return [ram.getUint32(at, true), ram.getUint16(at + 4, true), ram.getUint16(at + 6, true), text];
  }

  /** The handshake of a Linux driver: all ports announced, ready, and open on both sides. */
  async connect(): Promise<void> {
    this.offerControl(48);
    await this.control(0, 0, 1);
    for (let id = 0; id < PORTS.length; id++) await this.nextControl();
    for (let id = 0; id < PORTS.length; id++) {
      await this.control(id, 3, 1);
      await this.nextControl();
      await this.nextControl();
      await this.control(id, 6, 1);
    }
  }

  async transmit(queue: number, text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    const at = TX + 0x1000 * (this.#transmitted++ % 16);
    this.machine.bytes.set(bytes, at);
    await this.driver.request(queue, [{ gpa: at, length: bytes.length }]);
  }

  async receive(queue: number): Promise<string> {
    const { head, length } = await this.driver.takeUsed(queue);
    const at = this.machine.ram.getUint32(this.driver.ringBase(queue) + 16 * head, true);
    return new TextDecoder().decode(this.machine.bytes.slice(at, at + length));
  }
}

test('ports are announced in order, then named, then opened', { timeout }, async () => {
  const guest = new Guest();
  assert.equal(guest.driver.read(0x100), (40 << 16) | 100);
  assert.equal(guest.driver.read(0x104), 5);
  guest.offerControl(32);
  await guest.control(0, 0, 1);
  for (let id = 0; id < 5; id++) assert.deepEqual(await guest.nextControl(), [id, 1, 1, '']);
  await guest.control(0, 3, 1);
  assert.deepEqual(await guest.nextControl(), [0, 4, 1, '']);
  assert.deepEqual(await guest.nextControl(), [0, 6, 1, '']);
  await guest.control(2, 3, 1);
  assert.deepEqual(await guest.nextControl(), [2, 7, 1, 'viv.stdout']);
  assert.deepEqual(await guest.nextControl(), [2, 6, 1, '']);
  await guest.machine.backends.stop();
});

test('control messages wait for buffers, in order, whatever arrives first', { timeout }, async () => {
  const guest = new Guest();
  await guest.control(0, 0, 1);
  for (let id = 4; id >= 0; id--) await guest.control(id, 3, 1);
  guest.offerControl(15);
  const names: string[] = [];
  for (let i = 0; i < 15; i++) {
    const [id, event] = await guest.nextControl();
    names.push(`${id}:${event}`);
  }
  assert.deepEqual(names, [
    '0:1',
    '0:4',
    '0:6',
    '1:1',
    '1:7',
    '1:6',
    '2:1',
    '2:7',
    '2:6',
    '3:1',
    '3:7',
    '3:6',
    '4:1',
    '4:7',
    '4:6',
  ]);
  await guest.machine.backends.stop();
});

test('output flows to its port, and ends after its last byte when the guest closes', {
  timeout,
}, async () => {
  const guest = new Guest();
  await guest.connect();
  const stdout = guest.port('viv.stdout');
  await guest.transmit(7, 'one ');
  await guest.transmit(7, 'two');
  await guest.transmit(9, 'oops');
  assert.equal(new TextDecoder().decode(await stdout.output.read()), 'one two');
  guest.machine.bytes.set(new TextEncoder().encode('last'), TX);
  guest.driver.add(7, [{ gpa: TX, length: 4 }]);
  await guest.control(2, 6, 0);
  assert.equal(new TextDecoder().decode(await stdout.output.read()), 'last');
  assert.equal(await stdout.output.read(), undefined);
  await guest.control(2, 6, 1);
  await guest.driver.takeUsed(7);
  await guest.transmit(7, 'again');
  assert.equal(new TextDecoder().decode(await stdout.output.read()), 'again');
  assert.equal(new TextDecoder().decode(await guest.port('viv.stderr').output.read()), 'oops');
  await guest.machine.backends.stop();
});

test('input waits for the guest to open the port, then ends with PORT_OPEN 0 after the data', {
  timeout,
}, async () => {
  const guest = new Guest();
  guest.offerControl(32);
  const stdin = guest.port('viv.stdin');
  const written = stdin.write(new TextEncoder().encode('hello'));
  stdin.endInput();
  for (let i = 0; i < 4; i++) guest.driver.add(4, [{ gpa: RX + 4 * i, length: 4, write: true }]);
  guest.driver.notify(4);
  await guest.control(0, 0, 1);
  for (let id = 0; id < 5; id++) await guest.nextControl();
  await guest.control(1, 3, 1);
  assert.deepEqual(await guest.nextControl(), [1, 7, 1, 'viv.stdin']);
  assert.deepEqual(await guest.nextControl(), [1, 6, 1, '']);
  assert.equal(guest.driver.usedIndex(4), 0);
  await guest.control(1, 6, 1);
  assert.equal(await guest.receive(4), 'hell');
  assert.equal(await guest.receive(4), 'o');
  await written;
  assert.deepEqual(await guest.nextControl(), [1, 6, 0, '']);
  stdin.openInput();
  assert.deepEqual(await guest.nextControl(), [1, 6, 1, '']);
  await guest.machine.backends.stop();
});

test('what nobody in the guest reads any more is dropped until the host opens again', {
  timeout,
}, async () => {
  const guest = new Guest();
  await guest.connect();
  const stdin = guest.port('viv.stdin');
  const lost = stdin.write(new TextEncoder().encode('lost'));
  await guest.control(1, 6, 0);
  await lost;
  await stdin.write(new TextEncoder().encode('lost too'));
  stdin.openInput();
  const kept = stdin.write(new TextEncoder().encode('kept'));
  await guest.control(1, 6, 1);
  guest.driver.add(4, [{ gpa: RX, length: 64, write: true }]);
  guest.driver.notify(4);
  assert.equal(await guest.receive(4), 'kept');
  await kept;
  await guest.machine.backends.stop();
});

test('a slow reader holds the guest back, reading lets it go on', { timeout }, async () => {
  const guest = new Guest();
  await guest.connect();
  const { output } = guest.port('viv.stdout');
  const first = output.read();
  await guest.transmit(7, 'x');
  await first;
  for (let i = 0; i < 60; i++) guest.driver.add(7, [{ gpa: TX, length: 0x1000 }]);
  guest.driver.notify(7);
  await until(() => output.full);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(guest.driver.usedIndex(7), 1 + 16);
  let total = 0;
  while (total < 60 * 0x1000) total += (await output.read())?.length ?? 0;
  await until(() => guest.driver.usedIndex(7) === 61);
  assert.equal(output.dropped, 0);
  await guest.machine.backends.stop();
});

test('without a reader the newest 64 KiB are kept, whatever the guest sends', { timeout }, async () => {
  const guest = new Guest();
  await guest.connect();
  const { output } = guest.port('hvc');
  for (let i = 0; i < 40; i++) {
    guest.machine.bytes.fill(i, TX, TX + 0x1000);
    await guest.driver.request(1, [{ gpa: TX, length: 0x1000 }]);
  }
  assert.equal(output.dropped, 24 * 0x1000);
  const kept = (await output.read()) as Uint8Array;
  assert.equal(kept.length, 0x10000);
  assert.deepEqual([kept[0], kept.at(-1)], [24, 39]);
  await guest.machine.backends.stop();
});

test('one giant buffer goes through in pieces and comes back once', { timeout }, async () => {
  const guest = new Guest();
  await guest.connect();
  const { output } = guest.port('viv.stdout');
  const reading = output.read();
  guest.driver.add(7, [
    { gpa: TX, length: 0x80000 },
    { gpa: TX, length: 0x80000 },
  ]);
  guest.driver.notify(7);
  let total = (await reading)?.length ?? 0;
  while (total < 0x100000) total += (await output.read())?.length ?? 0;
  assert.equal((await guest.driver.takeUsed(7)).length, 0);
  assert.equal(guest.driver.usedIndex(7), 1);
  assert.equal(total, 0x100000);
  await guest.machine.backends.stop();
});

test('control junk: bad ports, short and unknown messages, a flood', { timeout }, async () => {
  const guest = new Guest();
  for (const [id, event, value] of [
    [0xffffffff, 3, 1],
    [31, 6, 1],
    [5, 3, 1],
    [0, 0xffff, 0xffff],
    [1, 5, 9],
    [1, 6, 0],
  ] as const) {
    await guest.control(id, event, value);
  }
  await guest.driver.request(3, [{ gpa: CONTROL_TX, length: 7 }]);
  await guest.driver.request(3, [{ gpa: CONTROL_TX, length: 16, write: true }]);
  for (let i = 0; i < 500; i++) await guest.control(i % 5, i % 8, 1);
  assert.equal(guest.driver.status, 15);
  guest.offerControl(48);
  await guest.control(0, 0, 1);
  assert.deepEqual(await guest.nextControl(), [0, 1, 1, '']);
  await guest.machine.backends.stop();
});

test('a reset ends the streams and lets writers go', { timeout }, async () => {
  const guest = new Guest();
  await guest.connect();
  const reading = guest.port('viv.stdout').output.read();
  const writing = guest.port('viv.stdin').write(Uint8Array.of(1));
  guest.driver.write(0x70, 0);
  assert.equal(await reading, undefined);
  await writing;
  await guest.machine.backends.stop();
});

test('without MULTIPORT port 0 works at once, and a resize reaches the configuration', {
  timeout,
}, async () => {
  const guest = new Guest();
  guest.driver.start(2, F_VERSION_1);
  await guest.transmit(1, 'plain');
  assert.equal(new TextDecoder().decode(await guest.port('hvc').output.read()), 'plain');
  const generation = guest.driver.read(0xfc);
  guest.machine.backends.resize(132, 50);
  assert.equal(guest.driver.read(0x100), (50 << 16) | 132);
  assert.notEqual(guest.driver.read(0xfc), generation);
  assert.equal(guest.driver.read(0x60) & 2, 2);
  await guest.machine.backends.stop();
});

test('the state survives a move to another machine, and the ports go on', { timeout }, async () => {
  const guest = new Guest();
  await guest.connect();
  await guest.transmit(7, 'before');
  await guest.machine.backends.pause();
  const state = guest.machine.backends.save();
  const other = new Guest();
  await other.machine.backends.pause();
  other.machine.bytes.set(guest.machine.bytes);
  other.machine.backends.load(JSON.parse(JSON.stringify(state)));
  assert.deepEqual(other.machine.backends.save(), state);
  other.machine.backends.resume();
  assert.equal(other.port('viv.stdout').guestOpen, true);
  other.driver.sizes.splice(0, 12, ...guest.driver.sizes);
  other.driver.setDescriptor(7, 63, BigInt(TX), 5, 0, 0);
  other.machine.bytes.set(new TextEncoder().encode('after'), TX);
  other.driver.makeAvailable(7, 63);
  other.driver.notify(7);
  assert.equal(new TextDecoder().decode(await other.port('viv.stdout').output.read()), 'after');
  await guest.machine.backends.stop();
  await other.machine.backends.stop();
});
