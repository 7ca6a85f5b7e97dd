/**
 * Makes programs of control flow: what a translator of regions gets wrong and an interpreter does not. Loops (counted
 * in a register, in memory, without touching flags; nested; with several exits; jumped into from outside), calls,
 * recursion, returns to somewhere else, tables, flags that live across all of that, code rewritten behind and ahead,
 * and loops that walk off a page. They end: a branch goes back only where something counts, and each counts down.
 */
import type { Patch } from '../test/oracle/case.ts';
import { DATA_BASE } from '../test/oracle/case.ts';
import type { Random } from '../test/oracle/random.ts';
import {
  absolute,
  countByLoop,
  countInRegister,
  countWithoutFlags,
  flagConsumer,
  le32,
  type Mode,
  move,
  popFlags,
  rex,
  SAVED,
  stackWork,
  walkAccess,
  wide,
  WIDE_COUNTER_COUNT,
  WIDE_COUNTERS,
} from './pieces.ts';
import type { Item, Places } from './program.ts';

/** A place in the program, known once everything is made. */
interface Label {
  item: number;
}
/** How a function is left, and what its callers do about it. */
type Ending = 'plain' | 'pops' | 'skips' | 'jumps' | 'moves' | 'escapes' | 'recursive';
interface Routine {
  readonly label: Label;
  readonly ending: Ending;
  readonly level: number;
}
/** A MOV r32, imm32 (or imm64) whose immediate others write over. */
interface Site {
  readonly item: number;
  readonly bytes: 4 | 8;
}

export interface FlowParts {
  readonly mode: Mode;
  /** Registers that anything may write, and those that count. */
  readonly free: readonly number[];
  readonly counters: readonly number[];
  /** Mostly floating-point arithmetic: MXCSR changes, too. */
  readonly floating: boolean;
  /** Random instructions that write none of `except`. */
  readonly instruction: (except: readonly number[]) => Item[];
}

const CALL_LEVELS = 3;

export class Flow {
  readonly items: Item[] = [];
  readonly #r: Random;
  readonly #p: FlowParts;
  readonly #pending: Label[] = [];
  readonly #routines: Routine[] = [];
  readonly #sites: Site[] = [];
  readonly #long: boolean;
  /** Most rounds of a loop; few programs run hot. */
  readonly #rounds: number;
  #counter = 0;
  #level = 0;
  #calls = 0;

  constructor(r: Random, parts: FlowParts) {
    this.#r = r;
    this.#p = parts;
    this.#long = r.chance(50);
    this.#rounds = r.chance(10) ? 40 : 6;
  }

