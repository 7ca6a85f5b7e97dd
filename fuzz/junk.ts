/**
 * Hostile guests for the vCPU: random bytes run as a kernel, in 64-bit mode on random-looking page tables or in
 * 32-bit protected mode without, their interrupt handlers in the same bytes. Whatever happens to such a guest, the
 * vCPU must come back with an exit and a state that can be saved: never throw, never hang.
 */
import { Worker } from 'node:worker_threads';
import { layoutMemory, PageFlag, VCPU_BASE } from '../packages/vm/src/machine/layout.ts';
import { Request, VcpuMailbox } from '../packages/vm/src/machine/mailbox.ts';
import type { SoftVcpu, TranslateOptions } from '../packages/vm/src/machine/vcpu.ts';
import { linux64Vcpu, pvhVcpu } from '../packages/vm/src/machine/vcpu-reset.ts';
import { parseVcpu, type VcpuRecord } from '../packages/vm/src/machine/vcpu-state.ts';
import { wasm } from '../packages/vm/src/wasm/api.ts';
import { portableModel } from '../packages/vm/src/x86/cpuid.ts';
import { softEngine } from '../test/oracle/parts.ts';
import { Random } from '../test/oracle/random.ts';

const RAM = 16 << 20;
const CODE = 0x100000;
const CODE_BYTES = 0x3000;
const GDT = { base: 0x500n, limit: 31, idtBase: 0x2000n };
/** Bytes that begin what a kernel does: prefixes, two-byte opcodes, jumps, system and string instructions, x87. */
const LIKELY = [
  0x0f, 0x48, 0x66, 0xf3, 0xf2, 0x0f, 0xff, 0x8b, 0x89, 0xc3, 0xe8, 0xeb, 0x74, 0xcf, 0x0f, 0x22, 0x20, 0x01,
  0xdd, 0xd9, 0xdf, 0xcd, 0xfa, 0xfb, 0xf4, 0xee, 0xec, 0xaa, 0xa4, 0x65, 0x67,
];
/** Another thread asks every vCPU to stop, in case it halts for good. */
const STOPPER = `
  const { workerData: words } = require('node:worker_threads');
  setInterval(() => {
    Atomics.or(words, 17, ${Request.STOP});
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
  }, 20);`;
/** The guest is stopped after this many looks at the clock. */
const LOOKS = 40;

export interface JunkResult {
  readonly guests: number;
  /** How they ended: exit kind → count. */
  readonly ends: Readonly<Record<string, number>>;
  readonly instructions: bigint;
  /** Guests whose last state was compared with the interpreter's, and those in which it is another. */
  readonly compared: number;
  readonly differences: readonly string[];
}

class JunkMachine {
  readonly vcpu: SoftVcpu;
  readonly #ram: DataView;
  readonly #mailbox: VcpuMailbox;
  readonly #stopper: Worker;
  #looks = 0;

