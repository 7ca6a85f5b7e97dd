/**
 * Typed expressions: what semantic functions compute with. A tree of WebAssembly instructions without side
 * effects except loads; the interpreter generator, the translator and the reference evaluator all walk it.
 * A tree that is used twice is computed twice: bind it with `let` (block.ts) instead.
 */
import { type Ty, wasmOp } from '../wasm/opcodes.ts';

/** A number stands for a constant of the type the context wants. */
export type Operand = E | number | bigint;

export class E {
  /** WebAssembly instruction name, or one of `const`, `local`, `call`, `select`, `param`. */
  readonly op: string;
  readonly ty: Ty;
  readonly args: readonly E[];
  /** Constant value, local number, memory offset, lane number, shuffle lanes or function name. */
  readonly imm: number | bigint | string | readonly number[];

  constructor(op: string, ty: Ty, args: readonly E[] = [], imm: E['imm'] = 0) {
    this.op = op;
    this.ty = ty;
    this.args = args;
    this.imm = imm;
  }

  #same(name: string, other: Operand): E {
    return apply(`${this.ty}.${name}`, [this, other]);
  }

  add(b: Operand): E {
    return this.#same('add', b);
  }
  sub(b: Operand): E {
    return this.#same('sub', b);
  }
  mul(b: Operand): E {
    return this.#same('mul', b);
  }
  and(b: Operand): E {
    return this.#same('and', b);
  }
  or(b: Operand): E {
    return this.#same('or', b);
  }
  xor(b: Operand): E {
    return this.#same('xor', b);
  }
  /** Bitwise complement (integers and v128). */
  not(): E {
    return this.ty === 'v128' ? apply('v128.not', [this]) : this.#same('xor', -1);
  }
  /** Two's complement negation (integers), sign flip (floats). */
  neg(): E {
    return this.ty === 'i32' || this.ty === 'i64'
      ? constant(this.ty, 0).sub(this)
      : apply(`${this.ty}.neg`, [this]);
  }
  shl(b: Operand): E {
    return this.#same('shl', b);
  }
  shrU(b: Operand): E {
    return this.#same('shr_u', b);
  }
  shrS(b: Operand): E {
    return this.#same('shr_s', b);
  }
  rotl(b: Operand): E {
    return this.#same('rotl', b);
  }
  rotr(b: Operand): E {
    return this.#same('rotr', b);
  }
  divU(b: Operand): E {
    return this.#same('div_u', b);
  }
  divS(b: Operand): E {
    return this.#same('div_s', b);
  }
  remU(b: Operand): E {
    return this.#same('rem_u', b);
  }
  remS(b: Operand): E {
    return this.#same('rem_s', b);
  }
  clz(): E {
    return apply(`${this.ty}.clz`, [this]);
  }
  ctz(): E {
    return apply(`${this.ty}.ctz`, [this]);
  }
  popcnt(): E {
    return apply(`${this.ty}.popcnt`, [this]);
  }
  /** Comparisons give i32 0 or 1. */
  eqz(): E {
    return apply(`${this.ty}.eqz`, [this]);
  }
  eq(b: Operand): E {
    return this.#same('eq', b);
  }
  ne(b: Operand): E {
    return this.#same('ne', b);
  }
  ltU(b: Operand): E {
    return this.#same('lt_u', b);
  }
  ltS(b: Operand): E {
    return this.#same('lt_s', b);
  }
  gtU(b: Operand): E {
    return this.#same('gt_u', b);
  }
  gtS(b: Operand): E {
    return this.#same('gt_s', b);
  }
  leU(b: Operand): E {
    return this.#same('le_u', b);
  }
  leS(b: Operand): E {
    return this.#same('le_s', b);
  }
  geU(b: Operand): E {
    return this.#same('ge_u', b);
  }
  geS(b: Operand): E {
    return this.#same('ge_s', b);
  }
  /** i64 → i32. */
  wrap(): E {
    return this.ty === 'i32' ? this : apply('i32.wrap_i64', [this]);
  }
  /** i32 → i64. */
  u64(): E {
    return this.ty === 'i64' ? this : apply('i64.extend_i32_u', [this]);
  }
  s64(): E {
    return this.ty === 'i64' ? this : apply('i64.extend_i32_s', [this]);
  }
  /** Sign-extends the low `bytes` bytes to the full width. */
  signExtend(bytes: number): E {
    if (bytes === 8 || (bytes === 4 && this.ty === 'i32')) return this;
    return apply(`${this.ty}.extend${bytes * 8}_s`, [this]);
  }
  /** Clears everything above the low `bytes` bytes. */
  zeroExtend(bytes: number): E {
    if (bytes === 8 || (bytes === 4 && this.ty === 'i32')) return this;
    return this.and(this.ty === 'i64' ? (1n << BigInt(bytes * 8)) - 1n : 2 ** (bytes * 8) - 1);
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
  if (op.result === null) throw new Error(`${name} has no result`);
  if (op.params.length !== args.length) throw new Error(`${name} takes ${op.params.length} operands`);
  const typed = args.map((arg, i) => toE(arg, op.params[i] as Ty));
  typed.forEach((arg, i) => {
    if (arg.ty !== op.params[i]) throw new Error(`${name}: operand ${i} is ${arg.ty}, not ${op.params[i]}`);
  });
  return fold(new E(name, op.result, typed, imm));
}

