/**
 * Typed expressions: what semantic functions compute with. A tree of WebAssembly instructions without side
 * effects except loads; the interpreter generator, the translator and the reference evaluator all walk it.
 * A tree that is used twice is computed twice: bind it with `let` (block.ts) instead.
 */
import { type Ty, type WasmOp, wasmOp } from '../wasm/opcodes.ts';

/** A number stands for a constant of the type the context wants. */
export type Operand = E | number | bigint;

/** An instruction that both integer types have; other types are looked up by name. */
interface Typed {
  readonly mnemonic: string;
  readonly i32: WasmOp;
  readonly i64: WasmOp;
}
function typed(mnemonic: string): Typed {
  return { mnemonic, i32: wasmOp(`i32.${mnemonic}`), i64: wasmOp(`i64.${mnemonic}`) };
}
function pick(op: Typed, ty: Ty): WasmOp {
  return ty === 'i64' ? op.i64 : ty === 'i32' ? op.i32 : wasmOp(`${ty}.${op.mnemonic}`);
}

const ADD = typed('add');
const SUB = typed('sub');
const MUL = typed('mul');
const AND = typed('and');
const OR = typed('or');
const XOR = typed('xor');
const SHL = typed('shl');
const SHR_U = typed('shr_u');
const SHR_S = typed('shr_s');
const ROTL = typed('rotl');
const ROTR = typed('rotr');
const DIV_U = typed('div_u');
const DIV_S = typed('div_s');
const REM_U = typed('rem_u');
const REM_S = typed('rem_s');
const CLZ = typed('clz');
const CTZ = typed('ctz');
const POPCNT = typed('popcnt');
const EQZ = typed('eqz');
const EQ = typed('eq');
const NE = typed('ne');
const LT_U = typed('lt_u');
const LT_S = typed('lt_s');
const GT_U = typed('gt_u');
const GT_S = typed('gt_s');
const LE_U = typed('le_u');
const LE_S = typed('le_s');
const GE_U = typed('ge_u');
const GE_S = typed('ge_s');
const EXTEND8_S = typed('extend8_s');
const EXTEND16_S = typed('extend16_s');
const EXTEND32_S = wasmOp('i64.extend32_s');
const WRAP = wasmOp('i32.wrap_i64');
const EXTEND_U = wasmOp('i64.extend_i32_u');
const EXTEND_S = wasmOp('i64.extend_i32_s');
const NOT = wasmOp('v128.not');

const NO_ARGS: readonly E[] = [];

export class E {
  /** WebAssembly instruction name, or one of `const`, `local`, `call`, `select`, `param`, `cpu`, `rec`. */
  readonly op: string;
  readonly ty: Ty;
  readonly args: readonly E[];
  /** Constant value, local number, memory offset, lane number, shuffle lanes or function name. */
  readonly imm: number | bigint | string | readonly number[];
  /** Null where `op` is no WebAssembly instruction's name. */
  readonly instruction: WasmOp | null;

  constructor(
    op: string,
    ty: Ty,
    args: readonly E[] = NO_ARGS,
    imm: E['imm'] = 0,
    instruction: WasmOp | null = null,
  ) {
    this.op = op;
    this.ty = ty;
    this.args = args;
    this.imm = imm;
    this.instruction = instruction;
  }

