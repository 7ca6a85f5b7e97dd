/** Boots and workloads, ours and the other's in alternation. */
import { bootVivarium } from './vivarium.ts';
import { bootQemu } from './qemu.ts';
import type { BootFiles, Guest, Measured } from './guest.ts';
import { type BenchItem, median } from './result.ts';
import { WORKLOADS } from './workloads.ts';

export interface GuestBenchOptions {
  readonly suites: ReadonlySet<string>;
  readonly runs: number;
  readonly againstQemu: boolean;
}

interface Side {
  readonly name: string;
  boot(files: BootFiles): Promise<Guest>;
  readonly initMs: number[];
  readonly workloads: Map<string, Measured[]>;
}

export async function measureGuests(files: BootFiles, options: GuestBenchOptions): Promise<BenchItem[]> {
  const ours: Side = { name: 'vivarium', boot: bootVivarium, initMs: [], workloads: new Map() };
  const qemu: Side = { name: 'qemu', boot: bootQemu, initMs: [], workloads: new Map() };
  const sides = options.againstQemu ? [ours, qemu] : [ours];
  for (let run = 1; run <= options.runs; run++) {
    for (const side of sides) await measureOnce(side, files, options, run);
  }
  const other = options.againstQemu ? qemu : undefined;
  const items: BenchItem[] = [];
  if (options.suites.has('boot')) items.push(bootItem(ours, other));
  if (options.suites.has('engine')) items.push(...engineItems(ours, other));
  return items;
}

async function measureOnce(
  side: Side,
  files: BootFiles,
  { suites }: GuestBenchOptions,
  run: number,
): Promise<void> {
  const guest = await side.boot(files);
  try {
    side.initMs.push(guest.initMs);
    console.error(`run ${run}, ${side.name}: /init after ${(guest.initMs / 1000).toFixed(2)} s`);
    if (!suites.has('engine')) return;
    for (const { name, command } of WORKLOADS) {
      const measured = await guest.run(command);
      const list = side.workloads.get(name) ?? [];
      side.workloads.set(name, list);
      list.push(measured);
      const speed =
        measured.instructions === undefined
          ? ''
          : `, ${(measured.instructions / measured.ms / 1000).toFixed(1)} M instructions/s`;
      console.error(`run ${run}, ${side.name}: ${name} ${(measured.ms / 1000).toFixed(2)} s${speed}`);
    }
  } finally {
    await guest.stop();
  }
}

function bootItem(ours: Side, other: Side | undefined): BenchItem {
  const value = median(ours.initMs);
  return {
    name: 'time to /init',
    suite: 'boot',
    value: value / 1000,
    unit: 's',
    against: other?.name ?? null,
    ratio: other === undefined ? null : value / median(other.initMs),
  };
}

function engineItems(ours: Side, other: Side | undefined): BenchItem[] {
  return WORKLOADS.map(({ name }) => {
    const runs = ours.workloads.get(name) ?? [];
    const theirs = other?.workloads.get(name);
    return {
      name,
      suite: 'engine',
      value: median(runs.map(({ ms, instructions }) => ((instructions ?? Number.NaN) / ms) * 1000)),
      unit: 'guest instructions/s',
      against: other?.name ?? null,
      ratio:
        theirs === undefined ? null : median(runs.map((run) => run.ms)) / median(theirs.map((run) => run.ms)),
    };
  });
}
