import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Driver, F_VERSION_1, TestMachine } from '../../../../../../test/devices/driver.ts';
import { Reg } from './regs.ts';

const timeout = 20_000;

function rng(): { machine: TestMachine; driver: Driver } {
  const machine = new TestMachine({ virtio: [{ type: 'rng' }, { type: 'rng' }] });
  const driver = new Driver(machine, 1);
  machine.backends.start();
  return { machine, driver };
}

test('identity registers', () => {
  const { driver } = rng();
  assert.equal(driver.read(Reg.MAGIC), 0x74726976);
  assert.equal(driver.read(Reg.VERSION), 2);
  assert.equal(driver.read(Reg.DEVICE_ID), 4);
  assert.equal(driver.features(), F_VERSION_1 | (1n << 29n));
  driver.write(Reg.DEVICE_FEATURES_SEL, 2);
  assert.equal(driver.read(Reg.DEVICE_FEATURES), 0);
  assert.equal(driver.read(Reg.SHM_LEN_LOW), 0xffffffff);
  assert.equal(driver.read(0x0c0), 0);
});

test('the status goes 0, 1, 3, 11, 15 and no other way', async () => {
  const { machine, driver } = rng();
  const attempt = (value: number): number => {
    driver.write(Reg.STATUS, value);
    return driver.status;
  };
  for (const value of [2, 3, 4, 8, 11, 15, 0xff, 0x40]) assert.equal(attempt(value), 0, `from 0 to ${value}`);
  assert.equal(attempt(1), 1);
  for (const value of [2, 5, 7, 9, 11, 15]) assert.equal(attempt(value), 1, `from 1 to ${value}`);
  assert.equal(attempt(3), 3);
  for (const value of [1, 2, 7, 11, 15]) assert.equal(attempt(value), 3, `from 3 to ${value}`);
  driver.write(Reg.DRIVER_FEATURES_SEL, 1);
  driver.write(Reg.DRIVER_FEATURES, 1);
  assert.equal(attempt(11), 11);
  for (const value of [1, 3, 8, 9]) assert.equal(attempt(value), 11, `from 11 to ${value}`);
  assert.equal(attempt(15), 15);
  assert.equal(attempt(11), 15);
  assert.equal(attempt(15 | 128), 143);
  assert.equal(attempt(0), 0);
  await machine.backends.stop();
});

test('features: unknown ones, none of version 1, and changes after FEATURES_OK are refused', () => {
  const { driver } = rng();
  driver.negotiate(F_VERSION_1 | 1n);
  assert.equal(driver.status, 3);
  driver.negotiate(F_VERSION_1 | (1n << 28n));
  assert.equal(driver.status, 3);
  driver.negotiate(F_VERSION_1 | (1n << 34n));
  assert.equal(driver.status, 3);
  driver.negotiate(0n);
  assert.equal(driver.status, 3);
  driver.negotiate();
  assert.equal(driver.status, 11);
  driver.write(Reg.DRIVER_FEATURES_SEL, 0);
  driver.write(Reg.DRIVER_FEATURES, 0xffffffff);
  driver.write(Reg.STATUS, 15);
  assert.equal(driver.status, 15);
});

test('a queue that does not exist has no size, and cannot be configured or notified', {
  timeout,
}, async () => {
  const { machine, driver } = rng();
  driver.negotiate();
  for (const index of [1, 63, 64, 0xffff, 0xffffffff]) {
    driver.write(Reg.QUEUE_SEL, index);
    assert.equal(driver.read(Reg.QUEUE_SIZE_MAX), 0);
    driver.write(Reg.QUEUE_SIZE, 16);
    driver.write(Reg.QUEUE_READY, 1);
    assert.equal(driver.read(Reg.QUEUE_READY), 0);
  }
  driver.setQueue(0, 16);
  driver.write(Reg.STATUS, 15);
  for (const index of [1, 32, 64, 0xffff, 0x10000, 0xffffffff]) driver.notify(index);
  assert.equal((await driver.request(0, [{ gpa: 0x3000, length: 4, write: true }])).length, 4);
  await machine.backends.stop();
});

