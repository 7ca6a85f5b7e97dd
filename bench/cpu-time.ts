/** CPU time of another process. Linux only. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** USER_HZ: the unit of times in /proc/PID/stat on every Linux architecture that Node runs on. */
const TICK_MS = 10;
const WINDOW_MS = 60;
/** A window in which the process used less than this share of a core: it waits for its guest's next command. */
const IDLE_SHARE = 0.34;
const LONGEST_MS = 10_000;

/** User and system time of all threads, those that have ended included, in steps of 10 ms (proc(5), stat). */
export function cpuMs(pid: number): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return Number.NaN;
  }
  return parseStat(stat);
}

/** The name of the process, in parentheses, may have any character in it. */
export function parseStat(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Waits until background threads, such as compilers, are done: what they did belongs to what went before. */
export async function settledCpuMs(pid: number): Promise<number> {
  let before = cpuMs(pid);
  for (let waited = 0; waited < LONGEST_MS; waited += WINDOW_MS) {
    await sleep(WINDOW_MS);
    const now = cpuMs(pid);
    if (Number.isNaN(now) || now - before <= WINDOW_MS * IDLE_SHARE) return now;
    before = now;
  }
  return before;
}
