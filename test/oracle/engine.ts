/**
 * Runs test cases on the soft engine, the way `native.ts` runs them on the host's CPU: at CPL 3, at the same
 * addresses, until the first exception. A monitor of some eighty instructions at CPL 0 loads the registers of a
 * case from guest memory and goes there with IRETQ; every exception comes back to it, is stored, and stops the
 * vCPU through port 0xe0. Between two runs the case's code and memory are written as a device would.
 *
 *   gpa       linear: HIGH + gpa, supervisor
 *   0x1000    GDT (Linux's selectors), 0x1100 TSS
 *   0x2000    IDT
 *   0x3000    block: what goes in, what came out, GO
 *   0x4000    exception stubs, 16 B each; monitor at 0x5800
 *   0x8000    ring-0 stack (top at 0x9000)
 *   0xa000    page tables
 *   0x100000  the case's windows, at their own linear addresses; from 0x140000 more pages for code
 */
import type { IoBus } from '../../packages/vm/src/machine/bus.ts';
import { layoutMemory, PageFlag, VCPU_BASE } from '../../packages/vm/src/machine/layout.ts';
import { Request, VcpuMailbox } from '../../packages/vm/src/machine/mailbox.ts';
import type {
  CpuModel,
  SoftVcpu,
  SoftVcpuOptions,
  TranslateOptions,
  TranslationStats,
} from '../../packages/vm/src/machine/vcpu.ts';
import { resetVcpu } from '../../packages/vm/src/machine/vcpu-reset.ts';
import type { SegmentRecord, VcpuRecord } from '../../packages/vm/src/machine/vcpu-state.ts';
import {
  basePattern,
  CODE_BASE,
  CODE_SIZE,
  CONST_BASE,
  DATA_BASE,
  DATA_SIZE,
  type DirtyLine,
  initialFx,
  type Outcome,
  STACK_BASE,
  STACK_SIZE,
  type TestCase,
  USER_CS32,
  USER_CS64,
  USER_DS,
} from './case.ts';

const GDT = 0x1000;
const TSS = 0x1100;
const IDT = 0x2000;
const STUBS = 0x4000;
const MONITOR = 0x5800;
const STACK = 0x9000;
const PML4 = 0xa000;
const STOP_PORT = 0xe0;
/** Linear address of guest-physical 0, in a corner that no case means to reach. */
const HIGH = 0x3fe00000;

/** Offsets in the block at 0x3000. */
const BLOCK = 0x3000;
const GPR_IN = BLOCK;
const FS_IN = BLOCK + 0x80;
const GS_IN = BLOCK + 0x88;
const FRAME_IN = BLOCK + 0x90; // rip cs rflags rsp ss
const GO = BLOCK + 0xc0;
const FX_IN = BLOCK + 0x200;
const GPR_OUT = BLOCK + 0x400;
const FS_OUT = BLOCK + 0x480;
const GS_OUT = BLOCK + 0x488;
const CR2_OUT = BLOCK + 0x490;
const FX_OUT = BLOCK + 0x600;

interface Window {
  readonly base: number;
  readonly size: number;
  gpa: number;
  readonly entry: bigint;
}
const NX = 1n << 63n;
const WINDOWS: readonly Window[] = [
  { base: CODE_BASE, size: CODE_SIZE, gpa: 0x100000, entry: 7n },
  { base: DATA_BASE, size: DATA_SIZE, gpa: 0x110000, entry: NX | 7n },
  { base: STACK_BASE, size: STACK_SIZE, gpa: 0x120000, entry: NX | 7n },
];
const CONST_GPA = 0x118000;
/** Under a translator each run has the case's code in other pages: what is rewritten often is not translated any more. */
const CODE_PAGES = 0x140000;

const u32 = (n: number): number[] => [n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, (n >> 24) & 0xff];
/** REX.W 8B or 89 with an absolute address. */
const moveAbsolute = (opcode: number, register: number, address: number): number[] => [
  register >= 8 ? 0x4c : 0x48,
  opcode,
  ((register & 7) << 3) | 4,
  0x25,
  ...u32(HIGH + address),
];

