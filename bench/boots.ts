/** Many machines one after the other in one process: what they leave behind. Linux only. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NODE_ENV, NODE_FLAGS } from '../packages/cli/bin/runtime.js';
import type { BootFiles } from './guest.ts';
import { type BenchItem, median } from './result.ts';

interface Boot {
  readonly boot: number;
  readonly ms: number;
  /** Proportional set size in bytes, with the guest up and after its end. */
  readonly running: number;
  readonly after: number;
  readonly threads: number;
  /** Open handles of the event loop. */
  readonly left: number;
}

/** Boots up to here fill caches; what comes later is compared with this one. */
const REFERENCE = 10;

export async function measureBoots(files: BootFiles, count: number): Promise<BenchItem[]> {
  if (process.platform !== 'linux') return [];
  if (count <= REFERENCE) throw new Error(`--boots ${count}: more than ${REFERENCE} are needed`);
  const script = join(import.meta.dirname, 'boots-process.mjs');
  const child = spawn(process.execPath, [...NODE_FLAGS, script, JSON.stringify(files), String(count)], {
    env: { ...NODE_ENV, ...process.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const boots: Boot[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const boot = JSON.parse(line) as Boot;
    boots.push(boot);
    if (boot.boot % 10 === 0)
      console.error(`boot ${boot.boot}: ${mib(boot.running)} MiB, then ${mib(boot.after)} MiB`);
  }
  const first = boots[REFERENCE - 1];
  const last = boots.at(-1);
  if (first === undefined || last?.boot !== count)
    throw new Error('the process ended before its last machine');
  const compared = (name: string, value: number, reference: number, unit: string): BenchItem => ({
    name: `${name} at boot ${count}`,
    suite: 'boots',
    value,
    unit,
    against: `boot ${REFERENCE}`,
    ratio: value / reference,
  });
  return [
    compared('memory with the guest up', last.running / 2 ** 20, first.running / 2 ** 20, 'MiB'),
    compared('memory after its end', last.after / 2 ** 20, first.after / 2 ** 20, 'MiB'),
    compared('threads', last.threads, first.threads, ''),
    compared('handles + 1', last.left + 1, first.left + 1, ''),
    {
      name: 'boot to ready and power-off',
      suite: 'boots',
      value: median(boots.map((boot) => boot.ms)) / 1000,
      unit: 's',
      against: null,
      ratio: null,
    },
  ];
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
