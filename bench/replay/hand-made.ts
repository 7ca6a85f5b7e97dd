/**
 * A region written by hand, instruction by instruction, as a translator could emit it: the miss path, the place of
 * the TLB, the poll and the flags in variants (docs/adr/0032).
 */
import { Bytes } from '../../packages/vm/src/wasm/module.ts';
import { wasmOp } from '../../packages/vm/src/wasm/opcodes.ts';

export interface Variant {
  /**
   * bare: no TLB check, guest addresses are host addresses. exit: a miss leaves the region. call: a miss calls a warm
   * function, which gives the host address or 0 (leave). hinted: the same, marked unlikely. retry: a miss calls, then
   * looks the entry up again, all of it marked unlikely.
   */
  readonly miss: 'bare' | 'exit' | 'call' | 'hinted' | 'retry';
  /** Where the TLB is: a constant, a local, or at a constant offset from the parameter. */
  readonly tlb: 'constant' | 'local' | 'cpu';
  /** At back-edges. flag: loads an attention word; local: takes instructions off a budget in a local; memory: the same in memory. */
  readonly poll: 'none' | 'flag' | 'local' | 'memory';
  /** dropped: dead flags are not kept; phi: (kind, a, b) locals are written where a flag-setting instruction stands. */
  readonly flags: 'dropped' | 'phi';
  /** How 32-bit instructions are computed. */
  readonly narrow: 'i32' | 'mask';
  /** Computes the entry's place with 32-bit or with 64-bit instructions. */
  readonly index: 'i32' | 'i64';
  /** xor: va ^ tag >u 4096 − size. align: (va & (size − 4097)) ≠ tag, as TCG does it: unaligned accesses miss. */
  readonly compare: 'xor' | 'align';
}

export const BASE: Variant = {
  miss: 'exit',
  tlb: 'constant',
  poll: 'flag',
  flags: 'dropped',
  narrow: 'i32',
  index: 'i32',
  compare: 'xor',
};

// host memory of the benchmark
export const CPU_AREA: number = 0x10000;
const ATTENTION = 0;
export const GPR: number = 0x1000;
const PC = 0x1098;
const FLAGS = 0x10a0;
export const BUDGET: number = 0x1400;
export const TLB: number = 0x100000;
/** The guest's memory: its linear addresses are host addresses. */
export const RAM: number = 0x400000;
export const RAM_BYTES: number = 8 << 20;
const TLB_TABLE = 0x1404;

// locals after the parameter and the registers
const VA = 17;
const OFF = 18;
const ENT = 19;
const HOST = 20;
const SITE = 21;
const BUDGET_L = 22;
const TLB_L = 23;
const KIND = 24;
const FA = 25;
const FB = 26;
const LOCALS: readonly (readonly [number, number])[] = [
  [16, 0x7e],
  [2, 0x7e],
  [6, 0x7f],
  [2, 0x7e],
];

/** Writes one region. Guest register n is local 1 + n. */
export class Region {
  readonly out: Bytes = new Bytes();
  readonly v: Variant;
  readonly #fill: number;
  /** Branch hints: offsets of branches from the start of the function, and likely (1) or not (0). */
  readonly hints: [number, number][] = [];
  readonly #used: readonly number[];
  #depth = 0;
  #site = 0;

  constructor(v: Variant, fill: number, used: readonly number[]) {
    this.v = v;
    this.#fill = fill;
    this.#used = used;
    this.out.u32(LOCALS.length);
    for (const [count, ty] of LOCALS) {
      this.out.u32(count);
      this.out.byte(ty);
    }
    for (const r of used) {
      this.get(0);
      this.mem('i64.load', GPR + r * 8);
      this.set(1 + r);
    }
    if (v.tlb === 'local') {
      this.get(0);
      this.mem('i32.load', TLB_TABLE);
      this.set(TLB_L);
    }
    if (v.poll === 'local') {
      this.get(0);
      this.mem('i32.load', BUDGET);
      this.set(BUDGET_L);
    }
    this.block();
  }

