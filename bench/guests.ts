/** Boots and items in booted guests, ours and the other's in alternation. */
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { basename, dirname } from 'node:path';
import { compareCosts, type Samples } from './compare.ts';
import type { BootFiles, Guest, Measured } from './guest.ts';
import { BOOT_NAME, type GuestItem } from './items.ts';
import { type BenchItem, median } from './result.ts';
import { WORKLOADS } from './workloads.ts';

export interface GuestBenchOptions {
  readonly runs: number;
  /** No boot and no item may take longer. */
  readonly limitMs: number;
  readonly ours: Boot;
  /** What ours is compared with. */
  readonly other: Boot | undefined;
}

export interface Boot {
  readonly name: string;
  boot(files: BootFiles): Promise<Guest>;
}

class Side {
  readonly name: string;
  readonly #boot: Boot;
  readonly samples = new Map<string, Samples>();
  readonly commandLines = new Set<string>();
  readonly outputs = new Map<string, string>();
  guest: Guest | undefined;

  constructor(boot: Boot) {
    this.name = boot.name;
    this.#boot = boot;
  }

  samplesOf(item: string): Samples {
    let samples = this.samples.get(item);
    if (samples === undefined) {
      samples = { costs: [], rates: [], failed: undefined };
      this.samples.set(item, samples);
    }
    return samples;
  }

  async start(files: BootFiles): Promise<Guest> {
    this.guest ??= await this.#boot.boot(files);
    this.commandLines.add(shownCommandLine(this.guest.commandLine));
    return this.guest;
  }

  async stop(): Promise<void> {
    const { guest } = this;
    this.guest = undefined;
    await guest?.stop();
  }
}

export class GuestBench {
  readonly #options: GuestBenchOptions;
  readonly #sides: readonly Side[];
  readonly #native = new Map<string, { readonly seconds: number; readonly output: string }>();

  constructor(options: GuestBenchOptions) {
    this.#options = options;
    const { ours, other } = options;
    this.#sides = (other === undefined ? [ours] : [ours, other]).map((boot) => new Side(boot));
  }

  get commandLines(): string[] {
    return this.#sides.flatMap((side) => [...side.commandLines]);
  }

