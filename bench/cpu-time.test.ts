import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuMs, parseStat } from './cpu-time.ts';
import { threadReport } from './threads.ts';

test('user and system time stand behind a name with any characters in it', () => {
  const stat = '12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 7 5 13 14 15 16 17';
  assert.equal(parseStat(stat), 120);
});

// Not a skip: other systems have no such numbers, and the benchmark leaves them out there.
if (process.platform === 'linux') {
  test('a process that computes gets older', () => {
    const before = cpuMs(process.pid);
    const end = process.cpuUsage().user + 60_000;
    while (process.cpuUsage().user < end);
    assert.ok(cpuMs(process.pid) - before >= 40);
  });

  test('a process that is not there has no time', () => {
    assert.ok(Number.isNaN(cpuMs(2 ** 30)));
  });
}

test('the report of threads names what each used since, the busiest first', () => {
  const before = new Map([
    ['1 node', 500],
    ['2 V8Worker', 100],
  ]);
  const after = new Map([
    ['1 node', 520],
    ['2 V8Worker', 1600],
    ['3 vcpu', 0],
  ]);
  assert.equal(threadReport(before, after), '1.50 s V8Worker, 0.02 s node');
});
