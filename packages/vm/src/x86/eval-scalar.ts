/**
 * Scalar WebAssembly instructions on bit patterns (WebAssembly 2.0, 4.3): every value is an unsigned bigint of its
 * type's width, floats included, so NaN payloads survive moves. A NaN that arithmetic makes is the default NaN of
 * the host's JavaScript, whose payload WebAssembly leaves open.
 */
export type Fn = (...args: readonly bigint[]) => bigint;

const scratch = new DataView(new ArrayBuffer(8));

export function toDouble(bits: bigint): number {
  scratch.setBigUint64(0, bits);
  return scratch.getFloat64(0);
}
export function fromDouble(value: number): bigint {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}
export function toSingle(bits: bigint): number {
  scratch.setUint32(0, Number(bits));
  return scratch.getFloat32(0);
}
export function fromSingle(value: number): bigint {
  scratch.setFloat32(0, value);
  return BigInt(scratch.getUint32(0));
}

export function signed(value: bigint, bits: number): bigint {
  return BigInt.asIntN(bits, value);
}
export function unsigned(value: bigint, bits: number): bigint {
  return BigInt.asUintN(bits, value);
}

function bool(value: boolean): bigint {
  return value ? 1n : 0n;
}

/** Integer arithmetic on `bits`-bit patterns, under the names that scalars and lanes share. */
export function integerOperations(bits: number): Readonly<Record<string, Fn>> {
  const s = (v: bigint): bigint => signed(v, bits);
  const u = (v: bigint): bigint => unsigned(v, bits);
  const count = (v: bigint): bigint => v % BigInt(bits);
  const width = BigInt(bits);
  const rotate = (a: bigint, n: bigint): bigint => u((a << n) | (a >> (width - n)));
  const divide = (a: bigint, b: bigint): bigint => {
    if (b === 0n) throw new Error('integer divide by zero');
    return u(a / b);
  };
  const remainder = (a: bigint, b: bigint): bigint => {
    if (b === 0n) throw new Error('integer divide by zero');
    return u(a % b);
  };
  return {
    add: (a = 0n, b = 0n) => u(a + b),
    sub: (a = 0n, b = 0n) => u(a - b),
    mul: (a = 0n, b = 0n) => u(a * b),
    div_u: (a = 0n, b = 0n) => divide(a, b),
    div_s: (a = 0n, b = 0n) => {
      if (s(b) === -1n && s(a) === -(1n << (width - 1n))) throw new Error('integer overflow');
      return divide(s(a), s(b));
    },
    rem_u: (a = 0n, b = 0n) => remainder(a, b),
    rem_s: (a = 0n, b = 0n) => remainder(s(a), s(b)),
    and: (a = 0n, b = 0n) => a & b,
    or: (a = 0n, b = 0n) => a | b,
    xor: (a = 0n, b = 0n) => a ^ b,
    shl: (a = 0n, b = 0n) => u(a << count(b)),
    shr_u: (a = 0n, b = 0n) => a >> count(b),
    shr_s: (a = 0n, b = 0n) => u(s(a) >> count(b)),
    rotl: (a = 0n, b = 0n) => rotate(a, count(b)),
    rotr: (a = 0n, b = 0n) => rotate(a, (width - count(b)) % width),
    clz: (a = 0n) => width - BigInt(a === 0n ? 0 : a.toString(2).length),
    ctz: (a = 0n) => (a === 0n ? width : BigInt((a & -a).toString(2).length - 1)),
    popcnt: (a = 0n) => BigInt(a.toString(2).replaceAll('0', '').length),
    eqz: (a = 0n) => bool(a === 0n),
    eq: (a = 0n, b = 0n) => bool(a === b),
    ne: (a = 0n, b = 0n) => bool(a !== b),
    lt_s: (a = 0n, b = 0n) => bool(s(a) < s(b)),
    lt_u: (a = 0n, b = 0n) => bool(a < b),
    gt_s: (a = 0n, b = 0n) => bool(s(a) > s(b)),
    gt_u: (a = 0n, b = 0n) => bool(a > b),
    le_s: (a = 0n, b = 0n) => bool(s(a) <= s(b)),
    le_u: (a = 0n, b = 0n) => bool(a <= b),
    ge_s: (a = 0n, b = 0n) => bool(s(a) >= s(b)),
    ge_u: (a = 0n, b = 0n) => bool(a >= b),
    extend8_s: (a = 0n) => u(signed(a, 8)),
    extend16_s: (a = 0n) => u(signed(a, 16)),
    extend32_s: (a = 0n) => u(signed(a, 32)),
  };
}