  #same(typed: Typed, other: Operand): E {
    const op = pick(typed, this.ty);
    return build(op, [this, toE(other, op.params[1] as Ty)]);
  }
  #unary(typed: Typed): E {
    return build(pick(typed, this.ty), [this]);
  }

  add(b: Operand): E {
    return this.#same(ADD, b);
  }
  sub(b: Operand): E {
    return this.#same(SUB, b);
  }
  mul(b: Operand): E {
    return this.#same(MUL, b);
  }
  and(b: Operand): E {
    return this.#same(AND, b);
  }
  or(b: Operand): E {
    return this.#same(OR, b);
  }
  xor(b: Operand): E {
    return this.#same(XOR, b);
  }
  /** Bitwise complement (integers and v128). */
  not(): E {
    return this.ty === 'v128' ? build(NOT, [this]) : this.#same(XOR, -1);
  }
  /** Two's complement negation (integers), sign flip (floats). */
  neg(): E {
    return this.ty === 'i32' || this.ty === 'i64'
      ? constant(this.ty, 0).sub(this)
      : apply(`${this.ty}.neg`, [this]);
  }
  shl(b: Operand): E {
    return this.#same(SHL, b);
  }
  shrU(b: Operand): E {
    return this.#same(SHR_U, b);
  }
  shrS(b: Operand): E {
    return this.#same(SHR_S, b);
  }
  rotl(b: Operand): E {
    return this.#same(ROTL, b);
  }
  rotr(b: Operand): E {
    return this.#same(ROTR, b);
  }
  divU(b: Operand): E {
    return this.#same(DIV_U, b);
  }
  divS(b: Operand): E {
    return this.#same(DIV_S, b);
  }
  remU(b: Operand): E {
    return this.#same(REM_U, b);
  }
  remS(b: Operand): E {
    return this.#same(REM_S, b);
  }
  clz(): E {
    return this.#unary(CLZ);
  }
  ctz(): E {
    return this.#unary(CTZ);
  }
  popcnt(): E {
    return this.#unary(POPCNT);
  }
  /** Comparisons give i32 0 or 1. */
  eqz(): E {
    return this.#unary(EQZ);
  }
  eq(b: Operand): E {
    return this.#same(EQ, b);
  }
  ne(b: Operand): E {
    return this.#same(NE, b);
  }
  ltU(b: Operand): E {
    return this.#same(LT_U, b);
  }
  ltS(b: Operand): E {
    return this.#same(LT_S, b);
  }
  gtU(b: Operand): E {
    return this.#same(GT_U, b);
  }
  gtS(b: Operand): E {
    return this.#same(GT_S, b);
  }
  leU(b: Operand): E {
    return this.#same(LE_U, b);
  }
  leS(b: Operand): E {
    return this.#same(LE_S, b);
  }
  geU(b: Operand): E {
    return this.#same(GE_U, b);
  }
  geS(b: Operand): E {
    return this.#same(GE_S, b);
  }
  /** i64 → i32. */
  wrap(): E {
    return this.ty === 'i32' ? this : build(WRAP, [this]);
  }
  /** i32 → i64. */
  u64(): E {
    return this.ty === 'i64' ? this : build(EXTEND_U, [this]);
  }
  s64(): E {
    return this.ty === 'i64' ? this : build(EXTEND_S, [this]);
  }
  /** Sign-extends the low `bytes` bytes to the full width. */
  signExtend(bytes: number): E {
    if (bytes === 8 || (bytes === 4 && this.ty === 'i32')) return this;
    return bytes === 4 ? build(EXTEND32_S, [this]) : this.#unary(bytes === 1 ? EXTEND8_S : EXTEND16_S);
  }
  /** Clears everything above the low `bytes` bytes. */
  zeroExtend(bytes: number): E {
    if (bytes === 8 || (bytes === 4 && this.ty === 'i32')) return this;
    return this.and(this.ty === 'i64' ? lowBytes(bytes) : 2 ** (bytes * 8) - 1);
  }
  /** Any instruction by name with `this` as its first operand: `a.op('f64x2.add', b)`. */
  op2(name: string, ...rest: Operand[]): E {
    return apply(name, [this, ...rest]);
  }
  /** Lane access and similar: instruction with an immediate. */
  lane(name: string, lane: number | readonly number[], ...rest: Operand[]): E {
    return apply(name, [this, ...rest], lane);
  }
}

/** Builds an instruction, turning numbers into constants of the parameter's type. */
export function apply(name: string, args: readonly Operand[], imm: E['imm'] = 0): E {
  const op = wasmOp(name);
  return build(op, isTyped(args) ? args : args.map((arg, i) => toE(arg, op.params[i] as Ty)), imm);
}

function isTyped(args: readonly Operand[]): args is readonly E[] {
  for (const arg of args) if (!(arg instanceof E)) return false;
  return true;
}

function build(op: WasmOp, args: readonly E[], imm: E['imm'] = 0): E {
  const { name, params, result } = op;
  if (result === null) throw new Error(`${name} has no result`);
  if (params.length !== args.length) throw new Error(`${name} takes ${params.length} operands`);
  for (let i = 0; i < params.length; i++) {
    const { ty } = args[i] as E;
    if (ty !== params[i]) throw new Error(`${name}: operand ${i} is ${ty}, not ${params[i]}`);
  }
  return fold(op, result, args) ?? new E(name, result, args, imm, op);
}

/** Small integers are asked for again and again: by type, filled as they are. */
const FIRST_SMALL = -128;
const LAST_SMALL = 4096;
const SMALL: Readonly<Record<'i32' | 'i64', (E | undefined)[]>> = {
  i32: new Array<E | undefined>(LAST_SMALL - FIRST_SMALL + 1).fill(undefined),
  i64: new Array<E | undefined>(LAST_SMALL - FIRST_SMALL + 1).fill(undefined),
};

function small(ty: 'i32' | 'i64', n: number): E {
  return (SMALL[ty][n - FIRST_SMALL] ??= new E('const', ty, NO_ARGS, ty === 'i64' ? BigInt(n) : n));
}

export function constant(ty: Ty, value: number | bigint): E {
  const n = Number(value);
  if (ty === 'i64' || ty === 'i32') {
    if (n === (n | 0) && n >= FIRST_SMALL && n <= LAST_SMALL) return small(ty, n);
    if (ty === 'i64') return new E('const', ty, NO_ARGS, BigInt.asIntN(64, BigInt(value)));
    return new E('const', ty, NO_ARGS, n === (n | 0) ? n : Number(BigInt.asIntN(32, BigInt(value))));
  }
  return new E('const', ty, NO_ARGS, ty === 'v128' ? BigInt.asUintN(128, BigInt(value)) : n);
}