function monitorCode(): { code: number[]; entry: number } {
  const code: number[] = [];
  for (let i = 0; i < 16; i++) if (i !== 4) code.push(...moveAbsolute(0x89, i, GPR_OUT + i * 8));
  code.push(0xf3, 0x48, 0x0f, 0xae, 0xc0, ...moveAbsolute(0x89, 0, FS_OUT)); // rdfsbase rax
  code.push(0xf3, 0x48, 0x0f, 0xae, 0xc8, ...moveAbsolute(0x89, 0, GS_OUT)); // rdgsbase rax
  code.push(0x0f, 0x20, 0xd0, ...moveAbsolute(0x89, 0, CR2_OUT)); // mov rax, cr2
  code.push(0x48, 0x0f, 0xae, 0x04, 0x25, ...u32(HIGH + FX_OUT)); // fxsave64
  code.push(0xe6, STOP_PORT); // out
  const entry = code.length;
  code.push(0x83, 0x3c, 0x25, ...u32(HIGH + GO), 0x00, 0x74, 0xf6); // wait: cmp dword [GO], 0; je wait
  code.push(0xc7, 0x04, 0x25, ...u32(HIGH + GO), ...u32(0)); // mov dword [GO], 0
  code.push(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8); // mov rax, cr3; mov cr3, rax
  code.push(0xb8, ...u32(USER_DS), 0x8e, 0xd8, 0x8e, 0xc0); // mov eax, USER_DS; mov ds, eax; mov es, eax
  code.push(0x31, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8); // xor eax, eax; mov fs, eax; mov gs, eax
  code.push(...moveAbsolute(0x8b, 0, FS_IN), 0xf3, 0x48, 0x0f, 0xae, 0xd0); // wrfsbase rax
  code.push(...moveAbsolute(0x8b, 0, GS_IN), 0xf3, 0x48, 0x0f, 0xae, 0xd8); // wrgsbase rax
  code.push(0x48, 0x0f, 0xae, 0x0c, 0x25, ...u32(HIGH + FX_IN)); // fxrstor64
  code.push(0x48, 0xc7, 0xc4, ...u32(HIGH + FRAME_IN)); // mov rsp, FRAME_IN
  for (let i = 0; i < 16; i++) if (i !== 4) code.push(...moveAbsolute(0x8b, i, GPR_IN + i * 8));
  code.push(0x48, 0xcf); // iretq
  return { code, entry };
}

function hasErrorCode(vector: number): boolean {
  return vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;
}

export interface EngineParts {
  readonly createSoftVcpu: (options: SoftVcpuOptions) => SoftVcpu;
  /** The compiled interpreter. */
  readonly module: object;
  readonly model: CpuModel;
  /** What else to give it: tiers. */
  readonly options: { readonly translate?: TranslateOptions };
}

const RAM = 4 << 20;

