/**
 * What entering a region costs: loads of the registers it uses, an exit that stores what it changed and RIP, a
 * look-up of RIP in the jump cache, an indirect call into another instance.
 */
import { Bytes } from '../../packages/vm/src/wasm/module.ts';
import { wasmOp } from '../../packages/vm/src/wasm/opcodes.ts';
import type { BenchItem } from '../result.ts';
import { CPU_AREA as CPU, section } from './hand-made.ts';

const memory = new WebAssembly.Memory({ initial: 256, maximum: 65536, shared: true });
const i32 = new Int32Array(memory.buffer);
const i64 = new BigInt64Array(memory.buffer);
const GPR = 0x1000;
const RIP = 0x1098;
const BUDGET = 0x1400;
const KEY = 0x1428;
const CACHE = 0x10000; // from the vCPU's area: {i64 RIP, i32 slot, i32 key}
/** Hot ones, run in turn. */
const REGIONS = 64;

class Code {
  readonly out: Bytes = new Bytes();
  op(...names: string[]): this {
    for (const n of names) this.out.byte(wasmOp(n).code);
    return this;
  }
  get(n: number): this {
    this.out.put(0x20, n);
    return this;
  }
  set(n: number): this {
    this.out.put(0x21, n);
    return this;
  }
  tee(n: number): this {
    this.out.put(0x22, n);
    return this;
  }
  i32(v: number): this {
    this.out.byte(0x41);
    this.out.s32(v);
    return this;
  }
  i64(v: number): this {
    this.out.byte(0x42);
    this.out.s64(BigInt(v));
    return this;
  }
  mem(name: string, offset: number): this {
    this.op(name);
    this.out.byte(0);
    this.out.u32(offset);
    return this;
  }
  raw(...b: number[]): this {
    this.out.put(...b);
    return this;
  }
}