export function constant(ty: Ty, value: number | bigint): E {
  if (ty === 'i64') return new E('const', ty, [], BigInt.asIntN(64, BigInt(value)));
  if (ty === 'i32') return new E('const', ty, [], Number(BigInt.asIntN(32, BigInt(value))));
  return new E('const', ty, [], ty === 'v128' ? BigInt.asUintN(128, BigInt(value)) : Number(value));
}

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
const INVERSES: Readonly<Record<string, string>> = {
  'i64.reinterpret_f64': 'f64.reinterpret_i64',
  'f64.reinterpret_i64': 'i64.reinterpret_f64',
  'i32.reinterpret_f32': 'f32.reinterpret_i32',
  'f32.reinterpret_i32': 'i32.reinterpret_f32',
  'i32.wrap_i64': 'i64.extend_i32_u',
};

/** Simple identities, so that staged code does not carry masks and shifts of nothing. */
function fold(e: E): E {
  const [a, b] = e.args;
  if (a === undefined) return e;
  if (INVERSES[e.op] === a.op) return a.args[0] as E;
  if (a.op === 'const' && (b === undefined || b.op === 'const')) return foldConstants(e, a, b);
  if (b === undefined || b.op !== 'const') return e;
  const name = e.op.slice(4);
  const zero = b.imm === 0 || b.imm === 0n;
  if (zero && (e.ty === 'i32' || e.ty === 'i64') && /^(add|sub|or|xor|shl|shr_u|shr_s|rotl|rotr)$/.test(name))
    return a;
  if (name === 'and' && (b.imm === -1 || b.imm === -1n)) return a;
  return e;
}

/** Integer instructions whose operands are all constants. */
function foldConstants(e: E, a: E, b: E | undefined): E {
  const [ty, name = ''] = e.op.split('.');
  if ((ty !== 'i32' && ty !== 'i64') || typeof a.imm === 'object' || typeof a.imm === 'string') return e;
  if (a.ty !== 'i32' && a.ty !== 'i64') return e;
  const bits = a.ty === 'i32' ? 32 : 64;
  const x = BigInt(a.imm);
  const y = b === undefined ? 0n : BigInt(b.imm as number | bigint);
  const u = (v: bigint): bigint => BigInt.asUintN(bits, v);
  const value = ((): bigint | null => {
    switch (name) {
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
  return value === null ? e : constant(e.ty, value);
}