  op(...names: string[]): void {
    for (const name of names) {
      const { prefix, code } = wasmOp(name);
      if (prefix !== 0) this.out.byte(prefix);
      this.out.byte(code);
    }
  }
  mem(name: string, offset: number): void {
    this.op(name);
    this.out.byte(0);
    this.out.u32(offset);
  }
  get(local: number): void {
    this.out.byte(0x20);
    this.out.u32(local);
  }
  set(local: number): void {
    this.out.byte(0x21);
    this.out.u32(local);
  }
  tee(local: number): void {
    this.out.byte(0x22);
    this.out.u32(local);
  }
  i32(value: number): void {
    this.out.byte(0x41);
    this.out.s32(value);
  }
  i64(value: number): void {
    this.out.byte(0x42);
    this.out.s64(BigInt(value));
  }
  block(): void {
    this.out.put(0x02, 0x40);
    this.#depth++;
  }
  loop(): void {
    this.out.put(0x03, 0x40);
    this.#depth++;
  }
  #hint(likely: number): void {
    this.hints.push([this.out.length, likely]);
  }
  if(hint?: number): void {
    if (hint !== undefined) this.#hint(hint);
    this.out.put(0x04, 0x40);
    this.#depth++;
  }
  else(): void {
    this.out.byte(0x05);
  }
  end(): void {
    this.out.byte(0x0b);
    this.#depth--;
  }
  /** Branches to the construct opened when the depth was `depth` (1 = the outermost block, whose end is the epilogue). */
  br(depth: number): void {
    this.out.byte(0x0c);
    this.out.u32(this.#depth - depth);
  }
  brIf(depth: number, hint?: number): void {
    if (hint !== undefined) this.#hint(hint);
    this.out.byte(0x0d);
    this.out.u32(this.#depth - depth);
  }
  get depth(): number {
    return this.#depth;
  }

  /** Leaves before the instruction at this site. */
  leave(): void {
    this.i32(++this.#site);
    this.set(SITE);
    this.br(1);
  }

  /** Translates the address in VA; leaves the host address on the stack. */
  #translate(size: number, write: boolean): void {
    const { miss, tlb, index, compare } = this.v;
    if (miss === 'bare') {
      this.get(VA);
      this.op('i32.wrap_i64');
      return;
    }
    const lookup = (): void => {
      this.get(VA);
      if (index === 'i32') {
        this.op('i32.wrap_i64');
        this.i32(7);
        this.op('i32.shr_u');
      } else {
        this.i64(7);
        this.op('i64.shr_u', 'i32.wrap_i64');
      }
      this.i32(0x1ffe0);
      this.op('i32.and');
      if (tlb === 'local') this.get(TLB_L);
      if (tlb === 'cpu') this.get(0);
      if (tlb !== 'constant') this.op('i32.add');
      this.tee(ENT);
    };
    const at = tlb === 'constant' ? TLB : tlb === 'cpu' ? TLB - CPU_AREA : 0;
    const isMiss = (): void => {
      lookup();
      if (compare === 'align') {
        this.mem('i64.load', at + (write ? 8 : 0));
        this.get(VA);
        this.i64(-4096 + size - 1);
        this.op('i64.and', 'i64.ne');
      } else {
        this.mem('i64.load', at + (write ? 8 : 0));
        this.get(VA);
        this.op('i64.xor');
        this.tee(OFF);
        this.i64(4096 - size);
        this.op('i64.gt_u');
      }
    };
    const hostOfHit = (): void => {
      this.get(compare === 'align' ? VA : OFF);
      this.op('i32.wrap_i64');
      this.get(ENT);
      this.mem('i32.load', at + (compare === 'align' ? 20 : 16));
      this.op('i32.add');
    };
    const call = (): void => {
      this.get(0);
      this.get(VA);
      this.i32((size << 1) | (write ? 1 : 0));
      this.out.byte(0x10);
      this.out.u32(this.#fill);
    };
    switch (miss) {
      case 'exit':
        isMiss();
        this.if();
        this.leave();
        this.end();
        hostOfHit();
        return;
      case 'call':
      case 'hinted': {
        const hint = miss === 'hinted' ? 0 : undefined;
        isMiss();
        this.if(hint);
        call();
        this.tee(HOST);
        this.op('i32.eqz');
        this.if(hint);
        this.leave();
        this.end();
        this.else();
        hostOfHit();
        this.set(HOST);
        this.end();
        this.get(HOST);
        return;
      }
      case 'retry': {
        this.loop();
        const again = this.#depth;
        isMiss();
        this.if(0);
        call();
        this.brIf(again, 0);
        this.leave();
        this.end();
        this.end();
        hostOfHit();
        return;
      }
      default:
        miss satisfies never;
    }
  }

  /** rd = memory at the address on the stack, zero-extended. */
  load(size: 1 | 4 | 8, rd: number): void {
    this.set(VA);
    this.#translate(size, false);
    this.mem(size === 8 ? 'i64.load' : size === 4 ? 'i64.load32_u' : 'i64.load8_u', 0);
    this.set(1 + rd);
  }
  /** Memory at the address on the stack = rs. */
  store(size: 1 | 4 | 8, rs: number): void {
    this.set(VA);
    this.#translate(size, true);
    this.get(1 + rs);
    this.mem(size === 8 ? 'i64.store' : size === 4 ? 'i64.store32' : 'i64.store8', 0);
  }
  /** base + index * 2^shift + disp */
  address(base: number, index: number, shift: number, disp: number): void {
    this.get(1 + base);
    if (index >= 0) {
      this.get(1 + index);
      if (shift > 0) {
        this.i64(shift);
        this.op('i64.shl');
      }
      this.op('i64.add');
    }
    if (disp !== 0) {
      this.i64(disp);
      this.op('i64.add');
    }
  }
  /** A flag-setting instruction wrote `r`. */
  #setFlags(kind: number, r: number, other: number): void {
    if (this.v.flags === 'dropped') return;
    this.i32(kind);
    this.set(KIND);
    this.get(1 + r);
    this.set(FA);
    this.get(1 + other);
    this.set(FB);
  }
  /** rd = rd op rs, 64 bits. */
  alu64(op: string, rd: number, rs: number): void {
    this.get(1 + rd);
    this.get(1 + rs);
    this.op(`i64.${op}`);
    this.set(1 + rd);
    this.#setFlags(1, rd, rs);
  }
  imm64(op: string, rd: number, value: number): void {
    this.get(1 + rd);
    this.i64(value);
    this.op(`i64.${op}`);
    this.set(1 + rd);
    this.#setFlags(1, rd, rd);
  }
  /** rd = zero-extended 32-bit rd op rs. */
  alu32(op: string, rd: number, rs: number): void {
    this.get(1 + rd);
    if (this.v.narrow === 'i32') {
      this.op('i32.wrap_i64');
      this.get(1 + rs);
      this.op('i32.wrap_i64', `i32.${op}`, 'i64.extend_i32_u');
    } else {
      this.get(1 + rs);
      this.op(`i64.${op}`);
      this.i64(0xffff_ffff);
      this.op('i64.and');
    }
    this.set(1 + rd);
    this.#setFlags(2, rd, rs);
  }
  imm32(op: string, rd: number, value: number): void {
    this.get(1 + rd);
    if (this.v.narrow === 'i32') {
      this.op('i32.wrap_i64');
      this.i32(value);
      this.op(`i32.${op}`, 'i64.extend_i32_u');
    } else {
      this.i64(value);
      this.op(`i64.${op}`);
      this.i64(0xffff_ffff);
      this.op('i64.and');
    }
    this.set(1 + rd);
    this.#setFlags(2, rd, rd);
  }
  /** Condition `a op b` of a fused compare and branch, i32 on the stack. */
  compare(width: 32 | 64, op: string, a: number, b: number): void {
    this.get(1 + a);
    if (width === 32 && this.v.narrow === 'i32') this.op('i32.wrap_i64');
    this.get(1 + b);
    if (width === 32 && this.v.narrow === 'i32') this.op('i32.wrap_i64', `i32.${op}`);
    else this.op(`i64.${op}`);
    if (this.v.flags === 'phi') {
      this.i32(3);
      this.set(KIND);
      this.get(1 + a);
      this.set(FA);
      this.get(1 + b);
      this.set(FB);
    }
  }
  /** At a back-edge: leaves when something wants attention. `count`: guest instructions since the last one. */
  poll(count: number): void {
    const { poll } = this.v;
    if (poll === 'flag') {
      this.get(0);
      this.mem('i32.load', ATTENTION);
      this.if(0);
      this.leave();
      this.end();
    }
    if (poll === 'local') {
      this.get(BUDGET_L);
      this.i32(count);
      this.op('i32.sub');
      this.tee(BUDGET_L);
      this.i32(0);
      this.op('i32.lt_s');
      this.if(0);
      this.leave();
      this.end();
    }
    if (poll === 'memory') {
      this.get(0);
      this.get(0);
      this.mem('i32.load', BUDGET);
      this.i32(count);
      this.op('i32.sub');
      this.tee(HOST);
      this.mem('i32.store', BUDGET);
      this.get(HOST);
      this.i32(0);
      this.op('i32.lt_s');
      this.if(0);
      this.leave();
      this.end();
    }
  }
  /** Epilogue. @returns the body with its locals */
  finish(): Uint8Array {
    this.end();
    for (const r of this.#used) {
      this.get(0);
      this.get(1 + r);
      this.mem('i64.store', GPR + r * 8);
    }
    if (this.v.poll === 'local') {
      this.get(0);
      this.get(BUDGET_L);
      this.mem('i32.store', BUDGET);
    }
    if (this.v.flags === 'phi') {
      this.get(0);
      this.get(KIND);
      this.mem('i32.store', FLAGS);
      this.get(0);
      this.get(FA);
      this.mem('i64.store', FLAGS + 8);
      this.get(0);
      this.get(FB);
      this.mem('i64.store', FLAGS + 16);
    }
    this.get(0);
    this.get(SITE);
    this.mem('i32.store', PC);
    this.get(SITE);
    this.out.byte(0x0b);
    return this.out.bytes().slice();
  }
}

/** Appends a section of a module. */
export function section(out: Bytes, id: number, fill: (s: Bytes) => void): void {
  const s = new Bytes();
  fill(s);
  out.byte(id);
  out.u32(s.length);
  out.append(s.bytes());
}

/** A module with these function bodies, exported as f0, f1 …; function 0 is the imported env.fill. */
export function moduleOf(regions: readonly Region[]): Uint8Array<ArrayBuffer> {
  const bodies = regions.map((r) => r.finish());
  const out = new Bytes();
  out.put(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  section(out, 1, (s) => {
    s.u32(2);
    s.put(0x60, 1, 0x7f, 1, 0x7f);
    s.put(0x60, 3, 0x7f, 0x7e, 0x7f, 1, 0x7f);
  });
  section(out, 2, (s) => {
    s.u32(2);
    s.name('env');
    s.name('fill');
    s.put(0, 1);
    s.name('env');
    s.name('memory');
    s.put(2, 3);
    s.u32(1);
    s.u32(65536);
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
      s.u32(1 + i);
    });
  });
  const hinted = regions.map((r, i) => ({ i, hints: r.hints })).filter(({ hints }) => hints.length > 0);
  if (hinted.length > 0) {
    section(out, 0, (s) => {
      s.name('metadata.code.branch_hint');
      s.u32(hinted.length);
      for (const { i, hints } of hinted) {
        s.u32(1 + i);
        s.u32(hints.length);
        for (const [offset, likely] of hints) {
          s.u32(offset);
          s.put(1, likely);
        }
      }
    });
  }
  section(out, 10, (s) => {
    s.u32(bodies.length);
    for (const body of bodies) {
      s.u32(body.length);
      s.append(body);
    }
  });
  return out.bytes().slice() as Uint8Array<ArrayBuffer>;
}
