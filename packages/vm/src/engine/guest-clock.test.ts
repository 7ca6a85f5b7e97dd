import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestClock } from './guest-clock.ts';

test('the clock stands while stopped and loses nothing else', () => {
  let ns = 100;
  const clock = new GuestClock({ nowNs: () => ns, realtimeNs: () => 7n });
  ns = 500;
  assert.equal(clock.nowNs(), 100);
  clock.go();
  ns = 550;
  assert.equal(clock.nowNs(), 150);
  clock.go();
  clock.stop();
  ns = 900;
  clock.stop();
  assert.equal(clock.nowNs(), 150);
  clock.go();
  ns = 901;
  assert.equal(clock.nowNs(), 151);
  assert.equal(clock.realtimeNs(), 7n);
});
