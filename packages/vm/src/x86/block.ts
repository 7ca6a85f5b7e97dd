/**
 * Statements around expressions: a function body under construction. `B` is what warm functions (page walk,
 * softfloat) are written with; instruction semantics use the richer `Ops` (ops.ts) on top of it.
 */
import { type Ty, wasmOp } from '../wasm/opcodes.ts';
import { apply, E, local, type Operand, toE } from './expr.ts';

export type Stmt =
  | { readonly k: 'set'; readonly local: number; readonly value: E }
  | { readonly k: 'drop'; readonly value: E }
  | {
      readonly k: 'store';
      readonly op: string;
      readonly address: E;
      readonly value: E;
      readonly offset: number;
    }
  | { readonly k: 'fence' }
  | {
      readonly k: 'if';
      readonly condition: E;
      readonly then: readonly Stmt[];
      readonly else: readonly Stmt[];
      /** How it usually goes, for the compiler below: `then` hardly ever runs. */
      readonly unlikely?: boolean;
    }
  | { readonly k: 'loop'; readonly body: readonly Stmt[] }
  /** Leaves (`break`) or restarts (`continue`) the innermost loop. */
  | { readonly k: 'break' }
  | { readonly k: 'continue' }
  | { readonly k: 'call'; readonly name: string; readonly args: readonly E[] }
  /** memory.copy (destination, source, bytes) or memory.fill (destination, byte value, bytes), all i32. */
  | { readonly k: 'bulk'; readonly op: 'memory.copy' | 'memory.fill'; readonly args: readonly [E, E, E] }
  | { readonly k: 'return'; readonly values: readonly E[] }
  /** Ends an instruction (ops.ts): how the run loop goes on. `exit` names one of a region's side exits. */
  | { readonly k: 'end'; readonly how: End; readonly exit?: number };

/** How an instruction ends: next record, look the block at RIP up, leave the run loop, or fault. */
export type End = 'next' | 'jump' | 'exit';

const CPU = new E('cpu', 'i32');

/** A mutable local. */
export class Var {
  readonly #b: B;
  readonly index: number;
  readonly ty: Ty;
  constructor(b: B, index: number, ty: Ty) {
    this.#b = b;
    this.index = index;
    this.ty = ty;
  }
  /** The value at the time the expression is evaluated: bind it with `let` to keep it. */
  get(): E {
    return local(this.ty, this.index);
  }
  set(value: Operand): void {
    this.#b.emit({ k: 'set', local: this.index, value: toE(value, this.ty) });
  }
}

export class B {
  readonly locals: Ty[] = [];
  #out: Stmt[] = [];

  emit(statement: Stmt): void {
    this.#out.push(statement);
  }
  get statements(): readonly Stmt[] {
    return this.#out;
  }

  /** Evaluates `value` now and gives an expression that repeats the result for free. */
  let(value: E): E {
    if (value.op === 'const' || value.op === 'param') return value;
    const index = this.locals.push(value.ty) - 1;
    this.emit({ k: 'set', local: index, value });
    return local(value.ty, index);
  }
  var(ty: Ty, initial?: Operand): Var {
    const v = new Var(this, this.locals.length, ty);
    this.locals.push(ty);
    if (initial !== undefined) v.set(initial);
    return v;
  }
  /** Parameter `index` of the function (Program.define). */
  param(index: number, ty: Ty): E {
    return new E('param', ty, undefined, index);
  }

  /** Collects the statements that `body` emits. */
  collect(body: () => void): Stmt[] {
    const outer = this.#out;
    const inner: Stmt[] = [];
    this.#out = inner;
    try {
      body();
    } finally {
      this.#out = outer;
    }
    return inner;
  }
  /** @param condition i32 */
  if(condition: E, then: () => void, otherwise: () => void = () => {}): void {
    this.emit({ k: 'if', condition, then: this.collect(then), else: this.collect(otherwise) });
  }
  /** Runs `body` until it breaks. */
  loop(body: () => void): void {
    this.emit({ k: 'loop', body: [...this.collect(body)] });
  }
  while(condition: () => E, body: () => void): void {
    this.loop(() => {
      this.if(condition(), body, () => this.break());
    });
  }
  break(): void {
    this.emit({ k: 'break' });
  }
  continue(): void {
    this.emit({ k: 'continue' });
  }
  return(...values: E[]): void {
    this.emit({ k: 'return', values });
  }
  fence(): void {
    this.emit({ k: 'fence' });
  }
  hostCopy(destination: E, source: E, bytes: E): void {
    this.emit({ k: 'bulk', op: 'memory.copy', args: [destination, source, bytes] });
  }
  hostFill(destination: E, value: E, bytes: E): void {
    this.emit({ k: 'bulk', op: 'memory.fill', args: [destination, value, bytes] });
  }
  /** Evaluates for its effect only (atomics). */
  drop(value: E): void {
    this.emit({ k: 'drop', value });
  }
  /** Calls a function without a result. */
  callVoid(name: string, ...args: E[]): void {
    this.emit({ k: 'call', name, args });
  }

  /** Loads from linear memory at host address `address` + `offset`, at once. @param op e.g. `i64.load32_u` */
  hostLoad(op: string, address: E, offset = 0): E {
    return this.let(apply(op, [address], offset));
  }
  /** Stores into linear memory. @param op e.g. `i32.store8` */
  hostStore(op: string, address: E, value: Operand, offset = 0): void {
    const ty = wasmOp(op).params[1] as Ty;
    this.emit({ k: 'store', op, address, value: toE(value, ty), offset });
  }

  // ---- vCPU state (x86/state.ts) ----

  /** Host address of the vCPU's area. */
  get cpu(): E {
    return CPU;
  }
  state32(offset: number): E {
    return this.hostLoad('i32.load', this.cpu, offset);
  }
  state64(offset: number): E {
    return this.hostLoad('i64.load', this.cpu, offset);
  }
  setState32(offset: number, value: Operand): void {
    this.hostStore('i32.store', this.cpu, value, offset);
  }
  setState64(offset: number, value: Operand): void {
    this.hostStore('i64.store', this.cpu, value, offset);
  }
}

/** A named function in the vocabulary, callable from semantics with `call(name, …)`. */
export interface Definition {
  readonly name: string;
  readonly params: readonly Ty[];
  readonly result: Ty | null;
  /** Built when first asked for: a running machine has no use for it. */
  readonly body: B;
}

/**
 * Defines a warm function. Every function has the vCPU's area as a hidden first parameter (`b.cpu`).
 * @param build gets the builder and the parameters
 */
export function define(
  name: string,
  params: readonly Ty[],
  result: Ty | null,
  build: (b: B, ...args: E[]) => void,
): Definition {
  let built: B | null = null;
  return {
    name,
    params,
    result,
    get body(): B {
      if (built !== null) return built;
      built = new B();
      build(built, ...params.map((ty, i) => new E('param', ty, [], i)));
      return built;
    },
  };
}
