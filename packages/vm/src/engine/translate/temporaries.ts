/**
 * Temporaries of one block: removes those that nobody reads, and lets the others share few WebAssembly locals.
 * Temporaries never live from one block to another.
 *
 * A block is its body and tails: what is emitted once or more behind it. First everything is walked from its end,
 * which finds what is dropped and where each temporary is used last; then from its start, which gives out locals.
 * Statements that are kept have the same positions on both ways: 0 is the end of the body.
 */
import type { Ty } from '../../wasm/opcodes.ts';
import type { Stmt } from '../../x86/block.ts';
import type { E } from '../../x86/expr.ts';
import { LOCAL_TYPES } from './locals.ts';

const FIRST = LOCAL_TYPES.length;
const UNUSED = -0x8000_0000;
/** Where a temporary is used last that a tail uses. */
const END = 0x7fff_ffff;
const ATOMIC = 0xfe;

function hasEffect(e: E): boolean {
  return e.op === 'call' || e.instruction?.prefix === ATOMIC || e.args.some(hasEffect);
}

export class Temporaries {
  /** Of the WebAssembly locals given out so far. */
  readonly types: Ty[] = [];
  readonly #typeOf: readonly Ty[];
  readonly #firstLocal: number;
  /** By temporary: position of its last use, and its WebAssembly local. */
  readonly #last: Int32Array;
  readonly #local: Int32Array;
  #position = 0;
  /** On the way from the end: what counts as the position of a use, where that is not `#position`. */
  #useAt = UNUSED;
  #inLoop = false;
  /** On the way from the start: locals by type, and temporaries that have one. */
  readonly #free: Readonly<Record<Ty, number[]>> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  #busy: number[] = [];

  /** @param typeOf types of the region's locals, temporaries included */
  constructor(typeOf: readonly Ty[], firstLocal: number) {
    this.#typeOf = typeOf;
    this.#firstLocal = firstLocal;
    this.#last = new Int32Array(typeOf.length).fill(UNUSED);
    this.#local = new Int32Array(typeOf.length);
  }

  local(temporary: number): number {
    return this.#local[temporary] as number;
  }

  // ---- from the end: tails in any order, then the body ----

  /** What is left of a tail. */
  tail(list: readonly Stmt[]): readonly Stmt[] {
    this.#useAt = END;
    return this.#prune(list);
  }
  /** Notes what a tail computes. */
  tailValue(value: E): void {
    this.#useAt = END;
    this.#use(value);
  }
  /** What is left of the body. */
  body(list: readonly Stmt[]): readonly Stmt[] {
    this.#useAt = UNUSED;
    this.#position = 0;
    return this.#prune(list);
  }

  #prune(list: readonly Stmt[]): readonly Stmt[] {
    // what is kept, from the end; null while that is everything as it was
    let kept: Stmt[] | null = null;
    for (let i = list.length - 1; i >= 0; i--) {
      const s = list[i] as Stmt;
      const left = this.#left(s);
      if (left !== s && kept === null) kept = list.slice(i + 1).reverse();
      if (left !== null && kept !== null) kept.push(left);
    }
    return kept === null ? list : kept.reverse();
  }

  /** What is left of a statement, null = nothing. */
  #left(s: Stmt): Stmt | null {
    let left = s;
    switch (s.k) {
      case 'set':
        if (this.#isUnused(s.local) && !this.#inLoop && !hasEffect(s.value)) return null;
        this.#touch(s.local);
        this.#use(s.value);
        break;
      case 'drop':
        this.#use(s.value);
        break;
      case 'store':
        this.#use(s.address);
        this.#use(s.value);
        break;
      case 'if': {
        const otherwise = this.#prune(s.else);
        const then = this.#prune(s.then);
        const empty = then.length === 0 && otherwise.length === 0;
        if (empty && !this.#inLoop && !hasEffect(s.condition)) return null;
        this.#use(s.condition);
        if (then !== s.then || otherwise !== s.else) left = { ...s, then, else: otherwise };
        break;
      }
      case 'loop':
        this.#loop(s.body);
        break;
      case 'call':
      case 'bulk':
        for (const arg of s.args) this.#use(arg);
        break;
      case 'return':
        for (const value of s.values) this.#use(value);
        break;
      default:
    }
    this.#position--;
    return left;
  }

  /** What a loop uses lives to its end. Nothing in it is dropped: an earlier statement may use it the next time. */
  #loop(body: readonly Stmt[]): void {
    const { useAt, inLoop } = { useAt: this.#useAt, inLoop: this.#inLoop };
    if (useAt === UNUSED) this.#useAt = this.#position;
    this.#inLoop = true;
    this.#position--;
    this.#prune(body);
    this.#useAt = useAt;
    this.#inLoop = inLoop;
  }

  #use(e: E): void {
    const { args } = e;
    if (args.length === 0) {
      if (e.op === 'local') this.#touch(e.imm as number);
    } else for (let i = 0; i < args.length; i++) this.#use(args[i] as E);
  }
  #isUnused(local: number): boolean {
    return local >= FIRST && this.#last[local] === UNUSED;
  }
  #touch(local: number): void {
    if (this.#isUnused(local)) this.#last[local] = this.#useAt === UNUSED ? this.#position : this.#useAt;
  }

  // ---- from the start ----

  /** Gives the temporaries of what is left of a block their locals. */
  assign(body: readonly Stmt[], tails: readonly (readonly Stmt[])[]): void {
    this.#busy = [];
    const free = this.#free;
    for (const list of [free.i32, free.i64, free.f32, free.f64, free.v128]) list.length = 0;
    for (let i = 0; i < this.types.length; i++) free[this.types[i] as Ty].push(this.#firstLocal + i);
    this.#walk(body);
    for (const tail of tails) this.#walk(tail);
  }

  #walk(list: readonly Stmt[]): void {
    for (const s of list) {
      this.#position++;
      if (s.k === 'set') {
        if (s.local >= FIRST && this.#local[s.local] === 0) this.#give(s.local);
      } else if (s.k === 'if') {
        this.#walk(s.then);
        this.#walk(s.else);
      } else if (s.k === 'loop') {
        this.#walk(s.body);
        this.#position++;
      }
    }
  }

  #give(temporary: number): void {
    this.#release();
    const ty = this.#typeOf[temporary] as Ty;
    let local = this.#free[ty].pop();
    if (local === undefined) {
      local = this.#firstLocal + this.types.length;
      this.types.push(ty);
    }
    this.#local[temporary] = local;
    this.#busy.push(temporary);
  }
  /** Takes the locals back whose temporaries are not used any more. */
  #release(): void {
    const busy = this.#busy;
    let over = 0;
    for (let i = busy.length - 1; i >= 0; i--) {
      const temporary = busy[i] as number;
      if ((this.#last[temporary] as number) >= this.#position) continue;
      this.#free[this.#typeOf[temporary] as Ty].push(this.#local[temporary] as number);
      over++;
    }
    if (over > 0)
      this.#busy = busy.filter((temporary) => (this.#last[temporary] as number) >= this.#position);
  }
}