test('queues are configured only between FEATURES_OK and DRIVER_OK', { timeout }, async () => {
  const { machine, driver } = rng();
  driver.write(Reg.STATUS, 1);
  driver.write(Reg.STATUS, 3);
  driver.write(Reg.QUEUE_SEL, 0);
  driver.write(Reg.QUEUE_READY, 1);
  assert.equal(driver.read(Reg.QUEUE_READY), 0);
  driver.start(1);
  driver.write(Reg.QUEUE_DESC_LOW, 0x300000);
  driver.write(Reg.QUEUE_READY, 0);
  assert.equal(driver.read(Reg.QUEUE_READY), 1);
  assert.equal((await driver.request(0, [{ gpa: 0x3000, length: 4, write: true }])).length, 4);
  await machine.backends.stop();
});

test('DRIVER_OK without queues: notifications are heard by nobody', { timeout }, async () => {
  const { machine, driver } = rng();
  driver.negotiate();
  driver.write(Reg.STATUS, 15);
  for (let i = 0; i < 100; i++) driver.notify(0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(driver.status, 15);
  driver.start(1);
  assert.equal((await driver.request(0, [{ gpa: 0x3000, length: 4, write: true }])).length, 4);
  await machine.backends.stop();
});

test('registers take only aligned 32-bit accesses; beyond the configuration everything reads ones', () => {
  const { machine, driver } = rng();
  const { bus } = machine;
  assert.equal(bus.readMmio(driver.base, 1), 0xff);
  assert.equal(bus.readMmio(driver.base, 2), 0xffff);
  assert.equal(bus.readMmio(driver.base + 1, 4), 0);
  bus.writeMmio(driver.base + Reg.STATUS, 1, 1);
  bus.writeMmio(driver.base + Reg.STATUS, 2, 1);
  bus.writeMmio(driver.base + Reg.STATUS + 2, 4, 1);
  assert.equal(driver.status, 0);
  for (const offset of [0x100, 0x1ff, 0x300, 0xffc]) assert.equal(driver.read(offset), 0xffffffff);
  assert.equal(bus.readMmio(driver.base + 0xffe, 4), 0xffffffff);
  assert.equal(bus.readMmio(driver.base - 2, 4), 0xffffffff);
  bus.writeMmio(driver.base + 0xffe, 4, 0xffffffff);
  bus.writeMmio(driver.base - 2, 4, 0xffffffff);
  assert.equal(driver.read(0x1000), 0xffffffff);
});

test('a driver that loads and unloads without end, and interrupts nobody takes', { timeout }, async () => {
  const { machine, driver } = rng();
  machine.route(driver.pin, 0x41);
  for (let i = 0; i < 200; i++) {
    driver.start(1);
    driver.add(0, [{ gpa: 0x3000, length: 4, write: true }]);
    driver.notify(0);
    if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    driver.write(Reg.STATUS, 0);
    assert.equal(driver.read(Reg.INTERRUPT_STATUS), 0);
  }
  driver.start(1);
  for (let i = 0; i < 40; i++) await driver.request(0, [{ gpa: 0x3000, length: 4, write: true }]);
  assert.equal(driver.read(Reg.INTERRUPT_STATUS), 1);
  driver.write(Reg.INTERRUPT_ACK, 0xffffffff);
  assert.equal(driver.read(Reg.INTERRUPT_STATUS), 0);
  await machine.backends.stop();
});

test('a level-triggered pin works too: high until acknowledged, sent again at the end of interrupt', {
  timeout,
}, async () => {
  const { machine, driver } = rng();
  machine.route(driver.pin, 0x8041);
  driver.start(1);
  await driver.request(0, [{ gpa: 0x3000, length: 4, write: true }]);
  assert.deepEqual(machine.vectors(), [0x41]);
  machine.bus.endOfInterrupt(0x41);
  assert.deepEqual(machine.vectors(), [0x41]);
  driver.write(Reg.INTERRUPT_ACK, 1);
  machine.bus.endOfInterrupt(0x41);
  assert.deepEqual(machine.vectors(), []);
  await machine.backends.stop();
});

test('a record of another device is refused', () => {
  const machine = new TestMachine({ virtio: [{ type: 'rng' }] });
  const other = new TestMachine({ virtio: [{ type: 'console', ports: [{ name: 'a' }] }] });
  assert.throws(() => other.backends.load(machine.backends.save()), { code: 'VM_STATE' });
});
