/**
 * Arithmetic flags while a region is staged: who produced them is known, so conditions become comparisons, and they are
 * put into locals only where execution may leave or ways meet (flags.ts). Branches inside an instruction see them in
 * the interpreter's form.
 */
import { apply, E, i32, i64, local } from '../../x86/expr.ts';
import { Ops } from '../../x86/ops.ts';
import type { Row } from '../../x86/row.ts';
import * as S from '../../x86/state.ts';
import { type WasmOp, wasmOp } from '../../wasm/opcodes.ts';
import { kindNumber, type LazyKind, type Material, materialize } from './flags.ts';
import { LOCAL, LOCAL_TYPES } from './locals.ts';

/** The interpreter's instruction. */
export class NotTranslatable extends Error {}

/** What the translator knows about the arithmetic flags. */
export type Flags =
  /** (kind, a, b) are in the locals; only at run time is the kind known. */
  | { readonly known: 'runtime' }
  | {
      readonly known: 'lazy';
      readonly kind: LazyKind;
      readonly bytes: number;
      readonly a: E;
      readonly b: E;
      /** The three locals hold this. */
      readonly synced: boolean;
    }
  /** Result, CF, OF and AF (i32 0/1) of shifts, rotates and products. */
  | {
      readonly known: 'result';
      readonly bytes: number;
      readonly result: E;
      readonly cf: E;
      readonly of: E;
      readonly af: E;
    };

const FLAGS_A = local('i64', LOCAL.FLAGS_A);
const FLAGS_B = local('i64', LOCAL.FLAGS_B);
const FLAGS_KIND = local('i32', LOCAL.FLAGS_KIND);
export const MATERIAL: Flags = {
  known: 'lazy',
  kind: 'material',
  bytes: 8,
  a: FLAGS_A,
  b: FLAGS_B,
  synced: true,
};
export const RUNTIME_FLAGS: Flags = { known: 'runtime' };

export abstract class FlagOps extends Ops {
  #flags: Flags = RUNTIME_FLAGS;
  /** Branches and loops open inside the instruction. */
  protected depth = 0;
  /** The branch being staged touches flags, or may leave. */
  #touchesFlags = false;
  protected leaves = false;
  changesFlags = false;

  /** Puts RIP into its local, before what may leave. */
  protected abstract setRip(): void;

  get flags(): Flags {
    return this.#flags;
  }
  set flags(flags: Flags) {
    this.#flags = flags;
  }
  /** The flags at the end of a block for the one that follows it: only the three locals are left. */
  flagsBehind(): Flags {
    const f = this.#flags;
    if (f.known !== 'lazy' || !f.synced) return RUNTIME_FLAGS;
    return f.kind === 'material' ? MATERIAL : { ...f, a: FLAGS_A, b: FLAGS_B };
  }

  // ---- branches inside an instruction ----

