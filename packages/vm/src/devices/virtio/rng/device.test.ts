import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Driver, TestMachine } from '../../../../../../test/devices/driver.ts';

const timeout = 20_000;

test('random bytes fill the buffer, and an interrupt says so', { timeout }, async () => {
  const machine = new TestMachine({ virtio: [{ type: 'rng' }] });
  const driver = new Driver(machine);
  machine.backends.start();
  machine.route(driver.pin, 0x41);
  driver.start(1);
  const head = driver.add(0, [
    { gpa: 0x3000, length: 20, write: true },
    { gpa: 0x5000, length: 12, write: true },
  ]);
  driver.notify(0);
  assert.deepEqual(await driver.takeUsed(0), { head, length: 32 });
  assert.deepEqual(Array.from(machine.bytes.subarray(0x3000, 0x3015)), [...new Array(20).fill(0x5a), 0]);
  assert.deepEqual(Array.from(machine.bytes.subarray(0x5000, 0x500d)), [...new Array(12).fill(0x5a), 0]);
  assert.deepEqual(machine.vectors(), [0x41]);
  assert.equal(driver.read(0x60), 1);
  driver.write(0x64, 1);
  assert.equal(driver.read(0x60), 0);
  await machine.backends.stop();
});

test('a giant request is cut at 64 KiB', { timeout }, async () => {
  const machine = new TestMachine({ virtio: [{ type: 'rng' }] });
  const driver = new Driver(machine);
  machine.backends.start();
  driver.start(1);
  const used = await driver.request(0, [{ gpa: 0x100000, length: 0x200000, write: true }]);
  assert.equal(used.length, 0x10000);
  assert.equal(machine.bytes[0x10ffff], 0x5a);
  assert.equal(machine.bytes[0x110000], 0);
  await machine.backends.stop();
});

test('buffers without room come back empty', { timeout }, async () => {
  const machine = new TestMachine({ virtio: [{ type: 'rng' }] });
  const driver = new Driver(machine);
  machine.backends.start();
  driver.start(1);
  assert.equal((await driver.request(0, [{ gpa: 0x3000, length: 8 }])).length, 0);
  assert.equal((await driver.request(0, [{ gpa: 0x3000, length: 0, write: true }])).length, 0);
  assert.equal(driver.status, 15);
  await machine.backends.stop();
});
