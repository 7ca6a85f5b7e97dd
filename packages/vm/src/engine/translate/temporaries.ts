/**
 * Temporaries of one block: removes those that nobody reads, and lets the others share few WebAssembly locals.
 * Temporaries never live from one block to another.
 */
import type { Ty } from '../../wasm/opcodes.ts';
import type { Stmt } from '../../x86/block.ts';
import type { E } from '../../x86/expr.ts';
import { LOCAL_TYPES } from './locals.ts';

const FIRST = LOCAL_TYPES.length;

/** Counts how often each temporary is read, as drops undo it. */
export class Reads {
  readonly #counts = new Map<number, number>();

  expression(e: E, by = 1): void {
    if (e.op === 'local') {
      const n = e.imm as number;
      if (n >= FIRST) this.#counts.set(n, (this.#counts.get(n) ?? 0) + by);
      return;
    }
    for (const arg of e.args) this.expression(arg, by);
  }
  statements(list: readonly Stmt[]): void {
    for (const s of list)
      forEachExpression(
        s,
        (e) => this.expression(e),
        (inner) => this.statements(inner),
      );
  }
  of(local: number): number {
    return this.#counts.get(local) ?? 0;
  }
}

function forEachExpression(s: Stmt, visit: (e: E) => void, inside: (list: readonly Stmt[]) => void): void {
  switch (s.k) {
    case 'set':
    case 'drop':
      visit(s.value);
      break;
    case 'store':
      visit(s.address);
      visit(s.value);
      break;
    case 'if':
      visit(s.condition);
      inside(s.then);
      inside(s.else);
      break;
    case 'loop':
      inside(s.body);
      break;
    case 'call':
    case 'bulk':
      for (const arg of s.args) visit(arg);
      break;
    case 'return':
      for (const value of s.values) visit(value);
      break;
    default:
  }
}

function hasCall(e: E): boolean {
  return e.op === 'call' || e.op.includes('atomic') || e.args.some(hasCall);
}

/** Drops assignments to temporaries that nobody reads, from the end on. */
export function dropUnread(list: readonly Stmt[], reads: Reads): Stmt[] {
  const kept: Stmt[] = [];
  for (let i = list.length - 1; i >= 0; i--) {
    const s = list[i] as Stmt;
    if (s.k === 'set' && s.local >= FIRST && reads.of(s.local) === 0 && !hasCall(s.value)) {
      reads.expression(s.value, -1);
      continue;
    }
    if (s.k === 'if') {
      const otherwise = dropUnread(s.else, reads);
      const then = dropUnread(s.then, reads);
      if (then.length === 0 && otherwise.length === 0 && !hasCall(s.condition)) {
        reads.expression(s.condition, -1);
        continue;
      }
      kept.push({ ...s, then, else: otherwise });
    } else kept.push(s);
  }
  return kept.reverse();
}

/** Gives the temporaries of a block their WebAssembly locals. */
export class Temporaries {
  readonly types: Ty[] = [];
  readonly #typeOf: (temporary: number) => Ty;
  readonly #firstLocal: number;
  readonly #of = new Map<number, number>();

  constructor(typeOf: (temporary: number) => Ty, firstLocal: number) {
    this.#typeOf = typeOf;
    this.#firstLocal = firstLocal;
  }

  local(temporary: number): number {
    return this.#of.get(temporary) as number;
  }

  /**
   * Assigns the temporaries of one block. Those read in `tail` (what is emitted once or more behind the body) stay
   * until its end.
   */
  assign(body: readonly Stmt[], tail: readonly Stmt[], values: readonly E[]): void {
    const last = new Map<number, number>();
    const first = new Map<number, number>();
    let position = 0;
    const read = (e: E): void => {
      if (e.op === 'local') {
        if ((e.imm as number) >= FIRST) last.set(e.imm as number, position);
      } else for (const arg of e.args) read(arg);
    };
    const walk = (list: readonly Stmt[]): void => {
      for (const s of list) {
        position++;
        const start = position;
        forEachExpression(s, read, walk);
        if (s.k === 'set' && s.local >= FIRST) {
          if (!first.has(s.local)) first.set(s.local, position);
          last.set(s.local, Math.max(position, last.get(s.local) ?? 0));
        }
        if (s.k !== 'loop') continue;
        // what lives anywhere in a loop and was there before it lives to its end
        position++;
        for (const [t, at] of last) if (at >= start) last.set(t, position);
      }
    };
    walk(body);
    const tailStart = ++position;
    for (const e of values) read(e);
    walk(tail);
    for (const [t, at] of last) if (at >= tailStart) last.set(t, Infinity);
    this.#allocate(first, last);
  }

  #allocate(first: ReadonlyMap<number, number>, last: ReadonlyMap<number, number>): void {
    const free = new Map<Ty, number[]>();
    this.types.forEach((ty, i) => {
      const list = free.get(ty);
      if (list === undefined) free.set(ty, [this.#firstLocal + i]);
      else list.push(this.#firstLocal + i);
    });
    const busy: { until: number; ty: Ty; local: number }[] = [];
    const order = [...first].sort((a, b) => a[1] - b[1]);
    for (const [temporary, at] of order) {
      for (let i = busy.length - 1; i >= 0; i--) {
        const b = busy[i] as (typeof busy)[number];
        if (b.until >= at) continue;
        (free.get(b.ty) ?? []).push(b.local);
        busy.splice(i, 1);
      }
      const ty = this.#typeOf(temporary);
      let local = free.get(ty)?.pop();
      if (local === undefined) {
        local = this.#firstLocal + this.types.length;
        this.types.push(ty);
        if (!free.has(ty)) free.set(ty, []);
      }
      this.#of.set(temporary, local);
      busy.push({ until: last.get(temporary) ?? at, ty, local });
    }
  }
}