  constructor(translate?: TranslateOptions) {
    const layout = layoutMemory(RAM);
    const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
    new Uint8Array(memory.buffer).fill(
      PageFlag.PRESENT,
      layout.pageFlags,
      layout.pageFlags + layout.ramBytes / 4096,
    );
    this.#ram = new DataView(memory.buffer, layout.ramOffset, RAM);
    this.#mailbox = new VcpuMailbox(memory.buffer, VCPU_BASE);
    this.#stopper = new Worker(STOPPER, { eval: true, workerData: this.#mailbox.words });
    this.vcpu = softEngine().createSoftVcpu({
      memory,
      module: softEngine().module,
      layout,
      index: 0,
      model: portableModel(1),
      random: { fill: (target) => target.fill(7) },
      clock: { nowNs: () => this.#look(), realtimeNs: () => 0n },
      bus: {
        readPort: () => 0xffffffff,
        writePort: () => {},
        readMmio: () => 0xffffffff,
        writeMmio: () => {},
        endOfInterrupt: () => {},
      },
      translate,
    });
  }

  async close(): Promise<void> {
    await this.#stopper.terminate();
  }

  #look(): number {
    this.#looks++;
    if (this.#looks > LOOKS) this.#mailbox.request(Request.STOP);
    return this.#looks * 30_000;
  }

  /** Fills the memory and gives the state to start from. */
  prepare(next: (below: number) => number): VcpuRecord {
    const ram = this.#ram;
    // what an earlier guest left would make a difference
    new Uint8Array(ram.buffer, ram.byteOffset, RAM).fill(0);
    ram.setBigUint64(0x508, 0x00af_9b00_0000_ffffn, true);
    ram.setBigUint64(0x510, 0x00cf_9300_0000_ffffn, true);
    ram.setBigUint64(0x518, 0x0000_8b00_0000_0067n, true);
    ram.setBigUint64(0x9000, 0xa007n, true);
    ram.setBigUint64(0xa000, 0xb007n, true);
    for (let i = 0; i < RAM >> 21; i++) ram.setBigUint64(0xb000 + i * 8, BigInt(i * 0x200000 + 0xe7), true);
    for (let i = 0; i < CODE_BYTES; i++) {
      ram.setUint8(CODE + i, next(3) === 0 ? (LIKELY[next(LIKELY.length)] as number) : next(256));
    }
    for (let vector = 0; vector < 256; vector++) {
      const handler = CODE + next(CODE_BYTES);
      ram.setUint32(0x2000 + vector * 16, 0x80000 | (handler & 0xffff), true);
      ram.setUint32(0x2004 + vector * 16, (handler & 0xffff0000) | 0x8e00, true);
    }
    const long = next(3) > 0;
    const record = long
      ? linux64Vcpu(BigInt(CODE), 0x7000n, 0x80000n, 0x9000n, GDT)
      : pvhVcpu(BigInt(CODE), 0x6000n, GDT);
    record.idtr = { base: 0x2000n, limit: 0xfff };
    record.gpr = record.gpr.map(() => BigInt(next(4) === 0 ? next(2 ** 32) : next(RAM)));
    this.#mailbox.takeRequests();
    this.#looks = 0;
    return record;
  }
}

/** State as text, without clocks. */
function describe(record: VcpuRecord): string {
  return JSON.stringify(record, (key, value: unknown) => {
    if (/tsc|clock|time/i.test(key)) return undefined;
    return typeof value === 'bigint' ? value.toString(16) : value;
  });
}

/**
 * @param translate with a translator; guests that shut down by themselves must then leave the state that they leave on
 * the interpreter
 * @throws what the vCPU throws: a defect of ours
 */
export async function fuzzJunk(
  guests: number,
  seed: number,
  translate?: TranslateOptions,
): Promise<JunkResult> {
  const machines = [new JunkMachine(translate), ...(translate === undefined ? [] : [new JunkMachine()])];
  const randoms = machines.map(() => new Random(seed));
  const ends: Record<string, number> = {};
  let compared = 0;
  const differences: string[] = [];
  try {
    for (let i = 0; i < guests; i++) {
      const states = machines.map((machine, n) => {
        machine.vcpu.load(machine.prepare((below) => (randoms[n] as Random).below(below)));
        const { kind } = machine.vcpu.run();
        const record = machine.vcpu.save();
        parseVcpu(record);
        if (n === 0) ends[kind] = (ends[kind] ?? 0) + 1;
        return kind === 'shutdown' ? describe(record) : undefined;
      });
      const [got, want] = states;
      if (got === undefined || want === undefined) continue;
      compared++;
      if (got !== want) differences.push(`guest ${i}\n  ${want}\n  ${got}`);
    }
  } finally {
    for (const machine of machines) await machine.close();
  }
  return { guests, ends, instructions: machines[0]?.vcpu.retired() ?? 0n, compared, differences };
}