  /** Makes the program; it starts at the first item. */
  make(): void {
    this.#sequence(20 + this.#r.below(this.#r.chance(10) ? 300 : 70), 0);
    this.#placeAll();
    this.#bytes('end', [0xcc]);
    for (let i = 0; i < this.#routines.length; i++) this.#body(this.#routines[i] as Routine);
  }

  /** Initial values of the counters in memory. */
  patches(): Patch[] {
    const counts = new BigUint64Array(WIDE_COUNTER_COUNT);
    for (let i = 0; i < counts.length; i++) counts[i] = BigInt(1 + this.#r.below(this.#rounds * 2));
    return [{ addr: WIDE_COUNTERS, bytes: new Uint8Array(counts.buffer) }];
  }

  // ---- pieces ----

  #bytes(note: string, bytes: readonly number[]): void {
    this.items.push({ kind: 'bytes', bytes, note });
  }
  #linked(note: string, bytes: (at: number, where: Places) => readonly number[]): void {
    this.items.push({ kind: 'linked', note, bytes });
  }
  #low(): number {
    return this.#r.pick(this.#p.free.filter((n) => n < 8));
  }
  #place(label: Label): void {
    label.item = this.items.length;
  }
  #placeAll(): void {
    for (const label of this.#pending.splice(0)) this.#place(label);
  }
  /** A label that lies somewhere further on, in whatever comes there. */
  #ahead(): Label {
    const label = { item: 0 };
    this.#pending.push(label);
    return label;
  }
  #nextCounter(): number | undefined {
    if (this.#counter === WIDE_COUNTER_COUNT) return undefined;
    return WIDE_COUNTERS + this.#counter++ * 8;
  }
  #jump(condition: number, to: Label): void {
    this.#linked(condition === 16 ? 'jmp' : 'jcc', (at, where) =>
      condition === 16
        ? [0xe9, ...le32(where.address(to.item) - at - 5)]
        : [0x0f, 0x80 | condition, ...le32(where.address(to.item) - at - 6)],
    );
  }

  // ---- structure ----

  #sequence(length: number, depth: number): void {
    const end = this.items.length + length;
    while (this.items.length < end) {
      if (this.#pending.length > 0 && this.#r.chance(15)) {
        const at = this.#r.below(this.#pending.length);
        for (const label of this.#pending.splice(at, 1)) this.#place(label);
      }
      this.#element(Math.max(2, end - this.items.length), depth);
    }
  }

  #element(room: number, depth: number): void {
    const r = this.#r;
    const kind = r.below(100);
    if (kind < 12 && depth < 3) this.#loop(room, depth);
    else if (kind < 18) this.#jump(r.below(16), this.#ahead());
    else if (kind < 19) this.#jump(16, this.#ahead());
    else if (kind < 30) this.#consume();
    else if (kind < 35) this.#choice(depth);
    else if (kind < 41) this.#call();
    else if (kind < 43) this.#table();
    else if (kind < 45) this.#computedJump();
    else if (kind < 49)
      this.#bytes('stack', stackWork(this.#p.mode, r.below(1000), this.#low(), this.#low()));
    else if (kind < 50) this.#bytes('popf', popFlags(this.#low()));
    else if (kind < 54) this.#rewritable();
    else if (kind < 59) this.#rewrite();
    else if (kind < 60) this.#besideCode();
    else if (kind < 61 && depth < 2) this.#walk();
    else if (kind < 62 && depth === 0) this.#dispatcher();
    else if (kind < 64 && this.#p.floating) this.#mxcsr();
    else this.items.push(...this.#p.instruction([]));
  }

  #mxcsr(): void {
    const r = this.#r;
    const { mode } = this.#p;
    let value = r.pick([0x1f80, 0x1fa0, 0x1fa0, 0x1fbf]);
    if (r.chance(40)) value |= r.below(4) << 13;
    if (r.chance(25)) value |= r.pick([0x8000, 0x40, 0x8040]);
    if (r.chance(8)) value &= ~(0x80 << r.below(6));
    const at = SAVED + 0x10;
    this.#bytes('mxcsr', [
      ...[0xc7, ...absolute(mode, 0, at), ...le32(value)],
      ...[0x0f, 0xae, ...absolute(mode, 2, at)],
    ]);
  }

  #consume(): void {
    const n = this.#r.u32();
    this.#bytes('flags', flagConsumer(this.#p.mode, n, this.#low(), this.#low()));
  }

  /** if … else …, without a jump out. */
  #choice(depth: number): void {
    const otherwise = { item: 0 };
    const end = { item: 0 };
    this.#jump(this.#r.below(16), otherwise);
    this.#sequence(1 + this.#r.below(3), depth + 1);
    this.#jump(16, end);
    this.#place(otherwise);
    this.#sequence(this.#r.below(3), depth + 1);
    this.#place(end);
  }

  #loop(room: number, depth: number): void {
    const r = this.#r;
    const { mode } = this.#p;
    const head = { item: 0 };
    const length = 1 + r.below(Math.min(room, 14));
    const exits = r.chance(40) ? r.below(3) : 0;
    const register = this.#p.counters[depth];
    const kind = r.below(4);
    if (kind === 0 && register !== undefined) {
      this.#bytes('count', move(mode, register, 1 + r.below(this.#rounds)));
    }
    this.#place(head);
    for (let i = 0; i < exits; i++) this.#jump(r.below(16), this.#ahead());
    this.#sequence(length, depth + 1);
    const back = (bytes: (distance: number) => number[]): void =>
      this.#linked('back', (at, where) => {
        const size = bytes(0).length;
        return bytes(where.address(head.item) - at - size);
      });
    if (kind === 0 && register !== undefined) {
      const form = r.below(6);
      back((d) => countInRegister(mode, register, this.#long, form, d));
      return;
    }
    const counter = this.#nextCounter();
    if (counter === undefined) return;
    const condition = r.chance(60) ? 16 : r.below(16);
    if (kind === 1) {
      const opcode = r.pick([0xe0, 0xe1, 0xe2]);
      back((d) => countByLoop(mode, counter, opcode, d));
    } else if (kind === 2) {
      // sub dword [counter], 1; jns
      back((d) => [0x83, ...absolute(mode, 5, counter), 1, 0x0f, 0x89, ...le32(d)]);
    } else back((d) => countWithoutFlags(mode, counter, condition, d));
  }

  // ---- calls ----

  #routine(plain: boolean): Routine | undefined {
    const r = this.#r;
    const known = this.#routines.filter((f) => f.level > this.#level && (!plain || f.ending === 'plain'));
    if (known.length > 0 && r.chance(60)) return r.pick(known);
    if (this.#level === CALL_LEVELS || this.#routines.length === 8) return undefined;
    const endings: Ending[] = ['plain', 'plain', 'pops', 'skips', 'jumps', 'moves', 'escapes', 'recursive'];
    const ending = plain ? 'plain' : r.pick(endings);
    // one that escapes calls nothing: what it calls might escape as well, back into it
    const level = ending === 'escapes' ? CALL_LEVELS : this.#level + 1;
    const routine: Routine = { label: { item: 0 }, ending, level };
    this.#routines.push(routine);
    return routine;
  }

  #call(): void {
    if (this.#calls++ > 12) return;
    const r = this.#r;
    const { mode } = this.#p;
    const through = r.below(4);
    const routine = this.#routine(false);
    if (routine === undefined) return;
    const { label, ending } = routine;
    const before = ending === 'pops' ? [0x6a, r.below(128)] : [];
    // skips: the function returns past five bytes
    const after = ending === 'skips' ? [0x05, ...le32(r.u32())] : [];
    if (ending === 'escapes') {
      // mov [SAVED], rsp; mov dword [SAVED + 8], next
      this.#linked('call, come back by a jump', (at, where) => {
        const save = [...wide(mode), 0x89, ...absolute(mode, 4, SAVED)];
        const next = [0xc7, ...absolute(mode, 0, SAVED + 8)];
        const end = at + save.length + next.length + 4 + 5;
        return [...save, ...next, ...le32(end), 0xe8, ...le32(where.address(label.item) - end)];
      });
      return;
    }
    const register = this.#low();
    if (through === 0) {
      this.#linked('call through a register', (_at, where) => [
        ...before,
        ...move(mode, register, where.address(label.item)),
        0xff,
        0xd0 | register,
        ...after,
      ]);
    } else if (through === 1) {
      // jmp over; pointer; over: call [pointer]
      this.#linked('call through memory', (at, where) => [
        ...before,
        ...[0xeb, 8, ...le32(where.address(label.item)), 0, 0, 0, 0],
        ...[0xff, ...absolute(mode, 2, at + before.length + 2)],
        ...after,
      ]);
    } else {
      this.#linked('call', (at, where) => [
        ...before,
        ...[0xe8, ...le32(where.address(label.item) - at - before.length - 5)],
        ...after,
      ]);
    }
  }

  #body(routine: Routine): void {
    const r = this.#r;
    const { mode } = this.#p;
    const bytes = mode === 64 ? 8 : 4;
    this.#level = routine.level;
    this.#calls = 9;
    this.#place(routine.label);
    this.#sequence(1 + r.below(10), 2);
    this.#placeAll();
    const register = this.#low();
    switch (routine.ending) {
      case 'plain':
        this.#bytes('ret', r.chance(50) ? [0xc3] : [0xf3, 0xc3]);
        break;
      case 'pops':
        this.#bytes('ret n', [0xc2, bytes, 0]);
        break;
      case 'skips':
        this.#bytes('ret past', [...wide(mode), 0x83, 0x04, 0x24, 5, 0xc3]);
        break;
      case 'jumps':
        this.#bytes('pop and jump', [0x58 | register, 0xff, 0xe0 | register]);
        break;
      case 'moves':
        // the return address is taken off and pushed again, by hand
        this.#bytes('ret by hand', [
          ...[...wide(mode), 0x8b, 0x04 | (register << 3), 0x24],
          ...[...wide(mode), 0x8d, 0x64, 0x24, bytes, 0x50 | register, 0xc3],
        ]);
        break;
      case 'escapes':
        this.#bytes('out of all calls', [
          ...[...wide(mode), 0x8b, ...absolute(mode, 4, SAVED)],
          ...[0xff, ...absolute(mode, 4, SAVED + 8)],
        ]);
        break;
      case 'recursive': {
        const counter = this.#nextCounter();
        if (counter !== undefined) {
          // sub dword [counter], 1; js over; call itself; over:
          this.#linked('recursion', (at, where) => {
            const count = [0x83, ...absolute(mode, 5, counter), 1, 0x78, 5];
            const end = at + count.length + 5;
            return [...count, 0xe8, ...le32(where.address(routine.label.item) - end)];
          });
        }
        this.#sequence(r.below(3), 3);
        this.#placeAll();
        this.#bytes('ret', [0xc3]);
        break;
      }
      default:
        routine.ending satisfies never;
    }
  }

  // ---- jumps that are computed ----

  /** A jump or call through a table in the code. */
  #table(): void {
    const r = this.#r;
    const call = r.chance(40);
    const entries = r.pick([2, 4, 8]);
    const index = r.pick([0, 1, 2]);
    const targets: Label[] = [];
    for (let i = 0; i < entries; i++) {
      if (!call) targets.push(i > 0 && r.chance(50) ? (targets[0] as Label) : this.#ahead());
      else {
        const routine = this.#routine(true);
        if (routine === undefined) return;
        targets.push(routine.label);
      }
    }
    this.#through(targets, index, call);
  }

  /** The table stands behind the jump. */
  #through(targets: readonly Label[], index: number, call: boolean): void {
    const { mode } = this.#p;
    const entries = targets.length;
    const size = mode === 64 ? 8 : 4;
    this.#linked(call ? 'call through a table' : 'jump through a table', (at, where) => {
      const and = [0x83, 0xe0 | index, entries - 1];
      const table = entries * size;
      const jump = [0xff, call ? 0x14 : 0x24, (mode === 64 ? 0xc0 : 0x80) | (index << 3) | 5];
      const over = call ? [0xe9, ...le32(table)] : [];
      const first = at + and.length + jump.length + 4 + over.length;
      return [
        ...[...and, ...jump, ...le32(first), ...over],
        ...targets.flatMap((t) => [...le32(where.address(t.item)), ...new Array<number>(size - 4).fill(0)]),
      ];
    });
  }

  /** A loop that goes another way each time, as a bytecode interpreter does: by one table, or by one in each part. */
  #dispatcher(): void {
    const r = this.#r;
    const { mode } = this.#p;
    const counter = this.#nextCounter();
    if (counter === undefined) return;
    const length = r.pick([2, 4, 8]);
    const routines = r.chance(40) ? Array.from({ length }, () => this.#routine(true)) : [];
    const called = routines.filter((routine) => routine !== undefined).map(({ label }) => label);
    const parts: Label[] = Array.from({ length }, () => ({ item: 0 }));
    const head = { item: 0 };
    const out = { item: 0 };
    const dispatch = (): void => {
      this.#linked('count, leave', (at, where) => {
        const count = [0x83, ...absolute(mode, 5, counter), 1];
        return [...count, 0x0f, 0x88, ...le32(where.address(out.item) - at - count.length - 6)];
      });
      // edx = edx * a + b; ecx = edx >> 16; flags defined
      this.#bytes('next', [
        ...[0x69, 0xd2, ...le32(0x343fd), 0x81, 0xc2, ...le32(0x269ec3)],
        ...[0x89, 0xd1, 0xc1, 0xe9, 16, 0x39, 0xc8],
      ]);
      // now and then the same for long, as callers of comparators have it
      if (r.chance(50)) this.#bytes('mostly', [0x83, 0xc9, length - 2]);
      this.#through(called.length === length ? called : parts, 1, called.length === length);
    };
    this.#bytes('rounds', [0xc7, ...absolute(mode, 0, counter), ...le32(20 + r.below(400))]);
    this.#place(head);
    dispatch();
    if (called.length === length) {
      this.#sequence(r.below(3), 3);
      this.#jump(16, head);
      this.#place(out);
      return;
    }
    for (const part of parts) {
      this.#place(part);
      this.#sequence(1 + r.below(4), 3);
      if (r.chance(40)) dispatch();
      else this.#jump(16, head);
    }
    this.#place(out);
  }

  /** A jump to one of two places by CMOV, or by PUSH and RET. */
  #computedJump(): void {
    const r = this.#r;
    const { mode } = this.#p;
    const one = this.#ahead();
    if (r.chance(50)) {
      this.#linked('push, ret', (_at, where) => [0x68, ...le32(where.address(one.item)), 0xc3]);
      return;
    }
    const other = this.#ahead();
    const condition = r.below(16);
    this.#linked('cmov, jmp', (_at, where) => [
      ...move(mode, 0, where.address(one.item)),
      ...move(mode, 1, where.address(other.item)),
      ...[0x0f, 0x40 | condition, 0xc1, 0xff, 0xe0],
    ]);
  }

  // ---- code that changes ----

  #rewritable(): void {
    const r = this.#r;
    const long = this.#p.mode === 64 && r.chance(30);
    const register = this.#low();
    this.#sites.push({ item: this.items.length, bytes: long ? 8 : 4 });
    if (long) this.#bytes('mov r64, imm64', [0x48, 0xb8 | register, ...le32(r.u32()), ...le32(r.u32())]);
    else this.#bytes('mov r32, imm32', [0xb8 | register, ...le32(r.u32())]);
  }

  /** Writes over the immediate (or opcode) of such an instruction, behind or ahead. */
  #rewrite(): void {
    const r = this.#r;
    const { mode } = this.#p;
    const self = this.items.length;
    const pick = r.u32();
    const form = r.below(11);
    const register = this.#low();
    const value = r.u32();
    const opcode = r.pick([0x05, 0x0d, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0xa9, 0xb8, 0xb9, 0xba]);
    // mostly a near one, which may come only after this
    const choose = (): Site | undefined => {
      const near = this.#sites.filter((s) => Math.abs(s.item - self) < 12);
      const list = near.length > 0 && (pick & 7) !== 0 ? near : this.#sites;
      return list[(pick >>> 3) % Math.max(1, list.length)];
    };
    this.#linked('rewrite', (_at, where) => {
      const site = choose();
      if (site === undefined || !where.kept(site.item)) return [];
      const at = where.address(site.item + 1) - site.bytes;
      const q = site.bytes === 8;
      const w = q ? wide(mode) : [];
      switch (form) {
        case 0:
          return [0xc7, ...absolute(mode, 0, at), ...le32(value)];
        case 1:
          return [0xc6, ...absolute(mode, 0, at + (value & 3)), value >>> 24];
        case 2:
          return [...w, 0x89, ...absolute(mode, register, at)];
        case 3:
          return [...w, 0x87, ...absolute(mode, register, at)];
        case 4:
          return [...w, 0x83, ...absolute(mode, 0, at), value & 255];
        case 5:
          // the stack on the code: mov rax, rsp; lea rsp, [at + size]; push rcx; mov rsp, rax
          if (q !== (mode === 64)) return [0xf0, 0x0f, 0xc1, ...absolute(mode, register, at)];
          return [
            ...[...wide(mode), 0x89, 0xe0, ...wide(mode), 0x8d, ...absolute(mode, 4, at + site.bytes)],
            ...[0x51, ...wide(mode), 0x89, 0xc4],
          ];
        case 6:
          return [...move(mode, 7, at), ...move(mode, 1, site.bytes), 0xfc, 0xf3, 0xaa];
        case 7:
          return [...move(mode, 6, DATA_BASE + (value & 0xfff)), ...move(mode, 7, at), 0xfc, ...w, 0xa5];
        case 8:
          return q
            ? [0x66, 0x0f, 0xd6, ...absolute(mode, value & 7, at)]
            : [0x66, 0x0f, 0x7e, ...absolute(mode, value & 7, at)];
        case 9:
          return q ? [0x0f, 0x13, ...absolute(mode, 1, at)] : [0xc6, ...absolute(mode, 0, at - 1), opcode];
        default:
          // lock cmpxchg, which may well fail
          return [0xf0, ...w, 0x0f, 0xb1, ...absolute(mode, register, at)];
      }
    });
  }

  /** Data in the middle of code, counted up. */
  #besideCode(): void {
    const { mode } = this.#p;
    this.#linked('data in code', (at) => {
      const size = absolute(mode, 0, 0).length + 1;
      return [0xff, ...absolute(mode, 0, at + size + 2), 0xeb, 4, 1, 2, 3, 4];
    });
  }

  /** A loop through memory that may leave it: what faults, faults at some later round, with flags and all. */
  #walk(): void {
    const r = this.#r;
    const { mode } = this.#p;
    const counter = this.#nextCounter();
    if (counter === undefined) return;
    const pointer = r.pick(this.#p.free.filter((n) => n !== 0 && n !== 1));
    const start = DATA_BASE + (r.chance(70) ? 0x1f00 + r.below(0x100) : r.below(0x1f00));
    const stride = r.pick([1, 2, 4, 8, 16, 64, 0x7f]);
    const rounds = 8 + r.below(60);
    this.#bytes('walk', [
      ...move(mode, pointer, start),
      ...[0xc7, ...absolute(mode, 0, counter), ...le32(rounds)],
    ]);
    const head = this.items.length;
    const divides = r.chance(15);
    for (let n = r.below(4); n > 0; n--) this.items.push(...this.#p.instruction([pointer]));
    if (divides) {
      // xor edx, edx; div byte/dword of a number that runs down to nothing
      this.#bytes('divide', [...[0x31, 0xd2], 0xf7, ...absolute(mode, 6, counter)]);
    } else this.#bytes('access', walkAccess(mode, r.below(0x200), pointer));
    if (r.chance(50)) this.#consume();
    const r7 = pointer & 7;
    const step =
      r.chance(50) && r7 !== 4
        ? [...(pointer > 7 ? [0x4d] : mode === 64 ? [0x48] : []), 0x8d, 0x40 | (r7 * 9), stride] // lea
        : [...rex(mode, pointer, 1), 0x83, 0xc0 | r7, stride]; // add
    this.#bytes('step', step);
    if (r.chance(50))
      this.#linked('back', (at, where) => {
        const size = countWithoutFlags(mode, counter, 16, 0).length;
        return countWithoutFlags(mode, counter, 16, where.address(head) - at - size);
      });
    else
      this.#linked('back', (at, where) => {
        const count = [0x83, ...absolute(mode, 5, counter), 1];
        return [...count, 0x0f, 0x8f, ...le32(where.address(head) - at - count.length - 6)];
      });
  }
}
