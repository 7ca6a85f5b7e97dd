/**
 * Runs test cases on the interpreter alone: no system part, no interrupts, page tables made here. Registers are
 * written into the vCPU's area directly, so it is fast; what the cold part does (`cold`) is left to `engine.ts`.
 *
 *   gpa 0x1000 PML4 · 0x2000 PDPT · 0x3000 PD · 0x4000… page tables · 0x10000 CODE · 0x20000 DATA, CONST · 0x30000 STACK
 */
import { Interpreter } from '../../packages/vm/src/engine/interpreter.ts';
import { STATUS } from '../../packages/vm/src/engine/unit.ts';
import { layoutMemory, PageFlag } from '../../packages/vm/src/machine/layout.ts';
import { wasm, type WasmModule } from '../../packages/vm/src/wasm/api.ts';
import * as S from '../../packages/vm/src/x86/state.ts';
import { SYSTEM_NAMES } from '../../packages/vm/src/x86/system-names.ts';
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
import { interpreterModule } from './parts.ts';

/** As `Outcome`; `cold` names the operation the interpreter handed over. */
export interface InterpreterOutcome extends Outcome {
  readonly cold?: string;
}

const NX = 1n << 63n;
const WINDOWS = [
  { base: CODE_BASE, size: CODE_SIZE, gpa: 0x10000, entry: 7n },
  { base: DATA_BASE, size: DATA_SIZE, gpa: 0x20000, entry: NX | 7n },
  { base: CONST_BASE, size: 0x1000, gpa: 0x22000, entry: NX | 5n },
  { base: STACK_BASE, size: STACK_SIZE, gpa: 0x30000, entry: NX | 7n },
] as const;
const BUDGET = 20_000_000;
const ATTRIBUTES = { code64: 0xa0fb, code32: 0xc0fb, data: 0xc0f3, none: 0 };

export class InterpreterRunner {
  readonly #vcpu: Interpreter;
  readonly #view: DataView;
  readonly #u8: Uint8Array;
  readonly #ram: number;
  readonly #flags: number;
  readonly #now: readonly Buffer[];
  readonly #rest: readonly Buffer[];
  readonly #before: readonly Buffer[];
  readonly #touched: Set<number> = new Set();
  #cold: string | undefined;
  #trap = -1;
  #length = 0;
  #codeLength = 0;

