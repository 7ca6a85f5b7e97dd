/** What V8 charges for modules of regions before they run well: module, instance, Liftoff at the first calls. */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { type BenchItem, median } from '../result.ts';
import { BASE, CPU_AREA, moduleOf, Region, type Variant } from './hand-made.ts';
import { type Loop, LOOPS } from './loops.ts';
import { Bench, type Run } from './miss-path.ts';

const SUITE = 'replay';
const RUNS = 15;
const VARIANT: Variant = { ...BASE, miss: 'hinted', poll: 'local' };
const LARGE = LOOPS.at(-1) as Loop;
/** One iteration of each loop. */
const REGISTERS: readonly number[] = LARGE.registers.map((value, n) => (n === 1 ? 1 : value));

let salt = 0;
/** Regions of 40 blocks. No two modules are alike: V8 finds equal ones again. */
function regions(count: number): Uint8Array<ArrayBuffer> {
  const list = Array.from({ length: count }, () => {
    const region = new Region(VARIANT, 0, LARGE.used);
    region.imm64('xor', 12, ++salt);
    LARGE.body(region);
    LARGE.body(region);
    return region;
  });
  return moduleOf(list);
}

function callAll(bench: Bench, { exports }: WebAssembly.Instance): void {
  for (const run of Object.values(exports)) {
    bench.prepare(REGISTERS);
    (run as Run)(CPU_AREA);
  }
}

function microseconds(what: () => void): number {
  const began = performance.now();
  what();
  return (performance.now() - began) * 1000;
}

function measureModules(bench: Bench, count: number): BenchItem[] {
  const times: Record<string, number[]> = { module: [], instance: [], 'first calls': [] };
  for (let run = 0; run < RUNS; run++) {
    let module!: WebAssembly.Module;
    let instance!: WebAssembly.Instance;
    const bytes = regions(count);
    times['module']?.push(microseconds(() => (module = new WebAssembly.Module(bytes))));
    times['instance']?.push(
      microseconds(() => (instance = new WebAssembly.Instance(module, { env: bench.env }))),
    );
    times['first calls']?.push(microseconds(() => callAll(bench, instance)));
  }
  return Object.entries(times).map(([name, list]) =>
    item(`module of ${count} regions: ${name}`, median(list)),
  );
}

function item(name: string, value: number): BenchItem {
  return { name, suite: SUITE, value, unit: 'µs', against: null, ratio: null };
}

export async function measureV8Costs(): Promise<BenchItem[]> {
  const bench = new Bench();
  const items = [1, 5, 20].flatMap((count) => measureModules(bench, count));
  const worker = new Worker(new URL(import.meta.url));
  const send = async (module: WebAssembly.Module, call: boolean): Promise<void> => {
    worker.postMessage({ module, call });
    await once(worker, 'message');
  };
  await send(new WebAssembly.Module(regions(1)), true);
  for (const call of [false, true]) {
    const first: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const module = new WebAssembly.Module(regions(5));
      await send(module, call);
      const instance = new WebAssembly.Instance(module, { env: bench.env });
      first.push(microseconds(() => callAll(bench, instance)));
    }
    const before = call ? 'called in another thread before' : 'instantiated in another thread before';
    items.push(item(`first calls of 5 regions, ${before}`, median(first)));
  }
  await worker.terminate();
  return items;
}

if (!isMainThread) {
  const bench = new Bench();
  parentPort?.on('message', ({ module, call }: { module: WebAssembly.Module; call: boolean }) => {
    const instance = new WebAssembly.Instance(module, { env: bench.env });
    if (call) callAll(bench, instance);
    parentPort?.postMessage('done');
  });
}
