import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../base/ports.ts';
import { Cmos } from './device.ts';

function cmos(
  time: string,
  extraNs = 0n,
): { chip: Cmos; get: (index: number) => number; set: (i: number, v: number) => void } {
  const clock: Clock = { nowNs: () => 0, realtimeNs: () => BigInt(Date.parse(time)) * 1_000_000n + extraNs };
  const chip = new Cmos(new SharedArrayBuffer(0x1000), 0, clock);
  chip.reset();
  return {
    chip,
    get: (index) => {
      chip.write(0x70, index);
      return chip.read(0x71);
    },
    set: (index, value) => {
      chip.write(0x70, index);
      chip.write(0x71, value);
    },
  };
}

test("the date and time of the host's clock, in BCD", () => {
  const { get } = cmos('2026-11-23T17:08:59Z');
  assert.deepEqual([0, 2, 4, 6, 7, 8, 9, 0x32].map(get), [0x59, 0x08, 0x17, 0x02, 0x23, 0x11, 0x26, 0x20]);
  assert.equal(get(0x0d), 0x80);
  assert.equal(get(0x0c), 0);
});

test('binary and 12-hour modes', () => {
  const { get, set } = cmos('1999-12-31T00:30:45Z');
  set(0x0b, 0x06);
  assert.deepEqual([0, 2, 4, 7, 8, 9, 0x32].map(get), [45, 30, 0, 31, 12, 99, 19]);
  set(0x0b, 0x04);
  assert.equal(get(4), 12);
  const evening = cmos('2026-11-23T23:00:00Z');
  evening.set(0x0b, 0x00);
  assert.equal(evening.get(4), 0x91);
});

test('an update is announced 244 µs before the second changes', () => {
  assert.equal(cmos('2026-11-23T17:08:59Z', 999_755_000n).get(0x0a), 0x26);
  assert.equal(cmos('2026-11-23T17:08:59Z', 999_756_000n).get(0x0a), 0xa6);
});

test('memory keeps what is written; the index has 7 bits; status C and D cannot be written', () => {
  const { chip, get, set } = cmos('2026-11-23T17:08:59Z');
  for (let index = 0; index < 256; index++) set(index, 0xff);
  assert.equal(get(0x40), 0xff);
  assert.equal(get(0xc0), 0xff);
  assert.equal(chip.read(0x70), 0x40);
  assert.deepEqual([get(0x0c), get(0x0d)], [0, 0x80]);
  const state = chip.save();
  const other = cmos('2026-11-23T17:08:59Z');
  other.chip.load(JSON.parse(JSON.stringify(state)));
  assert.deepEqual(other.chip.save(), state);
});
