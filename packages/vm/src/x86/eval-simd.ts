/** SIMD WebAssembly instructions lane by lane (WebAssembly 2.0, 4.3.4) on 128-bit patterns; lane 0 in the low bits. */
import {
  type Fn,
  floatOperations,
  fromDouble,
  fromSingle,
  integerOperations,
  integerToSingle,
  saturate,
  signed,
  toDouble,
  toSingle,
  unsigned,
} from './eval-scalar.ts';

/** Lane numbers of the instruction come after its operands. */
export type SimdFn = (args: readonly bigint[], imm: number | readonly number[]) => bigint;

const ALL = (1n << 128n) - 1n;
const SHAPES: Readonly<Record<string, number>> = {
  i8x16: 8,
  i16x8: 16,
  i32x4: 32,
  i64x2: 64,
  f32x4: 32,
  f64x2: 64,
};

/** Lanes of `bits` bits, unsigned. */
function split(v: bigint, bits: number): bigint[] {
  const lanes: bigint[] = [];
  for (let at = 0; at < 128; at += bits) lanes.push(BigInt.asUintN(bits, v >> BigInt(at)));
  return lanes;
}
function join(lanes: readonly bigint[], bits: number): bigint {
  let v = 0n;
  for (let i = lanes.length - 1; i >= 0; i--) v = (v << BigInt(bits)) | BigInt.asUintN(bits, lanes[i] ?? 0n);
  return v;
}
function clamp(value: bigint, bits: number, isSigned: boolean): bigint {
  const low = isSigned ? -(1n << BigInt(bits - 1)) : 0n;
  const high = (1n << BigInt(isSigned ? bits - 1 : bits)) - 1n;
  return unsigned(value < low ? low : value > high ? high : value, bits);
}

const table = new Map<string, SimdFn>();

function binary(name: string, bits: number, f: (a: bigint, b: bigint) => bigint): void {
  table.set(name, ([a = 0n, b = 0n]) => {
    const other = split(b, bits);
    return join(
      split(a, bits).map((x, i) => f(x, other[i] ?? 0n)),
      bits,
    );
  });
}
function unary(name: string, bits: number, f: (a: bigint) => bigint): void {
  table.set(name, ([a = 0n]) => join(split(a, bits).map(f), bits));
}
/** A comparison: lanes of all ones or zeros. */
function comparison(name: string, bits: number, fn: Fn): void {
  binary(name, bits, (a, b) => (fn(a, b) === 0n ? 0n : (1n << BigInt(bits)) - 1n));
}

const COMPARISONS = /^(eq|ne|[lg][te](_[su])?)$/;

function integerShape(shape: string, bits: number): void {
  const s = (v: bigint): bigint => signed(v, bits);
  for (const [name, fn] of Object.entries(integerOperations(bits))) {
    if (COMPARISONS.test(name)) comparison(`${shape}.${name}`, bits, fn);
    else if (/^sh[lr]/.test(name))
      table.set(`${shape}.${name}`, ([a = 0n, n = 0n]) =>
        join(
          split(a, bits).map((x) => fn(x, n)),
          bits,
        ),
      );
    else if (name === 'popcnt') unary(`${shape}.${name}`, bits, (a) => fn(a));
    else if (/^(add|sub|mul)$/.test(name)) binary(`${shape}.${name}`, bits, (a, b) => fn(a, b));
  }
  binary(`${shape}.add_sat_s`, bits, (a, b) => clamp(s(a) + s(b), bits, true));
  binary(`${shape}.add_sat_u`, bits, (a, b) => clamp(a + b, bits, false));
  binary(`${shape}.sub_sat_s`, bits, (a, b) => clamp(s(a) - s(b), bits, true));
  binary(`${shape}.sub_sat_u`, bits, (a, b) => clamp(a - b, bits, false));
  binary(`${shape}.min_s`, bits, (a, b) => (s(a) < s(b) ? a : b));
  binary(`${shape}.min_u`, bits, (a, b) => (a < b ? a : b));
  binary(`${shape}.max_s`, bits, (a, b) => (s(a) > s(b) ? a : b));
  binary(`${shape}.max_u`, bits, (a, b) => (a > b ? a : b));
  binary(`${shape}.avgr_u`, bits, (a, b) => (a + b + 1n) >> 1n);
  unary(`${shape}.abs`, bits, (a) => (s(a) < 0n ? unsigned(-s(a), bits) : a));
  unary(`${shape}.neg`, bits, (a) => unsigned(-a, bits));
  table.set(`${shape}.all_true`, ([a = 0n]) => (split(a, bits).every((x) => x !== 0n) ? 1n : 0n));
  table.set(`${shape}.bitmask`, ([a = 0n]) =>
    split(a, bits).reduce((mask, x, i) => mask | ((x >> BigInt(bits - 1)) << BigInt(i)), 0n),
  );
  const half = bits / 2;
  if (half >= 8) {
    const from = `i${half}x${128 / half}`;
    for (const kind of ['s', 'u'] as const) {
      const wide = (v: bigint): bigint => (kind === 's' ? signed(v, half) : v);
      const part = (v: bigint, side: string): bigint[] => {
        const lanes = split(v, half);
        return (side === 'low' ? lanes.slice(0, lanes.length / 2) : lanes.slice(lanes.length / 2)).map(wide);
      };
      for (const side of ['low', 'high']) {
        table.set(`${shape}.extend_${side}_${from}_${kind}`, ([a = 0n]) => join(part(a, side), bits));
        table.set(`${shape}.extmul_${side}_${from}_${kind}`, ([a = 0n, b = 0n]) => {
          const other = part(b, side);
          return join(
            part(a, side).map((x, i) => x * (other[i] ?? 0n)),
            bits,
          );
        });
      }
      table.set(`${shape}.extadd_pairwise_${from}_${kind}`, ([a = 0n]) =>
        join(pairs(split(a, half).map(wide)), bits),
      );
      table.set(`${from}.narrow_${shape}_${kind}`, ([a = 0n, b = 0n]) =>
        join(
          [...split(a, bits), ...split(b, bits)].map((x) => clamp(s(x), half, kind === 's')),
          half,
        ),
      );
    }
  }
}

