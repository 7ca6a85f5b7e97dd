import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CountedClock, DETERMINISTIC_DEFAULTS, eventLine, seededRandomness } from './deterministic.ts';

test('time is what instructions take and what is skipped; a deadline is met exactly', () => {
  const clock = new CountedClock({ ...DETERMINISTIC_DEFAULTS, nsPerInstruction: 20, startTimeMs: 5000 });
  let count = 0;
  clock.count = () => count;
  assert.equal(clock.nowNs(), 0);
  assert.equal(clock.realtimeNs(), 5_000_000_000n);
  assert.equal(clock.instructionsUntil(101), 6);
  count = 6;
  assert.equal(clock.nowNs(), 120);
  clock.skipTo(1000.25);
  assert.equal(clock.nowNs(), 1001);
  assert.equal(clock.realtimeNs(), 5_000_001_001n);
  clock.skipTo(500);
  assert.equal(clock.nowNs(), 1001);
  assert.equal(clock.instructionsUntil(Infinity), Infinity);
});

test('a seed gives the same bytes again, another seed others', () => {
  const bytes = (seed: number, pieces: readonly number[]): string =>
    pieces
      .map((length) => new Uint8Array(length))
      .reduce(
        (random, piece) => {
          random.from.fill(piece);
          return { from: random.from, text: random.text + piece.toHex() };
        },
        { from: seededRandomness(seed), text: '' },
      ).text;
  assert.equal(bytes(7, [16, 16]), bytes(7, [1, 31]));
  assert.notEqual(bytes(7, [32]), bytes(8, [32]));
  assert.equal(new Set(bytes(7, [4096]).match(/../g)).size, 256);
});

test('an event is a line', () => {
  assert.equal(eventLine({ count: 12, kind: 'interrupt', vector: 0xec }), '12 interrupt 0xec');
  assert.equal(eventLine({ count: 13, kind: 'input' }), '13 input');
});