/** Round half to even, as the default rounding direction does. */
export function nearest(x: number): number {
  const floor = Math.floor(x);
  const half = x - floor;
  if (half === 0) return x;
  const up = half > 0.5 || (half === 0.5 && floor % 2 !== 0);
  const rounded = up ? floor + 1 : floor;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

function minimum(a: number, b: number): number {
  return Math.min(a, b);
}

/** Float arithmetic of `bits` bits. Products and quotients of singles in double precision round correctly once more. */
export function floatOperations(bits: 32 | 64): Readonly<Record<string, Fn>> {
  const get = bits === 32 ? toSingle : toDouble;
  const put = bits === 32 ? fromSingle : fromDouble;
  const sign = 1n << BigInt(bits - 1);
  const one =
    (f: (a: number) => number): Fn =>
    (a = 0n) =>
      put(f(get(a)));
  const two =
    (f: (a: number, b: number) => number): Fn =>
    (a = 0n, b = 0n) =>
      put(f(get(a), get(b)));
  const compare =
    (f: (a: number, b: number) => boolean): Fn =>
    (a = 0n, b = 0n) =>
      bool(f(get(a), get(b)));
  return {
    abs: (a = 0n) => a & ~sign,
    neg: (a = 0n) => a ^ sign,
    copysign: (a = 0n, b = 0n) => (a & ~sign) | (b & sign),
    ceil: one(Math.ceil),
    floor: one(Math.floor),
    trunc: one(Math.trunc),
    nearest: one(nearest),
    sqrt: one(Math.sqrt),
    add: two((a, b) => a + b),
    sub: two((a, b) => a - b),
    mul: two((a, b) => a * b),
    div: two((a, b) => a / b),
    min: two(minimum),
    max: two((a, b) => Math.max(a, b)),
    pmin: (a = 0n, b = 0n) => (get(b) < get(a) ? b : a),
    pmax: (a = 0n, b = 0n) => (get(a) < get(b) ? b : a),
    eq: compare((a, b) => a === b),
    ne: compare((a, b) => a !== b),
    lt: compare((a, b) => a < b),
    gt: compare((a, b) => a > b),
    le: compare((a, b) => a <= b),
    ge: compare((a, b) => a >= b),
  };
}

/** Integer → single in one rounding: what does not fit a double becomes a sticky bit first. */
export function integerToSingle(value: bigint): bigint {
  const negative = value < 0n;
  let magnitude = negative ? -value : value;
  const excess = BigInt(Math.max(0, magnitude.toString(2).length - 40));
  if (excess > 0n) {
    const sticky = (magnitude & ((1n << excess) - 1n)) !== 0n ? 1n << excess : 0n;
    magnitude = ((magnitude >> excess) << excess) | sticky;
  }
  return fromSingle(Number(negative ? -magnitude : magnitude));
}

/** Float → integer toward zero, saturating; NaN gives 0. */
export function saturate(x: number, bits: number, isSigned: boolean): bigint {
  if (Number.isNaN(x)) return 0n;
  const low = isSigned ? -(1n << BigInt(bits - 1)) : 0n;
  const high = (1n << BigInt(isSigned ? bits - 1 : bits)) - 1n;
  const value = x === Infinity ? high : x === -Infinity ? low : BigInt(Math.trunc(x));
  return unsigned(value < low ? low : value > high ? high : value, bits);
}

function trapping(x: number, bits: number, isSigned: boolean): bigint {
  const value = Number.isFinite(x) ? BigInt(Math.trunc(x)) : null;
  const result = saturate(x, bits, isSigned);
  if (value === null || unsigned(value, bits) !== result) throw new Error('invalid conversion to integer');
  return result;
}

const table = new Map<string, Fn>();
for (const bits of [32, 64] as const) {
  for (const [name, fn] of Object.entries(integerOperations(bits))) table.set(`i${bits}.${name}`, fn);
  for (const [name, fn] of Object.entries(floatOperations(bits))) table.set(`f${bits}.${name}`, fn);
  for (const from of [32, 64] as const) {
    const get = from === 32 ? toSingle : toDouble;
    for (const kind of ['s', 'u'] as const) {
      table.set(`i${bits}.trunc_sat_f${from}_${kind}`, (a = 0n) => saturate(get(a), bits, kind === 's'));
      table.set(`i${bits}.trunc_f${from}_${kind}`, (a = 0n) => trapping(get(a), bits, kind === 's'));
      const integer = (a: bigint): bigint => (kind === 's' ? signed(a, from) : a);
      table.set(`f${bits}.convert_i${from}_${kind}`, (a = 0n) =>
        bits === 32 ? integerToSingle(integer(a)) : fromDouble(Number(integer(a))),
      );
    }
  }
  table.set(`i${bits}.reinterpret_f${bits}`, (a = 0n) => a);
  table.set(`f${bits}.reinterpret_i${bits}`, (a = 0n) => a);
}
table.set('i32.wrap_i64', (a = 0n) => unsigned(a, 32));
table.set('i64.extend_i32_u', (a = 0n) => a);
table.set('i64.extend_i32_s', (a = 0n) => unsigned(signed(a, 32), 64));
table.set('f32.demote_f64', (a = 0n) => fromSingle(toDouble(a)));
table.set('f64.promote_f32', (a = 0n) => fromDouble(toSingle(a)));

/** The scalar instruction of this name, or undefined. */
export function scalarOperation(name: string): Fn | undefined {
  return table.get(name);
}