  /** @param module another interpreter than the usual one: with a bug put in on purpose */
  constructor(module?: WasmModule) {
    const layout = layoutMemory(1 << 20);
    const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
    this.#view = new DataView(memory.buffer);
    this.#u8 = new Uint8Array(memory.buffer);
    this.#ram = layout.ramOffset;
    this.#flags = layout.pageFlags;
    this.#u8.fill(PageFlag.PRESENT, layout.pageFlags, layout.pageFlags + layout.ramBytes / 4096);
    this.#vcpu = new Interpreter({
      memory,
      module: module ?? interpreterModule(),
      layout,
      index: 0,
      hooks: {
        mmioRead: () => 0xffffffff,
        mmioWrite: () => {},
        clockNs: () => 0,
        watch: () => {},
        system: (operation, record) => {
          const name = SYSTEM_NAMES[operation] ?? `operation ${operation}`;
          if (name === 'INT3') this.#trap = 3;
          else if (name === 'INT1') this.#trap = 1;
          else this.#cold = name;
          this.#length = this.#u8[record + S.REC.LENGTH] ?? 0;
          return STATUS.EXIT;
        },
      },
    });
    const q = (gpa: number, value: bigint): void => this.#view.setBigUint64(this.#ram + gpa, value, true);
    q(0x1000, 0x2007n);
    q(0x2000, 0x3007n);
    let table = 0x3000;
    for (const w of WINDOWS) {
      const slot = 0x3000 + (w.base >>> 21) * 8;
      let at = Number(this.#view.getBigUint64(this.#ram + slot, true)) & ~0xfff;
      if (at === 0) {
        table += 0x1000;
        at = table;
        q(slot, BigInt(at | 7));
      }
      for (let o = 0; o < w.size; o += 0x1000)
        q(at + (((w.base + o) >>> 12) & 511) * 8, BigInt(w.gpa + o) | w.entry);
    }
    const pattern = basePattern();
    this.#u8.fill(0xcc, this.#ram + 0x10000, this.#ram + 0x10000 + CODE_SIZE);
    this.#u8.set(pattern, this.#ram + 0x20000);
    this.#now = WINDOWS.map((w) => Buffer.from(memory.buffer, this.#ram + w.gpa, w.size));
    this.#rest = this.#now.map((now) => Buffer.from(now));
    this.#before = this.#now.map((now) => Buffer.from(now));
    // one block that stays keeps the page marked as code, so that marking it is not paid for every case
    this.#load({ mode: 64, code: new Uint8Array(), gpr: new BigUint64Array(16), rflags: 2 });
    this.#vcpu.rip = BigInt(CODE_BASE + 0xfff);
    this.#vcpu.run();
  }

  #set64(offset: number, value: bigint): void {
    this.#view.setBigUint64(this.#vcpu.area + offset, value, true);
  }
  #set32(offset: number, value: number): void {
    this.#view.setUint32(this.#vcpu.area + offset, value, true);
  }
  #get64(offset: number): bigint {
    return this.#view.getBigUint64(this.#vcpu.area + offset, true);
  }
  #get32(offset: number): number {
    return this.#view.getUint32(this.#vcpu.area + offset, true);
  }

  #segment(n: number, selector: number, attributes: number, base = 0n): void {
    const at = S.SEGMENTS + n * S.SEGMENT_STRIDE;
    this.#set64(at + S.SEG_BASE, base);
    this.#set32(at + S.SEG_LIMIT, attributes === 0 ? 0 : 0xffffffff);
    this.#set32(at + S.SEG_ATTRIBUTES, attributes);
    this.#set32(at + S.SEG_SELECTOR, selector);
  }

  #load(c: TestCase): void {
    for (let i = 0; i < 16; i++) this.#set64(S.GPR + i * 8, c.gpr[i] ?? 0n);
    const wide = c.mode === 64;
    this.#segment(S.SEG.CS, wide ? USER_CS64 : USER_CS32, wide ? ATTRIBUTES.code64 : ATTRIBUTES.code32);
    for (const n of [S.SEG.SS, S.SEG.DS, S.SEG.ES]) this.#segment(n, USER_DS, ATTRIBUTES.data);
    this.#segment(S.SEG.FS, 0, ATTRIBUTES.none, c.fsBase ?? 0n);
    this.#segment(S.SEG.GS, 0, ATTRIBUTES.none, c.gsBase ?? 0n);
    this.#set64(S.CR0, 0x80050033n);
    this.#set64(S.CR3, 0x1000n);
    this.#set64(S.CR4, 0x106a8n);
    this.#set64(S.EFER, 0xd01n);
    this.#set32(S.CPL, 3);
    // the lazy form of the arithmetic flags, as Ops.setArithmeticFlags makes it
    const f = BigInt(c.rflags);
    const bit = (n: bigint): bigint => (f >> n) & 1n;
    this.#set64(S.FLAG_RESULT, bit(6n) ^ 1n);
    this.#set64(
      S.FLAG_CARRIES,
      (bit(0n) << 63n) |
        ((bit(0n) ^ bit(11n)) << 62n) |
        (bit(4n) << 3n) |
        (bit(7n) << 1n) |
        (bit(2n) ^ bit(6n)),
    );
    this.#set64(S.RFLAGS_SYSTEM, BigInt(c.rflags & ~(S.ARITHMETIC_FLAGS | 2)));
    const fx = c.fx ?? initialFx();
    const view = new DataView(fx.buffer, fx.byteOffset, 512);
    const status = view.getUint16(2, true);
    const top = (status >> 11) & 7;
    this.#set32(S.FCW, view.getUint16(0, true));
    this.#set32(S.FSW, status);
    this.#set32(S.FTW, view.getUint8(4));
    this.#set32(S.MXCSR, view.getUint32(24, true));
    this.#set32(S.FOP, 0);
    this.#set64(S.FIP, 0n);
    this.#set64(S.FDP, 0n);
    this.#set32(S.FCS, 0);
    this.#set32(S.FDS, 0);
    for (let i = 0; i < 8; i++) {
      const at = this.#vcpu.area + S.X87 + ((top + i) & 7) * 16;
      this.#u8.set(fx.subarray(32 + i * 16, 42 + i * 16), at);
    }
    this.#u8.set(fx.subarray(160, 416), this.#vcpu.area + S.XMM);
    this.#set32(S.FAULT, 0);
    this.#set32(S.INTERRUPT_SHADOW, 0);
    this.#set32(S.DEBUG_PENDING, 0);
    this.#write(0, 0, c.code);
    this.#codeLength = c.code.length;
    for (const p of c.patches ?? []) {
      const n = WINDOWS.findIndex(
        (one) => p.addr >= one.base && p.addr + p.bytes.length <= one.base + one.size,
      );
      if (n < 0) throw new Error('a patch outside the windows');
      this.#write(n, p.addr - (WINDOWS[n]?.base ?? 0), p.bytes);
    }
    this.#vcpu.modeChanged();
    this.#vcpu.rip = BigInt(CODE_BASE);
    this.#vcpu.budget = BUDGET;
  }

  /** Writes memory of the case, and the copy of what it held before the run. */
  #write(window: number, offset: number, bytes: Uint8Array): void {
    const w = WINDOWS[window];
    if (w === undefined) return;
    this.#u8.set(bytes, this.#ram + w.gpa + offset);
    this.#before[window]?.set(bytes, offset);
    this.#touched.add(window);
    this.#changed(w.gpa + offset, bytes.length);
  }
  #changed(gpa: number, length: number): void {
    for (let at = gpa; at < gpa + length; at = (at & -4096) + 4096) {
      if (((this.#u8[this.#flags + (at >> 12)] ?? 0) & PageFlag.CODE) === 0) continue;
      this.#vcpu.code.written(this.#ram + at, Math.min(gpa + length, (at & -4096) + 4096) - at);
    }
  }

  /** For comparisons of more than architectural state: the interpreter and its memory. */
  get vcpu(): Interpreter {
    return this.#vcpu;
  }
  get view(): DataView {
    return this.#view;
  }

  /** @param around called with the state loaded and right after the run, before memory is put back */
  run(c: TestCase, around?: { before(): void; after(result: string): void }): InterpreterOutcome {
    this.#cold = undefined;
    this.#trap = -1;
    this.#load(c);
    around?.before();
    const result = this.#vcpu.run();
    around?.after(result);
    const outcome = this.#outcome(result);
    this.#restore();
    return outcome;
  }

  #outcome(result: string): InterpreterOutcome {
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = this.#get64(S.GPR + i * 8);
    let vector = this.#get32(S.FAULT) & 0xff;
    let rip = BigInt.asUintN(64, this.#vcpu.rip);
    const hasCode = (this.#get32(S.FAULT) & 0x100) !== 0;
    if (this.#trap >= 0) {
      vector = this.#trap;
      rip += BigInt(this.#length);
    }
    return {
      kind: result === 'boundary' ? 'timeout' : 'exception',
      vector,
      errorCode: hasCode ? this.#get32(S.FAULT_CODE) : 0,
      cr2: this.#get64(S.FAULT_ADDRESS),
      rip,
      rflags: this.#rflags(),
      gpr,
      fsBase: this.#get64(S.SEGMENTS + S.SEG.FS * S.SEGMENT_STRIDE),
      gsBase: this.#get64(S.SEGMENTS + S.SEG.GS * S.SEGMENT_STRIDE),
      fx: this.#fx(),
      dirty: this.#dirty(),
      ...(this.#cold === undefined ? {} : { cold: this.#cold }),
    };
  }

  #rflags(): number {
    const result = this.#get64(S.FLAG_RESULT);
    const carries = this.#get64(S.FLAG_CARRIES);
    const c = Number(carries >> 63n);
    let parity = Number(result & 0xffn);
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    const sign = Number(result >> 63n) ^ Number((carries >> 1n) & 1n);
    return (
      Number(this.#get64(S.RFLAGS_SYSTEM)) |
      2 |
      c |
      (((parity ^ Number(carries & 1n) ^ 1) & 1) << 2) |
      (Number((carries >> 3n) & 1n) << 4) |
      ((result === 0n ? 1 : 0) << 6) |
      (sign << 7) |
      ((c ^ Number((carries >> 62n) & 1n)) << 11)
    );
  }

  #fx(): Uint8Array {
    const fx = new Uint8Array(512);
    const view = new DataView(fx.buffer);
    const status = this.#get32(S.FSW);
    view.setUint16(0, this.#get32(S.FCW), true);
    view.setUint16(2, status, true);
    view.setUint8(4, this.#get32(S.FTW));
    view.setUint32(24, this.#get32(S.MXCSR), true);
    for (let i = 0; i < 8; i++) {
      const at = this.#vcpu.area + S.X87 + ((((status >> 11) & 7) + i) & 7) * 16;
      fx.set(this.#u8.subarray(at, at + 10), 32 + i * 16);
    }
    fx.set(this.#u8.subarray(this.#vcpu.area + S.XMM, this.#vcpu.area + S.XMM + 256), 160);
    return fx;
  }

  #dirty(): DirtyLine[] {
    const dirty: DirtyLine[] = [];
    WINDOWS.forEach((w, n) => {
      const before = this.#before[n];
      const now = this.#now[n];
      if (before === undefined || now === undefined || Buffer.compare(before, now) === 0) return;
      for (let block = 0; block < w.size; block += 1024) {
        if (Buffer.compare(before.subarray(block, block + 1024), now.subarray(block, block + 1024)) === 0)
          continue;
        for (let at = block; at < block + 1024; at += 64) {
          if (Buffer.compare(before.subarray(at, at + 64), now.subarray(at, at + 64)) === 0) continue;
          dirty.push({ addr: w.base + at, bytes: new Uint8Array(now.subarray(at, at + 64)) });
          this.#touched.add(n);
          this.#changed(w.gpa + at, 64);
        }
      }
    });
    return dirty;
  }

  #restore(): void {
    if (this.#codeLength > 0) this.#changed(WINDOWS[0].gpa, this.#codeLength);
    for (const n of this.#touched) {
      const rest = this.#rest[n];
      const w = WINDOWS[n];
      if (rest === undefined || w === undefined) continue;
      this.#now[n]?.set(rest);
      this.#before[n]?.set(rest);
    }
    this.#touched.clear();
  }
}