  override if(condition: E, then: () => void, otherwise: () => void = () => {}): void {
    if (condition.op === 'const') {
      if (condition.imm !== 0) then();
      else otherwise();
      return;
    }
    const [outerTouches, outerLeaves] = [this.#touchesFlags, this.leaves];
    this.#touchesFlags = false;
    this.leaves = false;
    this.depth++;
    const thenBody = this.collect(then);
    const leaves = this.leaves;
    const elseBody = this.collect(otherwise);
    this.depth--;
    let bound = condition;
    if (this.depth === 0) {
      if (this.#touchesFlags) {
        bound = this.let(condition);
        this.makeMaterial();
      } else if (this.leaves) this.syncFlags();
      if (this.leaves) this.setRip();
    }
    const unlikely = leaves && elseBody.length === 0;
    this.emit({ k: 'if', condition: bound, then: thenBody, else: elseBody, unlikely });
    this.#touchesFlags ||= outerTouches;
    this.leaves ||= outerLeaves;
    if (this.depth === 0) {
      this.#touchesFlags = false;
      this.leaves = false;
    }
  }
  override loop(body: () => void): void {
    const [outerTouches, outerLeaves] = [this.#touchesFlags, this.leaves];
    this.#touchesFlags = false;
    this.leaves = false;
    this.depth++;
    const inner = this.collect(body);
    this.depth--;
    if (this.depth === 0) {
      if (this.#touchesFlags) this.makeMaterial();
      else if (this.leaves) this.syncFlags();
      if (this.leaves) this.setRip();
      this.#touchesFlags = false;
      this.leaves = false;
    } else {
      this.#touchesFlags ||= outerTouches;
      this.leaves ||= outerLeaves;
    }
    this.emit({ k: 'loop', body: inner });
  }

  override state64(offset: number): E {
    if (offset === S.FLAG_RESULT || offset === S.FLAG_CARRIES) {
      this.#needMaterial();
      return this.let(offset === S.FLAG_RESULT ? FLAGS_A : FLAGS_B);
    }
    return super.state64(offset);
  }
  override setState64(offset: number, value: E | number | bigint): void {
    if (offset === S.FLAG_RESULT || offset === S.FLAG_CARRIES) {
      if (this.depth === 0 && overwritesFlags(this.row)) this.#becomeMaterial();
      else this.#needMaterial();
      this.changesFlags = true;
      const local = offset === S.FLAG_RESULT ? LOCAL.FLAGS_A : LOCAL.FLAGS_B;
      this.emit({ k: 'set', local, value: i64(value) });
    } else super.setState64(offset, value);
  }

  // ---- flags ----

  #setFlags(kind: LazyKind, bytes: number, a: E, b: E): void {
    this.changesFlags = true;
    if (this.depth === 0) {
      this.#flags = { known: 'lazy', kind, bytes, a: this.#pin(a), b: this.#pin(b), synced: false };
      return;
    }
    this.#touchesFlags = true;
    this.#storeMaterial(materialize(this, kind, bytes, a, b));
  }
  /** A value that stays what it is while registers change. */
  #pin(value: E): E {
    return value.op === 'const' || (value.op === 'local' && (value.imm as number) >= LOCAL_TYPES.length)
      ? value
      : this.let(value);
  }
  #storeMaterial({ result, carries }: Material): void {
    const r = this.let(result);
    this.emit({ k: 'set', local: LOCAL.FLAGS_B, value: carries });
    this.emit({ k: 'set', local: LOCAL.FLAGS_A, value: r });
  }
  override flagsAdd(a: E, b: E, r: E, bytes: number = this.size): void {
    if (this.row.mnemonic === 'ADC') this.#computed(() => super.flagsAdd(a, b, r, bytes));
    else this.#setFlags('add', bytes, a, b);
  }
  override flagsSub(a: E, b: E, r: E, bytes: number = this.size): void {
    if (this.row.mnemonic === 'SBB') this.#computed(() => super.flagsSub(a, b, r, bytes));
    else this.#setFlags('sub', bytes, a, b);
  }
  /** Flags that the general formulas give at once. */
  #computed(body: () => void): void {
    if (this.depth === 0) this.#becomeMaterial();
    body();
  }
  /** What the flags were matters no more: both halves of the interpreter's form are about to be written. */
  #becomeMaterial(): void {
    this.changesFlags = true;
    if (this.#flags === MATERIAL) return;
    this.#flags = MATERIAL;
    this.emit({ k: 'set', local: LOCAL.FLAGS_KIND, value: i32(0) });
  }
  override flagsKeepingCarry(kind: 'add' | 'sub', a: E, b: E, r: E, bytes: number = this.size): void {
    if (this.depth > 0) super.flagsKeepingCarry(kind, a, b, r, bytes);
    else this.#setFlags(kind === 'add' ? 'inc' : 'dec', bytes, r, this.let(this.cf().u64()));
  }
  override flagsLogic(r: E, bytes: number = this.size): void {
    this.#setFlags('logic', bytes, r, i64(0));
  }
  override flagsResult(r: E, cf: E, of: E, af: E = i32(0), bytes: number = this.size): void {
    this.changesFlags = true;
    if (this.depth > 0) {
      this.#touchesFlags = true;
      super.flagsResult(r, cf, of, af, bytes);
      return;
    }
    this.#flags = {
      known: 'result',
      bytes,
      result: this.#pin(r),
      cf: this.#pin(cf),
      of: this.#pin(of),
      af: this.#pin(af),
    };
  }

  /** Puts the flags into the three locals, if they are not there. */
  syncFlags(): void {
    const f = this.#flags;
    if (f.known === 'runtime' || (f.known === 'lazy' && f.synced)) return;
    if (f.known === 'result') {
      this.makeMaterial();
      return;
    }
    this.emit({ k: 'set', local: LOCAL.FLAGS_A, value: f.a });
    this.emit({ k: 'set', local: LOCAL.FLAGS_B, value: f.b });
    this.emit({ k: 'set', local: LOCAL.FLAGS_KIND, value: i32(kindNumber(f.kind, f.bytes)) });
    this.#flags = { ...f, synced: true };
  }
  /** As `syncFlags`, in the interpreter's form. */
  makeMaterial(): void {
    const f = this.#flags;
    if (f.known === 'lazy' && f.kind === 'material') return;
    if (f.known === 'runtime') {
      this.emit({
        k: 'if',
        condition: FLAGS_KIND,
        then: [
          { k: 'call', name: 'region_flags', args: [FLAGS_KIND, FLAGS_A, FLAGS_B] },
          { k: 'set', local: LOCAL.FLAGS_A, value: apply('i64.load', [this.cpu], S.FLAG_RESULT) },
          { k: 'set', local: LOCAL.FLAGS_B, value: apply('i64.load', [this.cpu], S.FLAG_CARRIES) },
          { k: 'set', local: LOCAL.FLAGS_KIND, value: i32(0) },
        ],
        else: [],
      });
    } else {
      if (f.known === 'result') {
        const cf = this.let(f.cf.u64());
        const carries = cf.shl(63).or(cf.xor(f.of.u64()).shl(62)).or(f.af.u64().shl(3));
        this.#storeMaterial({ result: f.result.signExtend(f.bytes), carries });
      } else this.#storeMaterial(materialize(this, f.kind, f.bytes, f.a, f.b));
      this.emit({ k: 'set', local: LOCAL.FLAGS_KIND, value: i32(0) });
    }
    this.#flags = MATERIAL;
  }
  /** The flags are about to be read or changed in the interpreter's form. */
  #needMaterial(): void {
    if (this.depth > 0) this.#touchesFlags = true;
    else this.makeMaterial();
  }

  /** What is known statically, where it may be used: a branch inside an instruction sees the material form. */
  #static(): Flags {
    return this.depth > 0 ? RUNTIME_FLAGS : this.#flags;
  }
  override cf(): E {
    return this.#bound(this.#carry());
  }
  /** The three locals may be overwritten before the value is used. */
  #bound(e: E): E {
    const f = this.#static();
    return f.known === 'lazy' && f.synced && f.kind !== 'material' ? this.let(e) : e;
  }
  #carry(): E {
    const f = this.#static();
    if (f.known === 'result') return f.cf;
    if (f.known === 'lazy') {
      const narrow = (x: E): E => (f.bytes === 8 ? x : x.wrap().zeroExtend(f.bytes));
      if (f.kind === 'sub') return narrow(f.a).ltU(narrow(f.b));
      if (f.kind === 'add') return narrow(f.a.add(f.b)).ltU(narrow(f.a));
      if (f.kind === 'logic') return i32(0);
      if (f.kind === 'inc' || f.kind === 'dec') return f.b.wrap();
    }
    return super.cf();
  }
  override zf(): E {
    return this.#bound(this.#zero());
  }
  #zero(): E {
    const f = this.#static();
    if (f.known === 'result') return zero(f.result, f.bytes);
    if (f.known === 'lazy') {
      if (f.kind === 'sub') return equal(f.a, f.b, f.bytes);
      if (f.kind === 'add') return zero(f.a.add(f.b), f.bytes);
      if (f.kind !== 'material') return zero(f.a, f.bytes);
    }
    return super.zf();
  }
  override sf(): E {
    return this.#bound(this.#sign());
  }
  #sign(): E {
    const f = this.#static();
    if (f.known === 'result') return negative(f.result, f.bytes);
    if (f.known === 'lazy') {
      if (f.kind === 'sub') return negative(f.a.sub(f.b), f.bytes);
      if (f.kind === 'add') return negative(f.a.add(f.b), f.bytes);
      if (f.kind !== 'material') return negative(f.a, f.bytes);
    }
    return super.sf();
  }
  override of(): E {
    const f = this.#static();
    if (f.known === 'result') return f.of;
    if (f.known === 'lazy' && f.kind === 'logic') return i32(0);
    return super.of();
  }
  override condition(cc: number): E {
    const base = this.#comparison(cc >> 1);
    if (base === null) return super.condition(cc);
    return this.#bound((cc & 1) === 0 ? base : invert(base));
  }
  #comparison(pair: number): E | null {
    const f = this.#static();
    if (f.known !== 'lazy') return null;
    const { kind, bytes } = f;
    if (kind === 'sub') {
      const signed = (x: E): E => (bytes === 8 ? x : x.wrap().signExtend(bytes));
      const unsigned = (x: E): E => (bytes === 8 ? x : x.wrap().zeroExtend(bytes));
      if (pair === 1) return unsigned(f.a).ltU(unsigned(f.b));
      if (pair === 2) return equal(f.a, f.b, bytes);
      if (pair === 3) return unsigned(f.a).leU(unsigned(f.b));
      if (pair === 6) return signed(f.a).ltS(signed(f.b));
      if (pair === 7) return signed(f.a).leS(signed(f.b));
    }
    if (kind === 'logic') {
      if (pair === 3) return zero(f.a, bytes);
      if (pair === 6) return negative(f.a, bytes);
      if (pair === 7) {
        const v = bytes === 8 ? f.a : f.a.wrap().signExtend(bytes);
        return v.leS(0);
      }
    }
    if (pair === 2) return this.zf();
    return null;
  }
}

