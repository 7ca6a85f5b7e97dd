/** The clock port on Node. All threads of a machine share one origin, so their times compare. */
// the global of the same name is an accessor, looked up each time: guests read the clock in each system call
import { performance } from 'node:perf_hooks';
import type { Clock } from '../../base/ports.ts';

/** A moment of the host's monotonic clock, in nanoseconds: `process.hrtime.bigint()`. */
export type ClockOrigin = bigint;

export function clockOrigin(): ClockOrigin {
  return process.hrtime.bigint();
}

/** `performance.now()` counts the same clock from each thread's own start, and allocates nothing. */
export function createClock(origin: ClockOrigin): Clock {
  const offsetNs = Number(process.hrtime.bigint() - origin) - performance.now() * 1e6;
  return {
    nowNs: () => performance.now() * 1e6 + offsetNs,
    realtimeNs: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n,
  };
}