/** Sums of neighbours. */
function pairs(lanes: readonly bigint[]): bigint[] {
  return lanes.filter((_, i) => i % 2 === 0).map((x, i) => x + (lanes[i * 2 + 1] ?? 0n));
}

function floatShape(shape: string, bits: 32 | 64): void {
  for (const [name, fn] of Object.entries(floatOperations(bits))) {
    if (COMPARISONS.test(name)) comparison(`${shape}.${name}`, bits, fn);
    else if (/^(abs|neg|ceil|floor|trunc|nearest|sqrt)$/.test(name))
      unary(`${shape}.${name}`, bits, (a) => fn(a));
    else binary(`${shape}.${name}`, bits, (a, b) => fn(a, b));
  }
}

for (const [shape, bits] of Object.entries(SHAPES)) {
  if (shape.startsWith('i')) integerShape(shape, bits);
  else floatShape(shape, bits as 32 | 64);
  table.set(`${shape}.splat`, ([a = 0n]) =>
    join(
      Array.from({ length: 128 / bits }, () => a),
      bits,
    ),
  );
  const lane = (v: bigint, imm: unknown): bigint => split(v, bits)[imm as number] ?? 0n;
  table.set(`${shape}.extract_lane`, ([a = 0n], imm) => lane(a, imm));
  table.set(`${shape}.extract_lane_u`, ([a = 0n], imm) => lane(a, imm));
  table.set(`${shape}.extract_lane_s`, ([a = 0n], imm) => unsigned(signed(lane(a, imm), bits), 32));
  table.set(`${shape}.replace_lane`, ([a = 0n, x = 0n], imm) =>
    join(
      split(a, bits).map((old, i) => (i === imm ? x : old)),
      bits,
    ),
  );
}

table.set('i32x4.dot_i16x8_s', ([a = 0n, b = 0n]) => {
  const other = split(b, 16).map((x) => signed(x, 16));
  return join(pairs(split(a, 16).map((x, i) => signed(x, 16) * (other[i] ?? 0n))), 32);
});
binary('i16x8.q15mulr_sat_s', 16, (a, b) =>
  clamp((signed(a, 16) * signed(b, 16) + 0x4000n) >> 15n, 16, true),
);
table.set('i8x16.shuffle', ([a = 0n, b = 0n], imm) => {
  const bytes = [...split(a, 8), ...split(b, 8)];
  return join(
    (imm as readonly number[]).map((i) => bytes[i] ?? 0n),
    8,
  );
});
table.set('i8x16.swizzle', ([a = 0n, b = 0n]) => {
  const bytes = split(a, 8);
  return join(
    split(b, 8).map((i) => bytes[Number(i)] ?? 0n),
    8,
  );
});
table.set('v128.not', ([a = 0n]) => a ^ ALL);
table.set('v128.and', ([a = 0n, b = 0n]) => a & b);
table.set('v128.andnot', ([a = 0n, b = 0n]) => a & (b ^ ALL));
table.set('v128.or', ([a = 0n, b = 0n]) => a | b);
table.set('v128.xor', ([a = 0n, b = 0n]) => a ^ b);
table.set('v128.bitselect', ([a = 0n, b = 0n, mask = 0n]) => (a & mask) | (b & (mask ^ ALL)));
table.set('v128.any_true', ([a = 0n]) => (a === 0n ? 0n : 1n));
table.set('f32x4.demote_f64x2_zero', ([a = 0n]) =>
  join(
    split(a, 64).map((x) => fromSingle(toDouble(x))),
    32,
  ),
);
table.set('f64x2.promote_low_f32x4', ([a = 0n]) =>
  join(
    split(a, 32)
      .slice(0, 2)
      .map((x) => fromDouble(toSingle(x))),
    64,
  ),
);
for (const kind of ['s', 'u'] as const) {
  const integer = (v: bigint): bigint => (kind === 's' ? signed(v, 32) : v);
  unary(`f32x4.convert_i32x4_${kind}`, 32, (a) => integerToSingle(integer(a)));
  unary(`i32x4.trunc_sat_f32x4_${kind}`, 32, (a) => saturate(toSingle(a), 32, kind === 's'));
  table.set(`f64x2.convert_low_i32x4_${kind}`, ([a = 0n]) =>
    join(
      split(a, 32)
        .slice(0, 2)
        .map((x) => fromDouble(Number(integer(x)))),
      64,
    ),
  );
  table.set(`i32x4.trunc_sat_f64x2_${kind}_zero`, ([a = 0n]) =>
    join(
      split(a, 64).map((x) => saturate(toDouble(x), 32, kind === 's')),
      32,
    ),
  );
}

/** The SIMD instruction of this name, or undefined. */
export function simdOperation(name: string): SimdFn | undefined {
  return table.get(name);
}