/** The value of local `index` at the time of evaluation. */
export function local(ty: Ty, index: number): E {
  return new E('local', ty, NO_ARGS, index);
}

/** i64 with ones in the low `bytes` bytes. */
function lowBytes(bytes: number): E {
  return (LOW_BYTES[bytes] ??= constant('i64', (1n << BigInt(bytes * 8)) - 1n));
}
const LOW_BYTES: E[] = [];

export function toE(value: Operand, ty: Ty): E {
  return value instanceof E ? value : constant(ty, value);
}

export function i32(value: Operand): E {
  return toE(value, 'i32');
}
export function i64(value: Operand): E {
  return toE(value, 'i64');
}
/** A v128 from its 128-bit value (lane 0 in the low bits). */
export function v128(value: bigint): E {
  return constant('v128', value);
}
/** `condition` (i32) ? a : b; both are computed. */
export function select(condition: E, a: Operand, b: Operand): E {
  const ty = a instanceof E ? a.ty : b instanceof E ? b.ty : 'i64';
  return new E('select', ty, [toE(a, ty), toE(b, ty), condition]);
}
/** Calls a named function (Program) that returns `ty`. */
export function call(name: string, ty: Ty, ...args: E[]): E {
  return new E('call', ty, args, name);
}

/** Instructions that undo the one before. */
const UNDOES: ReadonlyMap<WasmOp, WasmOp> = new Map(
  [
    ['i64.reinterpret_f64', 'f64.reinterpret_i64'],
    ['f64.reinterpret_i64', 'i64.reinterpret_f64'],
    ['i32.reinterpret_f32', 'f32.reinterpret_i32'],
    ['f32.reinterpret_i32', 'i32.reinterpret_f32'],
    ['i32.wrap_i64', 'i64.extend_i32_u'],
  ].map(([op = '', before = '']) => [wasmOp(op), wasmOp(before)]),
);
/** Integer instructions that a zero, or all ones, on the right makes the identity. */
const ZERO_IS_NEUTRAL: ReadonlySet<WasmOp> = new Set(
  [ADD, SUB, OR, XOR, SHL, SHR_U, SHR_S, ROTL, ROTR].flatMap(({ i32, i64 }) => [i32, i64]),
);
const ONES_ARE_NEUTRAL: ReadonlySet<WasmOp> = new Set([AND.i32, AND.i64]);

/** Simple identities, so that staged code does not carry masks and shifts of nothing; null = nothing to simplify. */
function fold(op: WasmOp, result: Ty, args: readonly E[]): E | null {
  const a = args[0];
  if (a === undefined) return null;
  const b = args[1];
  if (b === undefined && a.instruction !== null)
    return UNDOES.get(op) === a.instruction ? (a.args[0] as E) : null;
  if (a.op === 'const' && (b === undefined || b.op === 'const')) return foldConstants(op, result, a, b);
  if (b === undefined || b.op !== 'const') return null;
  if (b.imm === 0 || b.imm === 0n) return ZERO_IS_NEUTRAL.has(op) ? a : null;
  if (b.imm === -1 || b.imm === -1n) return ONES_ARE_NEUTRAL.has(op) ? a : null;
  return null;
}

/** Integer instructions whose operands are all constants. */
function foldConstants(op: WasmOp, result: Ty, a: E, b: E | undefined): E | null {
  if ((result !== 'i32' && result !== 'i64') || typeof a.imm === 'object' || typeof a.imm === 'string')
    return null;
  if (a.ty !== 'i32' && a.ty !== 'i64') return null;
  const bits = a.ty === 'i32' ? 32 : 64;
  const x = BigInt(a.imm);
  const y = b === undefined ? 0n : BigInt(b.imm as number | bigint);
  const u = (v: bigint): bigint => BigInt.asUintN(bits, v);
  const value = ((): bigint | null => {
    switch (op.mnemonic) {
      case 'add':
        return x + y;
      case 'sub':
        return x - y;
      case 'and':
        return x & y;
      case 'or':
        return x | y;
      case 'xor':
        return x ^ y;
      case 'shl':
        return x << (y & BigInt(bits - 1));
      case 'shr_u':
        return u(x) >> (y & BigInt(bits - 1));
      case 'shr_s':
        return x >> (y & BigInt(bits - 1));
      case 'eqz':
        return x === 0n ? 1n : 0n;
      case 'eq':
        return x === y ? 1n : 0n;
      case 'ne':
        return x === y ? 0n : 1n;
      case 'lt_u':
        return u(x) < u(y) ? 1n : 0n;
      case 'gt_u':
        return u(x) > u(y) ? 1n : 0n;
      case 'extend8_s':
        return BigInt.asIntN(8, x);
      case 'extend16_s':
        return BigInt.asIntN(16, x);
      case 'extend32_s':
      case 'wrap_i64':
      case 'extend_i32_s':
        return BigInt.asIntN(32, x);
      case 'extend_i32_u':
        return BigInt.asUintN(32, x);
      default:
        return null;
    }
  })();
  return value === null ? null : constant(result, value);
}
