import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Buffer,
  Driver,
  F_VERSION_1,
  TestMachine,
  until,
} from '../../../../../../test/devices/driver.ts';
import type { BlockFile } from '../../../base/ports.ts';

const timeout = 20_000;
const HEADER = 0x3000;
const DATA = 0x100000;
const STATUS = 0x4000;
const SECTORS = 4096;

class MemoryDisk implements BlockFile {
  readonly bytes: Uint8Array = Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i >> 9) & 0xff);
  readonly sizeBytes: number = SECTORS * 512 + 100;
  readonly calls: string[] = [];
  /** Holds every operation until it resolves. */
  gate: Promise<void> = Promise.resolve();
  largest = 0;
  broken = false;

  async read(offset: number, target: Uint8Array): Promise<void> {
    await this.#enter(`read ${offset} ${target.length}`, target.length);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.#enter(`write ${offset} ${source.length}`, source.length);
    this.bytes.set(source, offset);
  }

  async flush(): Promise<void> {
    await this.#enter('flush', 0);
  }

  async #enter(call: string, length: number): Promise<void> {
    this.calls.push(call);
    this.largest = Math.max(this.largest, length);
    await this.gate;
    if (this.broken) throw new Error('no space left on device');
  }
}

interface Answer {
  readonly status: number;
  readonly length: number;
}

interface Setup {
  readonly machine: TestMachine;
  readonly driver: Driver;
  readonly disk: MemoryDisk;
  readonly request: (type: number, sector: bigint, data: readonly Buffer[]) => Promise<Answer>;
}

function setup(readOnly = false, queueSize = 256): Setup {
  const disk = new MemoryDisk();
  const machine = new TestMachine(
    { virtio: [{ type: 'blk', disk: 'root', readOnly, serial: 'viv-disk' }] },
    { root: disk },
  );
  const driver = new Driver(machine);
  machine.backends.start();
  driver.start(1, F_VERSION_1 | 0x200n, queueSize);
  return {
    machine,
    driver,
    disk,
    request: async (type, sector, data) => {
      header(machine, type, sector);
      machine.bytes[STATUS] = 0xee;
      const used = await driver.request(0, [
        { gpa: HEADER, length: 16 },
        ...data,
        { gpa: STATUS, length: 1, write: true },
      ]);
      return { status: machine.bytes[STATUS] as number, length: used.length };
    },
  };
}

function header(machine: TestMachine, type: number, sector: bigint, at = HEADER): void {
  machine.ram.setUint32(at, type, true);
  machine.ram.setUint32(at + 4, 0, true);
  machine.ram.setBigUint64(at + 8, sector, true);
}

test('capacity, features and serial number are told', { timeout }, async () => {
  const { machine, driver, request } = setup();
  assert.equal(driver.read(0x100), SECTORS);
  assert.equal(driver.read(0x104), 0);
  assert.equal(driver.read(0x114), 512);
  assert.equal(driver.features() & 0xffffffn, 0x244n);
  assert.deepEqual(await request(8, 0n, [{ gpa: DATA, length: 20, write: true }]), { status: 0, length: 21 });
  assert.equal(new TextDecoder().decode(machine.bytes.slice(DATA, DATA + 9)), 'viv-disk\0');
  assert.deepEqual(await request(8, 0n, [{ gpa: DATA, length: 3, write: true }]), { status: 0, length: 4 });
  await machine.backends.stop();
});

test('sectors are read and written, scattered over segments', { timeout }, async () => {
  const { machine, disk, request } = setup();
  const scattered: Buffer[] = [
    { gpa: DATA, length: 100, write: true },
    { gpa: DATA + 0x1000, length: 924, write: true },
  ];
  assert.deepEqual(await request(0, 7n, scattered), { status: 0, length: 1025 });
  assert.deepEqual(machine.bytes.slice(DATA, DATA + 101), Uint8Array.from([...new Array(100).fill(7), 0]));
  assert.equal(machine.bytes[DATA + 0x1000 + 411], 7);
  assert.equal(machine.bytes[DATA + 0x1000 + 412], 8);
  machine.bytes.fill(0xcd, DATA, DATA + 1024);
  assert.deepEqual(await request(1, 9n, [{ gpa: DATA, length: 1024 }]), { status: 0, length: 1 });
  assert.equal(disk.bytes[9 * 512], 0xcd);
  assert.equal(disk.bytes[11 * 512 - 1], 0xcd);
  assert.equal(disk.bytes[11 * 512], 11);
  await machine.backends.stop();
});