/** Not wall time: a busy host makes no difference. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export class EngineRunner {
  readonly #vcpu: SoftVcpu;
  readonly #mailbox: VcpuMailbox;
  readonly #ram: Uint8Array;
  readonly #view: DataView;
  readonly #flags: Uint8Array;
  readonly #rest: Map<number, Uint8Array> = new Map();
  readonly #windows: readonly Window[] = WINDOWS.map((w) => ({ ...w }));
  readonly #moving: boolean;
  readonly #maxMs: number;
  /** Guest-physical address of the page table of the code. */
  #codeTable = 0;
  #deadline = Infinity;
  #timedOut = false;

  /** @param maxMs CPU time after which a case does not end */
  constructor(parts: EngineParts, maxMs = 1500) {
    this.#maxMs = maxMs;
    this.#moving = parts.options.translate !== undefined;
    const layout = layoutMemory(RAM, 1);
    const memory = new WebAssembly.Memory({
      initial: layout.wasmPages,
      maximum: layout.wasmPages,
      shared: true,
    });
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.#mailbox = new VcpuMailbox(buffer, VCPU_BASE);
    this.#ram = new Uint8Array(buffer, layout.ramOffset, RAM);
    this.#view = new DataView(buffer, layout.ramOffset, RAM);
    this.#flags = new Uint8Array(buffer, layout.pageFlags, RAM / 4096);
    this.#flags.fill(PageFlag.PRESENT);
    const stop = (): void => this.#mailbox.request(Request.STOP);
    const bus: IoBus = {
      readPort: () => 0xffffffff,
      writePort: (port) => {
        if (port === STOP_PORT) stop();
      },
      readMmio: () => 0xffffffff,
      writeMmio: () => {},
      endOfInterrupt: () => {},
    };
    const clock = {
      nowNs: (): number => {
        if (cpuMs() > this.#deadline) {
          this.#deadline = Infinity;
          this.#timedOut = true;
          stop();
        }
        return performance.now() * 1e6;
      },
      realtimeNs: (): bigint => BigInt(Date.now()) * 1000000n,
    };
    this.#vcpu = parts.createSoftVcpu({
      memory: memory as never,
      module: parts.module,
      layout,
      index: 0,
      bus,
      clock,
      random: { fill: (target) => void target.fill(4) },
      model: parts.model,
      ...parts.options,
    });
    this.#writeTables();
    this.#vcpu.load(this.#start());
  }

  #writeTables(): void {
    const v = this.#view;
    const q = (at: number, value: bigint): void => v.setBigUint64(at, BigInt.asUintN(64, value), true);
    const gdt = [
      0n,
      0x00cf9b000000ffffn,
      0x00af9b000000ffffn,
      0x00cf93000000ffffn,
      0x00cffb000000ffffn,
      0x00cff3000000ffffn,
      0x00affb000000ffffn,
      0n,
      (BigInt((HIGH + TSS) & 0xffffff) << 16n) |
        (BigInt((HIGH + TSS) >>> 24) << 56n) |
        (0x8bn << 40n) |
        0x67n,
      0n,
    ];
    gdt.forEach((entry, i) => q(GDT + i * 8, entry));
    q(TSS + 4, BigInt(HIGH + STACK));
    v.setUint16(TSS + 0x66, 0x68, true);
    const { code, entry } = monitorCode();
    this.#ram.set(code, MONITOR);
    this.#entry = BigInt(HIGH + MONITOR + entry);
    for (let vector = 0; vector < 256; vector++) {
      const at = STUBS + vector * 16;
      const open = vector === 3 || vector === 4 || vector === 0x80;
      q(
        IDT + vector * 16,
        BigInt(at & 0xffff) |
          (0x10n << 16n) |
          ((open ? 0xeen : 0x8en) << 40n) |
          (BigInt((HIGH + at) >>> 16) << 48n),
      );
      q(IDT + vector * 16 + 8, 0n);
      const stub = hasErrorCode(vector) ? [] : [0x6a, 0x00];
      stub.push(0x68, ...u32(vector));
      const next = at + stub.length + 5;
      this.#ram.set([...stub, 0xe9, ...u32(MONITOR - next)], at);
    }
    // PML4[0] → PDPT[0] → PD: 0 = low supervisor table, others = windows
    const pdpt = PML4 + 0x1000;
    const pd = PML4 + 0x2000;
    let table = PML4 + 0x3000;
    q(PML4, BigInt(pdpt | 7));
    q(pdpt, BigInt(pd | 7));
    q(pd + (HIGH >>> 21) * 8, BigInt(table | 3));
    for (let page = 1; page < 512; page++) q(table + page * 8, BigInt((page << 12) | 3));
    for (const w of [...WINDOWS, { base: CONST_BASE, size: 0x1000, gpa: CONST_GPA, entry: NX | 5n }]) {
      const slot = pd + (w.base >>> 21) * 8;
      let at = Number(v.getBigUint64(slot, true)) & ~0xfff;
      if (at === 0) {
        table += 0x1000;
        at = table;
        q(slot, BigInt(at | 7));
      }
      if (w.base === CODE_BASE) this.#codeTable = at;
      for (let offset = 0; offset < w.size; offset += 0x1000) {
        q(at + (((w.base + offset) >>> 12) & 511) * 8, BigInt(w.gpa + offset) | w.entry);
      }
    }
    const pattern = basePattern();
    this.#ram.fill(0xcc, 0x100000, 0x100000 + CODE_SIZE);
    this.#ram.fill(0xcc, CODE_PAGES, RAM);
    this.#ram.set(pattern.subarray(0, DATA_SIZE), 0x110000);
    this.#ram.set(pattern.subarray(DATA_SIZE), CONST_GPA);
    for (const w of WINDOWS) this.#rest.set(w.base, this.#ram.slice(w.gpa, w.gpa + w.size));
  }
  stats(): TranslationStats | undefined {
    return this.#vcpu.translationStats();
  }
  /** Instructions so far, those of the monitor included. */
  retired(): bigint {
    return this.#vcpu.retired();
  }
  #entry = 0n;

  #start(): VcpuRecord {
    const segment = (selector: number, attributes: number, base = 0n, limit = 0xffffffff): SegmentRecord => ({
      selector,
      base,
      limit,
      attributes,
    });
    const none = segment(0, 0, 0n, 0);
    return {
      ...resetVcpu(0),
      rip: this.#entry,
      rflags: 2n,
      cs: segment(0x10, 0xa9b),
      ss: segment(0x18, 0xc93),
      ds: none,
      es: none,
      fs: none,
      gs: none,
      tr: segment(0x40, 0x08b, BigInt(HIGH + TSS), 0x67),
      ldtr: none,
      gdtr: { base: BigInt(HIGH + GDT), limit: 0x7f },
      idtr: { base: BigInt(HIGH + IDT), limit: 0xfff },
      cr0: 0x80050033n,
      cr3: BigInt(PML4),
      cr4: 0x106a8n | 0x10000n, // DE PAE PGE OSFXSR OSXMMEXCPT FSGSBASE
      efer: 0xd01n,
    };
  }

  #moveCode(): void {
    const code = this.#windows[0] as Window;
    code.gpa = code.gpa < CODE_PAGES || code.gpa + 2 * CODE_SIZE > RAM ? CODE_PAGES : code.gpa + CODE_SIZE;
    for (let offset = 0; offset < CODE_SIZE; offset += 4096) {
      const slot = this.#codeTable + (((CODE_BASE + offset) >>> 12) & 511) * 8;
      this.#view.setBigUint64(slot, BigInt(code.gpa + offset) | code.entry, true);
    }
  }

  #load(c: TestCase): void {
    const v = this.#view;
    if (this.#moving) this.#moveCode();
    const codeGpa = (this.#windows[0] as Window).gpa;
    for (let i = 0; i < 16; i++) v.setBigUint64(GPR_IN + i * 8, c.gpr[i] ?? 0n, true);
    v.setBigUint64(FS_IN, c.fsBase ?? 0n, true);
    v.setBigUint64(GS_IN, c.gsBase ?? 0n, true);
    v.setBigUint64(FRAME_IN, BigInt(CODE_BASE), true);
    v.setBigUint64(FRAME_IN + 8, BigInt(c.mode === 64 ? USER_CS64 : USER_CS32), true);
    v.setBigUint64(FRAME_IN + 16, BigInt(c.rflags), true);
    v.setBigUint64(FRAME_IN + 24, c.gpr[4] ?? 0n, true);
    v.setBigUint64(FRAME_IN + 32, BigInt(USER_DS), true);
    this.#ram.set(c.fx ?? initialFx(), FX_IN);
    this.#ram.set(c.code, codeGpa);
    this.#touched(codeGpa, c.code.length);
    for (const p of c.patches ?? []) {
      const w = this.#windows.find(
        (one) => p.addr >= one.base && p.addr + p.bytes.length <= one.base + one.size,
      );
      if (w === undefined) throw new Error('a patch outside the windows');
      this.#ram.set(p.bytes, w.gpa + p.addr - w.base);
      this.#touched(w.gpa + p.addr - w.base, p.bytes.length);
    }
    v.setUint32(GO, 1, true);
  }

  /** What a device does after writing to guest memory. */
  #touched(gpa: number, length: number): void {
    for (let page = gpa >> 12; page <= (gpa + length - 1) >> 12; page++) {
      if ((Atomics.load(this.#flags, page) & PageFlag.CODE) !== 0) this.#mailbox.invalidateCode(page);
    }
  }

  run(c: TestCase): Outcome {
    const before = this.#windows.map((w) => this.#rest.get(w.base)?.slice() ?? new Uint8Array());
    this.#load(c);
    before[0]?.set(c.code);
    for (const p of c.patches ?? []) {
      this.#windows.forEach((w, i) => {
        if (p.addr >= w.base && p.addr < w.base + w.size) before[i]?.set(p.bytes, p.addr - w.base);
      });
    }
    this.#timedOut = false;
    this.#deadline = cpuMs() + this.#maxMs;
    const exit = this.#vcpu.run();
    this.#deadline = Infinity;
    const outcome = this.#outcome(exit.kind === 'stopped' && !this.#timedOut, before);
    this.#restore();
    if (outcome.kind !== 'exception') this.#vcpu.load(this.#start());
    return outcome;
  }

  #outcome(finished: boolean, before: readonly Uint8Array[]): Outcome {
    const v = this.#view;
    const q = (at: number): bigint => v.getBigUint64(at, true);
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = q(i === 4 ? STACK - 16 : GPR_OUT + i * 8);
    const dirty: DirtyLine[] = [];
    this.#windows.forEach((w, n) => {
      const old = before[n] ?? new Uint8Array();
      for (let at = 0; at < w.size; at += 64) {
        const line = this.#ram.subarray(w.gpa + at, w.gpa + at + 64);
        let same = true;
        for (let i = 0; i < 64 && same; i++) same = line[i] === old[at + i];
        if (!same) dirty.push({ addr: w.base + at, bytes: line.slice() });
      }
    });
    const vector = Number(q(STACK - 56) & 0xffn);
    const fx = this.#ram.slice(FX_OUT, FX_OUT + 512);
    return {
      kind: finished ? 'exception' : 'timeout',
      vector,
      errorCode: Number(q(STACK - 48)),
      cr2: q(CR2_OUT),
      rip: q(STACK - 40),
      rflags: Number(q(STACK - 24)),
      gpr,
      fsBase: q(FS_OUT),
      gsBase: q(GS_OUT),
      fx,
      dirty,
    };
  }

  #restore(): void {
    for (const w of this.#windows) {
      const rest = this.#rest.get(w.base);
      if (rest !== undefined) this.#ram.set(rest, w.gpa);
      this.#touched(w.gpa, w.size);
    }
  }
}
