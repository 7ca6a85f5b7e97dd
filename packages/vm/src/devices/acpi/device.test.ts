import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestMachine } from '../../../../../test/devices/driver.ts';
import { Request } from '../../machine/mailbox.ts';

test('of all values only 1 resets, and only S5 with the enable bit switches off', () => {
  const { bus, mailboxes } = new TestMachine({ virtio: [] });
  for (let value = 0; value < 256; value++) {
    bus.writePort(0x600, 1, value);
    const off = (value & 0x20) !== 0 && ((value >> 2) & 7) === 5;
    assert.equal(
      mailboxes[0]?.takeRequests(),
      off ? Request.STOP : value === 1 ? Request.RESET : 0,
      `value ${value}`,
    );
  }
});

test('other registers take anything, at every width', () => {
  const { bus, mailboxes } = new TestMachine({ virtio: [] });
  for (const size of [1, 2, 4] as const) {
    for (let port = 0x601; port < 0x608; port++) {
      bus.writePort(port, size, 0xffffffff);
      bus.readPort(port, size);
    }
  }
  assert.equal(bus.readPort(0x600, 2), 0);
  assert.equal(mailboxes[0]?.takeRequests(), 0);
});

test('the power button interrupts, and its event is read once', () => {
  const machine = new TestMachine({ virtio: [] });
  machine.route(9, 0x39);
  machine.backends.pressPowerButton();
  assert.deepEqual(machine.vectors(), [0x39]);
  const state = machine.backends.save();
  assert.equal(machine.bus.readPort(0x604, 1), 8);
  assert.equal(machine.bus.readPort(0x604, 1), 0);
  machine.backends.pressPowerButton();
  assert.deepEqual(machine.vectors(), [0x39]);
  const other = new TestMachine({ virtio: [] });
  other.backends.load(JSON.parse(JSON.stringify(state)));
  assert.deepEqual(other.backends.save(), state);
  assert.deepEqual(other.vectors(), [0x39]);
  assert.equal(other.bus.readPort(0x604, 1), 8);
});
