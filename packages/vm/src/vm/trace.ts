/**
 * Instruction traces: what a vCPU is about to execute, instruction by instruction or block by block. It steps the
 * engine through the contract's debug control, so a machine that is not traced pays nothing.
 */
import { translate } from '../debug/page-walk.ts';
import type { GuestMemory } from '../machine/memory.ts';
import type { SoftVcpu, VcpuExit } from '../machine/vcpu.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';

export interface TraceRequest {
  /** Steps at most. */
  readonly count: number;
  readonly granularity: 'instruction' | 'block';
}

/** The state before a step. */
export interface TraceEntry {
  readonly rip: bigint;
  /** As CODE_MODE of the engine: 0 = 16-bit, 1 = 32-bit, 2 = 64-bit. */
  readonly mode: 0 | 1 | 2;
  /** Up to 15 bytes of code; empty where RIP is not mapped. */
  readonly bytes: Uint8Array;
  readonly gpr: readonly bigint[];
  readonly rflags: bigint;
}

export interface Trace {
  readonly entries: readonly TraceEntry[];
  /** Why it ended before `count`. */
  readonly exit?: VcpuExit;
}

const EFER_LMA = 0x400n;
const LONG = 1 << 9;
const DEFAULT_BIG = 1 << 10;

function codeMode(cpu: VcpuRecord): 0 | 1 | 2 {
  if ((cpu.efer & EFER_LMA) !== 0n && (cpu.cs.attributes & LONG) !== 0) return 2;
  return (cpu.cs.attributes & DEFAULT_BIG) !== 0 ? 1 : 0;
}

/** Up to 15 bytes at linear `address`, over one page border. */
function codeAt(memory: GuestMemory, cpu: VcpuRecord, address: bigint): Uint8Array {
  const bytes = new Uint8Array(15);
  const first = Math.min(15, 4096 - Number(address & 0xfffn));
  let length = 0;
  for (const [at, count] of [
    [0, first],
    [first, 15 - first],
  ] as const) {
    if (count === 0) continue;
    const gpa = translate(memory, cpu, BigInt.asUintN(64, address + BigInt(at)));
    if (gpa === undefined || !memory.read(gpa, bytes.subarray(at, at + count))) break;
    length = at + count;
  }
  return bytes.subarray(0, length);
}

/** On the vCPU's thread: steps it and notes where it was. */
export function traceVcpu(vcpu: SoftVcpu, memory: GuestMemory, request: TraceRequest): Trace {
  const entries: TraceEntry[] = [];
  vcpu.setDebug({ singleStep: true, breakpoints: [], wholeBlocks: request.granularity === 'block' });
  try {
    while (entries.length < request.count) {
      const cpu = vcpu.save();
      const mode = codeMode(cpu);
      const address = mode === 2 ? cpu.rip : BigInt.asUintN(32, cpu.rip + cpu.cs.base);
      entries.push({
        rip: cpu.rip,
        mode,
        bytes: codeAt(memory, cpu, address),
        gpr: cpu.gpr,
        rflags: cpu.rflags,
      });
      const exit = vcpu.run();
      if (exit.kind !== 'debug') return { entries, exit };
    }
    return { entries };
  } finally {
    vcpu.setDebug({ singleStep: false, breakpoints: [] });
  }
}
