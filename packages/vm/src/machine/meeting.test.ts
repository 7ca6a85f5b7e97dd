import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Doorbell } from './doorbell.ts';
import { VcpuMailbox } from './mailbox.ts';
import { MeetingAttendee, MeetingHost } from './meeting.ts';

const BELL = 4;
const MAILBOX = 0x1000;

function parties() {
  const buffer = new SharedArrayBuffer(0x3000);
  const doorbell = new Doorbell(buffer, 0x100);
  const devices = { inFlight: Promise.resolve(), busy: false, held: false };
  const host = new MeetingHost(buffer, 0, new VcpuMailbox(buffer, MAILBOX), {
    turn: () => turn(),
    idle: () => devices.inFlight,
    busy: () => devices.busy,
    held: () => devices.held,
  });
  const vcpu = new MeetingAttendee(buffer, 0, doorbell, BELL);
  /** The vCPU asks, the main thread hears. */
  const meet = (): void => {
    vcpu.ask(1);
    assert.equal(doorbell.take(), BELL | 1);
    host.arrived();
  };
  const turns = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await turn();
  };
  return { host, vcpu, devices, meet, turns };
}

test('before the vCPU runs work is done at once; then it waits for a meeting and calls for one', async () => {
  const { host, vcpu, meet, turns } = parties();
  const done: string[] = [];
  host.enter(() => void done.push('early'));
  host.begin();
  assert.equal(vcpu.takeCall(), 'settle');
  meet();
  assert.ok(vcpu.isDue);
  host.enter(() => void done.push('at a meeting'));
  await turns(4);
  assert.ok(!vcpu.isDue);
  vcpu.attend();
  host.enter(() => void done.push('late'));
  assert.deepEqual(done, ['early', 'at a meeting']);
  assert.equal(vcpu.takeCall(), 'input');
  assert.equal(vcpu.takeCall(), 'none');
  meet();
  assert.deepEqual(done, ['early', 'at a meeting', 'late']);
});

test('a meeting is answered when nothing is in flight and nothing is left to serve', async () => {
  const { vcpu, devices, meet, turns } = parties();
  const file = Promise.withResolvers<void>();
  devices.inFlight = file.promise;
  devices.busy = true;
  meet();
  await turns(5);
  assert.ok(vcpu.isDue);
  file.resolve();
  await turns(5);
  assert.ok(vcpu.isDue);
  devices.busy = false;
  await turns(4);
  assert.ok(!vcpu.isDue);
});

test('a reader that is slow is waited for, unless the machine is to stop', async () => {
  const { host, vcpu, devices, meet, turns } = parties();
  devices.held = true;
  meet();
  await turns(5);
  assert.ok(vcpu.isDue);
  devices.held = false;
  host.enter(() => undefined);
  await turns(4);
  assert.ok(!vcpu.isDue);
  devices.held = true;
  meet();
  await turns(5);
  assert.ok(vcpu.isDue);
  host.hurry();
  await turns(4);
  assert.ok(!vcpu.isDue);
});

test('what waits when the vCPU stops is done then', async () => {
  const { host, meet, turns } = parties();
  meet();
  await turns(4);
  let done = false;
  host.enter(() => {
    done = true;
  });
  assert.ok(!done);
  host.stopped();
  assert.ok(done);
});