const ARITHMETIC = [...'oszapc'];
/** Does an instruction write all arithmetic flags, whatever they were? */
function overwritesFlags({ flags }: Row): boolean {
  return (
    ARITHMETIC.every((f) => flags.written.includes(f) || flags.undefined.includes(f)) &&
    !ARITHMETIC.some((f) => flags.read.includes(f))
  );
}

function zero(x: E, bytes: number): E {
  return bytes === 8 ? x.eqz() : x.wrap().zeroExtend(bytes).eqz();
}
function equal(a: E, b: E, bytes: number): E {
  if (bytes === 8) return a.eq(b);
  return a.wrap().zeroExtend(bytes).eq(b.wrap().zeroExtend(bytes));
}
function negative(x: E, bytes: number): E {
  return bytes === 8 ? x.ltS(0) : x.wrap().signExtend(bytes).ltS(0);
}
const INVERSE: ReadonlyMap<WasmOp, WasmOp> = new Map(
  ['lt_u ge_u', 'le_u gt_u', 'lt_s ge_s', 'le_s gt_s', 'eq ne'].flatMap((pair) =>
    ['i32', 'i64'].map((ty) => {
      const [op, inverse] = pair.split(' ').map((name) => wasmOp(`${ty}.${name}`));
      return [op, inverse] as [WasmOp, WasmOp];
    }),
  ),
);
/** The opposite of a comparison, for i32 0/1. */
function invert(e: E): E {
  const inverse = e.instruction === null ? undefined : INVERSE.get(e.instruction);
  return inverse === undefined ? e.eqz() : new E(inverse.name, 'i32', e.args, 0, inverse);
}
