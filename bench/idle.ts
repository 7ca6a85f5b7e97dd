/** What an idle guest costs: CPU time of the whole process, and memory beyond what the guest has touched. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { layoutMemory, WASM_PAGE } from '../packages/vm/src/machine/layout.ts';
import type { BootFiles } from './guest.ts';
import { proportionalBytes, touchedGuestBytes } from './process-memory.ts';
import type { BenchItem } from './result.ts';
import { startMachine } from './vivarium.ts';

/** User space and the JavaScript engine's compilers come to rest. */
const SETTLE_MS = 10_000;

export async function measureIdle(files: BootFiles, seconds: number): Promise<BenchItem[]> {
  if (process.platform !== 'linux') return [];
  const guest = startMachine(files, { quiet: true });
  try {
    await guest.until('ready');
    await sleep(SETTLE_MS);
    const pid = guest.pid;
    console.error(`idle for ${seconds} s ...`);
    const before = cpuNs(pid);
    const began = performance.now();
    await sleep(seconds * 1000);
    const share = (cpuNs(pid) - before) / 1e6 / (performance.now() - began);
    const { wasmPages, ramOffset } = layoutMemory(files.memoryMib * 2 ** 20);
    const touched = touchedGuestBytes(pid, wasmPages * WASM_PAGE, ramOffset);
    const beyond = (proportionalBytes(pid) - touched) / 2 ** 20;
    console.error(`the guest has touched ${(touched / 2 ** 20).toFixed(0)} MiB`);
    return [
      item('CPU of an idle guest', share * 100, '% of a core'),
      item('memory beyond the guest', beyond, 'MiB'),
    ];
  } finally {
    await guest.stop();
  }
}

function item(name: string, value: number, unit: string): BenchItem {
  return { name, suite: 'boot', value, unit, against: null, ratio: null };
}

/** Time on a CPU of all threads (/proc/PID/task/TID/schedstat, first field). */
function cpuNs(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return sum;
}