test('a flush is acknowledged only when the file says so', { timeout }, async () => {
  const { machine, driver, disk } = setup();
  let open = (): void => {};
  disk.gate = new Promise((resolve) => {
    open = resolve;
  });
  header(machine, 4, 0n);
  driver.add(0, [
    { gpa: HEADER, length: 16 },
    { gpa: STATUS, length: 1, write: true },
  ]);
  driver.notify(0);
  await until(() => disk.calls.includes('flush'));
  assert.equal(driver.usedIndex(0), 0);
  open();
  assert.equal((await driver.takeUsed(0)).length, 1);
  await machine.backends.stop();
});

for (const [name, type, sector, length, expected] of [
  ['one sector past the end', 0, BigInt(SECTORS), 512, 1],
  ['across the end', 0, BigInt(SECTORS - 1), 1024, 1],
  ['the largest sector number', 0, 0xffffffffffffffffn, 512, 1],
  ['a sector whose byte offset wraps 64 bits to 0', 0, 1n << 55n, 512, 1],
  ['a sector whose byte offset wraps 53 bits', 1, 1n << 44n, 512, 1],
  ['half a sector', 0, 0n, 256, 1],
  ['an unknown type', 77, 0n, 512, 2],
  ['discard, which is not offered', 11, 0n, 512, 2],
  ['write zeroes, which is not offered', 13, 0n, 512, 2],
] as const) {
  test(`${name} gets status ${expected} and touches no file`, { timeout }, async () => {
    const { machine, driver, disk, request } = setup();
    const write = type === 0;
    assert.equal((await request(type, sector, [{ gpa: DATA, length, write }])).status, expected);
    assert.deepEqual(disk.calls, []);
    assert.equal(driver.status, 15);
    await machine.backends.stop();
  });
}

test('a write to a read-only disk fails although the driver did not take the feature', {
  timeout,
}, async () => {
  const { machine, disk, request, driver } = setup(true);
  assert.equal(driver.features() & 0x20n, 0x20n);
  assert.equal((await request(1, 0n, [{ gpa: DATA, length: 512 }])).status, 1);
  assert.equal((await request(4, 0n, [])).status, 0);
  assert.deepEqual(disk.calls, []);
  await machine.backends.stop();
});

test('a header split over three descriptors is understood', { timeout }, async () => {
  const { machine, driver } = setup();
  header(machine, 0, 5n);
  const used = await driver.request(0, [
    { gpa: HEADER, length: 1 },
    { gpa: HEADER + 1, length: 10 },
    { gpa: HEADER + 11, length: 5 },
    { gpa: DATA, length: 512, write: true },
    { gpa: STATUS, length: 1, write: true },
  ]);
  assert.equal(used.length, 513);
  assert.equal(machine.bytes[DATA], 5);
  await machine.backends.stop();
});

for (const [name, buffers] of [
  ['only a header', [{ gpa: HEADER, length: 16 }]],
  [
    'a short header',
    [
      { gpa: HEADER, length: 15 },
      { gpa: STATUS, length: 1, write: true },
    ],
  ],
  ['only writable buffers', [{ gpa: DATA, length: 512, write: true }]],
  ['an empty chain', [{ gpa: HEADER, length: 0 }]],
] as const) {
  test(`a request of ${name} is returned, and the device asks for a reset`, { timeout }, async () => {
    const { machine, driver } = setup();
    const used = await driver.request(0, buffers);
    assert.equal(used.length, 0);
    await driver.needsReset();
    driver.start(1);
    assert.equal(driver.status, 15);
    header(machine, 0, 3n);
    const again = await driver.request(0, [
      { gpa: HEADER, length: 16 },
      { gpa: DATA, length: 512, write: true },
      { gpa: STATUS, length: 1, write: true },
    ]);
    assert.equal(again.length, 513);
    await machine.backends.stop();
  });
}

test('a host error is an I/O error in the guest', { timeout }, async () => {
  const { machine, disk, request } = setup();
  disk.broken = true;
  assert.equal((await request(1, 0n, [{ gpa: DATA, length: 512 }])).status, 1);
  disk.broken = false;
  assert.equal((await request(1, 0n, [{ gpa: DATA, length: 512 }])).status, 0);
  await machine.backends.stop();
});

test('a request that names the same memory often moves in bounded pieces', { timeout }, async () => {
  const { machine, disk, request } = setup();
  const segments = new Array(100).fill({ gpa: DATA, length: 0x5000, write: true });
  assert.equal((await request(0, 0n, segments.slice(0, 90))).status, 0);
  assert.ok(disk.largest <= 0x100000);
  assert.ok(disk.calls.length >= 2);
  await machine.backends.stop();
});

