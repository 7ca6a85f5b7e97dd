/** CPU time of a process by thread, for finding out whose it is: V8's compilers have threads of their own. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';
import { parseStat } from './cpu-time.ts';

/** By thread: its number and name. */
export type ThreadTimes = ReadonlyMap<string, number>;

export function threadTimes(pid: number): ThreadTimes {
  const times = new Map<string, number>();
  const folder = `/proc/${pid}/task`;
  for (const thread of readdirSync(folder)) {
    try {
      const name = readFileSync(`${folder}/${thread}/comm`, 'utf8').trim();
      times.set(`${thread} ${name}`, parseStat(readFileSync(`${folder}/${thread}/stat`, 'utf8')));
    } catch {
      // It has ended since the folder was read.
    }
  }
  return times;
}

/** What each thread used between two looks, the busiest first. */
export function threadReport(before: ThreadTimes, after: ThreadTimes): string {
  return [...after]
    .map(([thread, ms]): [string, number] => [thread, ms - (before.get(thread) ?? 0)])
    .filter(([, ms]) => ms > 0)
    .toSorted(([, a], [, b]) => b - a)
    .map(([thread, ms]) => `${(ms / 1000).toFixed(2)} s ${thread.replace(/^\d+ /, '')}`)
    .join(', ');
}
