/** What a guest memory access costs in a region, by what stands where the TLB misses; and other choices of that size. */
import type { BenchItem } from '../result.ts';
import {
  BASE,
  BUDGET,
  CPU_AREA,
  GPR,
  moduleOf,
  RAM,
  RAM_BYTES,
  Region,
  TLB,
  type Variant,
} from './hand-made.ts';
import { type Loop, LOOPS } from './loops.ts';

const SUITE = 'replay';
const MEMORY_PAGES = 256;
const WARM_UP_MS = 60;
const RUN_MS = 15;
/** The least of several runs counts: what other programs do in between does not. */
const ROUNDS = 7;

const HINTED: Variant = { ...BASE, miss: 'hinted' };
const VARIANTS: Readonly<Record<string, Variant>> = {
  'no TLB': { ...BASE, miss: 'bare' },
  'miss leaves': BASE,
  'miss calls': { ...BASE, miss: 'call' },
  'miss calls, hinted': HINTED,
  'miss calls and looks again, hinted': { ...BASE, miss: 'retry' },
  'hinted, TLB in a local': { ...HINTED, tlb: 'local' },
  'hinted, TLB from the parameter': { ...HINTED, tlb: 'cpu' },
  'hinted, no poll': { ...HINTED, poll: 'none' },
  'hinted, budget in a local': { ...HINTED, poll: 'local' },
  'hinted, budget in memory': { ...HINTED, poll: 'memory' },
  'hinted, dead flags kept': { ...HINTED, flags: 'phi' },
  'hinted, 32-bit by masks': { ...HINTED, narrow: 'mask' },
  'hinted, 64-bit index': { ...HINTED, index: 'i64' },
  'hinted, aligned tags': { ...HINTED, compare: 'align' },
};

/** Memory with a vCPU's area, a TLB that has everything, and guest memory. */
export class Bench {
  readonly memory: WebAssembly.Memory = new WebAssembly.Memory({
    initial: MEMORY_PAGES,
    maximum: 65536,
    shared: true,
  });
  readonly #i64 = new BigInt64Array(this.memory.buffer);
  readonly #i32 = new Int32Array(this.memory.buffer);
  readonly env: WebAssembly.ModuleImports = { memory: this.memory, fill: identity() };

  constructor() {
    for (let page = RAM; page < RAM + RAM_BYTES; page += 4096) {
      const entry = TLB + ((page >> 7) & 0x1ffe0);
      this.#i64.fill(BigInt(page), entry >> 3, (entry >> 3) + 2);
      this.#i32[(entry + 16) >> 2] = page;
    }
    this.#i32[(CPU_AREA + 0x1404) >> 2] = TLB;
    // what `partition` compares
    for (let i = 0; i < 0x20000; i++)
      this.#i32[(RAM + 0x200000) / 4 + i] = Math.imul(i, 0x9e3779b1) ^ (i << 13);
  }

  /** Sets registers and an endless budget. */
  prepare(registers: readonly number[]): void {
    this.#i32[(CPU_AREA + BUDGET) >> 2] = 1 << 30;
    for (let i = 0; i < 16; i++) this.#i64[(CPU_AREA + GPR) / 8 + i] = BigInt(registers[i] ?? 0);
  }
}

export type Run = (cpu: number) => number;

/** env.fill as a function of another instance, as the interpreter's is. It is never called. */
function identity(): WebAssembly.ExportValue {
  const bytes = '0061736d 01000000 01080160037f7e7f017f 03020100 070501016600 00 0a07010500 2001a70b';
  const module = new WebAssembly.Module(Buffer.from(bytes.replaceAll(' ', ''), 'hex'));
  return new WebAssembly.Instance(module).exports['f'] as WebAssembly.ExportValue;
}

function build(bench: Bench, variant: Variant): Run[] {
  const regions = LOOPS.map((loop) => {
    const region = new Region(variant, 0, loop.used);
    loop.body(region);
    return region;
  });
  const module = new WebAssembly.Module(moduleOf(regions));
  const { exports } = new WebAssembly.Instance(module, { env: bench.env });
  return LOOPS.map((_, i) => exports[`f${i}`] as Run);
}

/** ns of one call, the least of those that fit. */
function time(bench: Bench, run: Run, loop: Loop, ms: number): number {
  let least = Infinity;
  const end = performance.now() + ms;
  for (let began = performance.now(); began < end; ) {
    for (let i = 0; i < 3; i++) {
      bench.prepare(loop.registers);
      const site = run(CPU_AREA);
      if (site !== 0) throw new Error(`${loop.name} left at ${site}`);
    }
    const now = performance.now();
    least = Math.min(least, now - began);
    began = now;
  }
  return (least * 1e6) / 3;
}

export async function measureMissPath(): Promise<BenchItem[]> {
  const bench = new Bench();
  const built = Object.entries(VARIANTS).map(([name, variant]) => ({ name, runs: build(bench, variant) }));
  for (const { runs } of built) runs.forEach((run, i) => time(bench, run, LOOPS[i] as Loop, WARM_UP_MS));
  await new Promise((done) => setTimeout(done, 500)); // V8's optimised code is ready
  const items: BenchItem[] = [];
  LOOPS.forEach((loop, i) => {
    const least = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name, runs } of built) {
        const ns = time(bench, runs[i] as Run, loop, RUN_MS);
        least.set(name, Math.min(least.get(name) ?? Infinity, ns));
      }
    }
    const base = least.get('miss leaves') ?? Number.NaN;
    for (const [name, ns] of least) {
      items.push({
        name: `${loop.name}: ${name}`,
        suite: SUITE,
        value: ns / loop.instructions,
        unit: 'ns/instruction',
        against: 'miss leaves',
        ratio: ns / base,
        apart: true,
      });
    }
  });
  return items;
}
