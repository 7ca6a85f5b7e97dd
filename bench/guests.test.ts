/** The order of work and what becomes of failures, with guests that are none. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { BootFiles, Guest, Measured } from './guest.ts';
import { type Boot, GuestBench } from './guests.ts';
import { type GuestItem, V86_ITEMS } from './items.ts';

const files: BootFiles = { kernel: 'vmlinux', initrd: 'initrd', memoryMib: 1 };
const items: readonly GuestItem[] = [
  { name: 'a', suite: 's', command: 'do a', before: 'make a', bar: 1 },
  { name: 'b', suite: 's', command: 'do b' },
];

let log: string[];
const said = console.error;
beforeEach(() => {
  log = [];
  console.error = () => {};
});
afterEach(() => {
  console.error = said;
});

/** A side whose commands take `ms` and print what `answer` says. */
function side(name: string, ms: number, answer: (command: string) => string = (command) => command): Boot {
  const run = async (command: string): Promise<Measured> => {
    log.push(`${name}: ${command}`);
    return { ms, cpuMs: ms, output: answer(command), instructions: undefined };
  };
  const guest: Guest = {
    pid: 1,
    init: { ms, cpuMs: 2 * ms },
    console: '',
    commandLine: ['/somewhere/program', name],
    run,
    stop: async () => void log.push(`${name}: stop`),
  };
  return { name, boot: async () => (log.push(`${name}: boot`), guest) };
}

const bench = (ours: Boot, other: Boot | undefined, runs: number): GuestBench =>
  new GuestBench({ runs, limitMs: 1000, ours, other });

test('both sides stay up in a run and take turns; the order changes from run to run', async () => {
  const tested = bench(side('x', 1000), side('y', 4000), 2);
  await tested.items(files, items, new Map(), 'prepare');
  const once = (first: string, second: string): string[] => [
    ...[first, second].flatMap((who) => [
      `${who}: boot`,
      `${who}: prepare`,
      `${who}: make a`,
      `${who}: do a`,
    ]),
    `${first}: do b`,
    `${second}: do b`,
  ];
  assert.deepEqual(log, [...once('x', 'y'), 'x: stop', 'y: stop', ...once('y', 'x'), 'x: stop', 'y: stop']);
  const [a, b] = tested.compared(items);
  assert.equal(a?.ratio, 0.25);
  assert.equal(a?.bar, 1);
  assert.equal(b?.value, 1);
  assert.equal(b?.other, 4);
  assert.deepEqual(tested.commandLines, ['program x', 'program y']);
});

test('boots are measured one side after the other', async () => {
  const tested = bench(side('x', 1000), side('y', 4000), 1);
  await tested.boots(files, false);
  assert.deepEqual(log, ['x: boot', 'x: stop', 'y: boot', 'y: stop']);
  const item = tested.bootItem('boot', { bar: 1, cpuBar: 1.5 });
  assert.equal(item.ratio, 0.25);
  assert.deepEqual(item.cpu, { value: 2, other: 8, ratio: 0.25, bar: 1.5 });
});

test('an item that prints something else on the other side has failed, and the next one gets a fresh guest', async () => {
  const tested = bench(
    side('x', 1),
    side('y', 1, (command) => (command === 'do a' ? 'wrong' : command)),
    1,
  );
  await tested.items(files, items, new Map(), 'true');
  const [a, b] = tested.compared(items);
  assert.equal(a?.ratio, null);
  assert.match(a?.failed ?? '', /^y: a printed on y "wrong", on x "do a"$/);
  assert.equal(b?.ratio, 1);
  assert.deepEqual(
    log.filter((line) => line.startsWith('y')),
    ['y: boot', 'y: true', 'y: make a', 'y: do a', 'y: stop', 'y: boot', 'y: true', 'y: do b', 'y: stop'],
  );
});

test('a side that does not boot fails its items and leaves the others', async () => {
  const broken: Boot = { name: 'y', boot: () => Promise.reject(new Error('no such machine')) };
  const tested = bench(side('x', 1000), broken, 1);
  await tested.items(files, items, new Map(), 'true');
  for (const item of tested.compared(items)) {
    assert.equal(item.value, 1);
    assert.equal(item.failed, 'y: no such machine');
  }
});

test('v86 gets no item that needs the 64-bit user land', () => {
  assert.ok(V86_ITEMS.length > 15);
  for (const { command, bar } of V86_ITEMS) {
    assert.doesNotMatch(command, /chroot/);
    assert.equal(bar, undefined);
  }
});
