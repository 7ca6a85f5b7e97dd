/** How long `viv version` takes, from the start of its process to its end, on the Node of the PATH. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { type BenchItem, median } from './result.ts';

const root: string = dirname(import.meta.dirname);

export function measureLauncher(runs: number): BenchItem[] {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const began = performance.now();
    const run = spawnSync('node', [join(root, 'bin/viv.js'), 'version'], { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(`viv version failed: ${run.stderr}`);
    times.push(performance.now() - began);
  }
  return [
    { name: 'viv version', suite: 'boot', value: median(times), unit: 'ms', against: null, ratio: null },
  ];
}