function moduleOf(bodies: readonly Uint8Array[]): WebAssembly.Module {
  const out = new Bytes();
  out.put(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  section(out, 1, (s) => {
    s.u32(1);
    s.put(0x60, 1, 0x7f, 1, 0x7f);
  });
  section(out, 2, (s) => {
    s.u32(2);
    s.name('env');
    s.name('memory');
    s.put(2, 3);
    s.u32(1);
    s.u32(65536);
    s.name('env');
    s.name('table');
    s.put(1, 0x70, 0);
    s.u32(1);
  });
  section(out, 3, (s) => {
    s.u32(bodies.length);
    for (const _ of bodies) s.byte(0);
  });
  section(out, 7, (s) => {
    s.u32(bodies.length);
    bodies.forEach((_, i) => {
      s.name(`f${i}`);
      s.byte(0);
      s.u32(i);
    });
  });
  section(out, 10, (s) => {
    s.u32(bodies.length);
    for (const b of bodies) {
      s.u32(b.length);
      s.append(b);
    }
  });
  return new WebAssembly.Module(out.bytes().slice() as Uint8Array<ArrayBuffer>);
}

/**
 * Where a region goes on. return: the run loop looks RIP up. tail: the region does, and calls the next at its end.
 * direct: it knows the next one's slot.
 */
type Chain = 'return' | 'tail' | 'direct';

/** Looks RIP (local 18) up; slot in local 17, 0 on a miss. */
function lookup(c: Code): void {
  c.get(18)
    .get(18)
    .i64(12)
    .op('i64.shr_u', 'i64.xor', 'i32.wrap_i64')
    .i32(4095)
    .op('i32.and')
    .i32(4)
    .op('i32.shl');
  c.get(0).op('i32.add').tee(17).mem('i64.load', CACHE).get(18).op('i64.eq');
  c.get(17)
    .mem('i32.load', CACHE + 12)
    .get(0)
    .mem('i32.load', KEY)
    .op('i32.eq', 'i32.and');
}

/** `used` registers are loaded, `dirty` ones stored; `work` dependent-free additions in between. */
function region(i: number, used: number, dirty: number, chain: Chain): Uint8Array {
  const c = new Code();
  c.raw(3, 16, 0x7e, 1, 0x7f, 1, 0x7e); // locals 1–16 i64, 17 i32, 18 i64
  for (let r = 0; r < used; r++)
    c.get(0)
      .mem('i64.load', GPR + r * 8)
      .set(1 + r);
  for (let r = 0; r < used; r++)
    c.get(1 + r)
      .get(1 + ((r + 1) % used))
      .op('i64.add')
      .set(1 + r);
  const next = addressOf(i * 29 + 7);
  for (let r = 0; r < dirty; r++)
    c.get(0)
      .get(1 + r)
      .mem('i64.store', GPR + r * 8);
  c.get(0).i64(next).tee(18).mem('i64.store', RIP);
  // budget
  c.get(0).get(0).mem('i32.load', BUDGET).i32(10).op('i32.sub').tee(17).mem('i32.store', BUDGET);
  if (chain === 'tail') {
    // attention or no budget: back to the run loop; else the next region
    c.get(17).i32(0).op('i32.gt_s').get(0).mem('i32.load', 0).op('i32.eqz', 'i32.and').raw(0x04, 0x40);
    lookup(c);
    c.raw(0x04, 0x40);
    c.get(0)
      .get(17)
      .mem('i32.load', CACHE + 8)
      .raw(0x13, 0, 0);
    c.raw(0x0b, 0x0b);
  }
  if (chain === 'direct') {
    c.get(17).i32(0).op('i32.gt_s').raw(0x04, 0x40);
    c.get(0)
      .i32(1 + ((i * 29 + 7) % REGIONS))
      .raw(0x13, 0, 0);
    c.raw(0x0b);
  }
  c.i32(0).raw(0x0b);
  return c.out.bytes().slice();
}

function runLoop(): Uint8Array {
  const c = new Code();
  c.raw(3, 16, 0x7e, 1, 0x7f, 1, 0x7e);
  c.raw(0x03, 0x40); // loop
  c.get(0)
    .mem('i32.load', BUDGET)
    .i32(0)
    .op('i32.le_s')
    .get(0)
    .mem('i32.load', 0)
    .op('i32.or')
    .raw(0x04, 0x40)
    .i32(0)
    .raw(0x0f, 0x0b);
  c.get(0).mem('i64.load', RIP).set(18);
  lookup(c);
  c.raw(0x04, 0x40);
  c.get(0)
    .get(17)
    .mem('i32.load', CACHE + 8)
    .raw(0x11, 0, 0);
  c.op('i32.eqz').raw(0x0d, 1); // br_if loop
  c.raw(0x0b);
  c.raw(0x0b);
  c.i32(1).raw(0x0b);
  return c.out.bytes().slice();
}

type Shape = readonly [loaded: number, stored: number];
const SHAPES: readonly Shape[] = [
  [8, 4],
  [16, 8],
];
const PER_MODULE = [1, 16];
const CHAINS: readonly Chain[] = ['return', 'tail', 'direct'];
const ENTRIES = 100_000;
const WARM_UP_MS = 400;
const ROUNDS = 150;

const addressOf = (region: number): number => (region % REGIONS) * 0x140 + 0x400000;

/** ns per entry, the least of many runs. */
function time([used, dirty]: Shape, chain: Chain, perModule: number): number {
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 + REGIONS });
  const env = { memory, table };
  const instance = (bodies: readonly Uint8Array[]): WebAssembly.Exports =>
    new WebAssembly.Instance(moduleOf(bodies), { env }).exports;
  for (let first = 0; first < REGIONS; first += perModule) {
    const bodies = Array.from({ length: perModule }, (_, i) => region(first + i, used, dirty, chain));
    const exports = instance(bodies);
    for (let i = 0; i < perModule; i++) table.set(1 + first + i, exports[`f${i}`]);
  }
  for (let i = 0; i < REGIONS; i++) {
    const rip = addressOf(i);
    const at = CPU + CACHE + (((rip ^ (rip >> 12)) & 4095) << 4);
    i64[at >> 3] = BigInt(rip);
    i32[(at + 8) >> 2] = 1 + i;
    i32[(at + 12) >> 2] = i32[(CPU + KEY) >> 2] as number;
  }
  const run = instance([runLoop()])['f0'] as (cpu: number) => number;
  const once = (): number => {
    i64[(CPU + RIP) >> 3] = BigInt(addressOf(0));
    i32[(CPU + BUDGET) >> 2] = ENTRIES * 10;
    const began = performance.now();
    run(CPU);
    return ((performance.now() - began) * 1e6) / ENTRIES;
  };
  const end = performance.now() + WARM_UP_MS;
  while (performance.now() < end) once();
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) least = Math.min(least, once());
  return least;
}

export function measureEntries(): BenchItem[] {
  i32[(CPU + KEY) >> 2] = 7;
  return SHAPES.flatMap((shape) =>
    PER_MODULE.flatMap((perModule) =>
      CHAINS.map((chain) => ({
        name: `region entry, ${shape[0]} registers, ${perModule} to a module: ${chain}`,
        suite: 'replay',
        value: time(shape, chain, perModule),
        unit: 'ns',
        against: null,
        ratio: null,
      })),
    ),
  );
}