test('a reset with requests in flight: nothing of the former life reaches memory', { timeout }, async () => {
  const { machine, driver, disk } = setup(false, 32);
  let open = (): void => {};
  disk.gate = new Promise((resolve) => {
    open = resolve;
  });
  for (let i = 0; i < 8; i++) {
    header(machine, 0, 1n, HEADER + 16 * i);
    driver.add(0, [
      { gpa: HEADER + 16 * i, length: 16 },
      { gpa: DATA + 512 * i, length: 512, write: true },
      { gpa: STATUS + i, length: 1, write: true },
    ]);
  }
  driver.notify(0);
  await until(() => disk.calls.length === 8);
  driver.write(0x70, 0);
  machine.bytes.fill(0x77, 0x3000, 0x5000);
  machine.bytes.fill(0x77, DATA, DATA + 8 * 512);
  const rings = machine.bytes.slice(0x10000, 0x14000);
  open();
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(machine.bytes.subarray(DATA, DATA + 8 * 512).every((byte) => byte === 0x77));
  assert.ok(machine.bytes.subarray(STATUS, STATUS + 8).every((byte) => byte === 0x77));
  assert.deepEqual(machine.bytes.slice(0x10000, 0x14000), rings);
  await machine.backends.stop();
});

test('pause waits for I/O in flight, and takes no more until resume', { timeout }, async () => {
  const { machine, driver, disk } = setup();
  let open = (): void => {};
  disk.gate = new Promise((resolve) => {
    open = resolve;
  });
  const buffers = [
    { gpa: HEADER, length: 16 },
    { gpa: DATA, length: 512, write: true },
    { gpa: STATUS, length: 1, write: true },
  ];
  header(machine, 0, 1n);
  driver.add(0, buffers);
  driver.notify(0);
  await until(() => disk.calls.length === 1);
  let paused = false;
  const pausing = machine.backends.pause().then(() => {
    paused = true;
  });
  driver.add(0, buffers);
  driver.notify(0);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(paused, false);
  open();
  await pausing;
  assert.equal(driver.usedIndex(0), 1);
  const state = machine.backends.save();
  assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
  machine.backends.resume();
  await until(() => driver.usedIndex(0) === 2);
  await machine.backends.stop();
});

test('more than 16 requests at once are all served', { timeout }, async () => {
  const { machine, driver } = setup();
  header(machine, 0, 1n);
  for (let i = 0; i < 80; i++) {
    driver.add(0, [
      { gpa: HEADER, length: 16 },
      { gpa: DATA, length: 512, write: true },
      { gpa: STATUS, length: 1, write: true },
    ]);
  }
  driver.notify(0);
  await until(() => driver.usedIndex(0) === 80);
  await machine.backends.stop();
});

test('descriptors changed after they were taken change nothing', { timeout }, async () => {
  const { machine, driver, disk } = setup();
  let open = (): void => {};
  disk.gate = new Promise((resolve) => {
    open = resolve;
  });
  header(machine, 0, 5n);
  driver.add(0, [
    { gpa: HEADER, length: 16 },
    { gpa: DATA, length: 512, write: true },
    { gpa: STATUS, length: 1, write: true },
  ]);
  driver.notify(0);
  await until(() => disk.calls.length === 1);
  driver.setDescriptor(0, 0, 0xffffffffffffffffn, 0xffffffff, 4, 0xffff);
  driver.setDescriptor(0, 1, 0x200000n, 0x100000, 3, 1);
  driver.setDescriptor(0, 2, 0xfee00000n, 0x1000, 2, 0);
  header(machine, 1, 9n);
  open();
  assert.deepEqual(await driver.takeUsed(0), { head: 0, length: 513 });
  assert.equal(machine.bytes[DATA], 5);
  assert.equal(machine.bytes[STATUS], 0);
  assert.equal(machine.bytes[0x200000], 0);
  assert.equal(driver.status, 15);
  await machine.backends.stop();
});

test('more requests in flight than descriptors ask for a reset', { timeout }, async () => {
  const { machine, driver, disk } = setup(false, 4);
  disk.gate = new Promise(() => {});
  header(machine, 0, 0n);
  const head = driver.add(0, [
    { gpa: HEADER, length: 16 },
    { gpa: DATA, length: 512, write: true },
    { gpa: STATUS, length: 1, write: true },
  ]);
  for (let i = 0; i < 3; i++) driver.makeAvailable(0, head);
  driver.notify(0);
  await until(() => disk.calls.length === 4);
  driver.makeAvailable(0, head);
  driver.notify(0);
  await driver.needsReset();
  assert.equal(disk.calls.length, 4);
});