  /** Boots that are measured; `workloads` also counts the guest instructions a second of ours. */
  async boots(files: BootFiles, workloads: boolean): Promise<void> {
    for (let run = 1; run <= this.#options.runs; run++) {
      for (const side of this.#order(run)) {
        await this.#attempt(side, BOOT_NAME, async () => {
          const { init, console: text } = await side.start(files);
          console.error(`${side.name}: ${text.split('\n').length} lines on the console`);
          side.samplesOf(BOOT_NAME).costs.push(init);
          progress(run, side, BOOT_NAME, { ...init, instructions: undefined });
        });
        if (workloads && side === this.#sides[0]) await this.#workloads(side, run);
        await side.stop();
      }
    }
  }

  async #workloads(side: Side, run: number): Promise<void> {
    for (const { name, command } of WORKLOADS) {
      await this.#attempt(side, name, async () => {
        const measured = await side.guest?.run(`{ ${command}; } >/dev/null`, this.#options.limitMs);
        if (measured === undefined) return;
        side.samplesOf(name).rates.push(rate(measured));
        progress(run, side, name, measured);
      });
    }
  }

  /**
   * In each run both sides boot once and then do item after item in turn, so that a slow minute of the host slows
   * both. @param programs executables of the host, for the expected output @param prepare a line for the guest's
   * shell, after its boot
   */
  async items(
    files: BootFiles,
    items: readonly GuestItem[],
    programs: ReadonlyMap<string, string>,
    prepare: string,
  ): Promise<void> {
    for (const item of items) this.#runNative(item, programs);
    for (let run = 1; run <= this.#options.runs; run++) {
      for (const item of items) {
        for (const side of this.#order(run)) {
          await this.#attempt(side, item.name, () => this.#item(side, files, item, prepare, run));
        }
      }
      for (const side of this.#sides) await side.stop();
    }
  }

  async #item(side: Side, files: BootFiles, item: GuestItem, prepare: string, run: number): Promise<void> {
    const { limitMs } = this.#options;
    const fresh = side.guest === undefined;
    const guest = await side.start(files);
    if (fresh) await guest.run(prepare, limitMs);
    if (item.before !== undefined) await guest.run(item.before, limitMs);
    const measured = await guest.run(item.command, limitMs);
    this.#checkOutput(side, item, measured.output);
    const samples = side.samplesOf(item.name);
    samples.costs.push(measured);
    samples.rates.push(rate(measured));
    progress(run, side, item.name, measured);
  }

  #checkOutput(side: Side, { name }: GuestItem, output: string): void {
    if (output === '') throw new Error(`${name} printed nothing`);
    side.outputs.set(name, output);
    const others = this.#sides.map((other): [string, string | undefined] => [
      other.name,
      other.outputs.get(name),
    ]);
    for (const [who, expected] of [...others, ['the host', this.#native.get(name)?.output] as const]) {
      if (expected !== undefined && expected !== output)
        throw new Error(
          `${name} printed on ${side.name} ${JSON.stringify(output)}, on ${who} ${JSON.stringify(expected)}`,
        );
    }
  }

  #runNative({ name, program }: GuestItem, programs: ReadonlyMap<string, string>): void {
    const file = programs.get(program?.[0] ?? '');
    if (file === undefined) return;
    const began = performance.now();
    const { stdout, status } = spawnSync(file, program?.slice(1) ?? [], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name} ended on the host with ${status}`);
    this.#native.set(name, { seconds: (performance.now() - began) / 1000, output: stdout });
  }

  /** A failure ends the item and the guest, not the benchmark. */
  async #attempt(side: Side, item: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      console.error(`FAILED on ${side.name}: ${item}: ${message}`);
      side.samplesOf(item).failed ??= `${side.name}: ${message}`;
      await side.stop();
    }
  }

  #order(run: number): Side[] {
    return run % 2 === 1 ? [...this.#sides] : this.#sides.toReversed();
  }

  bootItem(suite: string, bars: { bar?: number; cpuBar?: number }): BenchItem {
    return this.#compare({ name: BOOT_NAME, suite, ...bars });
  }

  workloadItems(): BenchItem[] {
    return WORKLOADS.map(({ name }) => ({
      name,
      suite: 'boot',
      value: median(this.#sides[0]?.samplesOf(name).rates ?? []),
      unit: 'guest instructions/s',
      against: null,
      ratio: null,
    }));
  }

  compared(items: readonly GuestItem[]): BenchItem[] {
    return items.map((item) => {
      const native = this.#native.get(item.name)?.seconds;
      return { ...this.#compare(item), ...(native === undefined ? {} : { native }) };
    });
  }

  #compare(item: Parameters<typeof compareCosts>[0]): BenchItem {
    const [ours, other] = this.#sides;
    return compareCosts(
      item,
      ours?.samples.get(item.name),
      other && [other.name, other.samples.get(item.name)],
    );
  }
}

/** Without the folders of this host, which differ from run to run. */
function shownCommandLine([command = '', ...args]: readonly string[]): string {
  const folders = new RegExp(`${dirname(import.meta.dirname)}/|${tmpdir()}/viv-[a-z]+-[A-Za-z0-9]+/`, 'g');
  return [basename(command), ...args].join(' ').replace(folders, '');
}

function rate({ ms, instructions }: Measured): number {
  return ((instructions ?? Number.NaN) / ms) * 1000;
}

function progress(run: number, side: Side, item: string, measured: Omit<Measured, 'output'>): void {
  const { ms, cpuMs, instructions } = measured;
  const speed =
    instructions === undefined
      ? ''
      : `, ${(instructions / 1e6).toFixed(0)} M instructions, ${(instructions / ms / 1000).toFixed(1)} M/s`;
  console.error(
    `run ${run}, ${side.name}: ${item} ${(ms / 1000).toFixed(2)} s, CPU ${(cpuMs / 1000).toFixed(2)} s${speed}`,
  );
}
