/** The softfloat functions against exact rational arithmetic on BigInt, in every mode MXCSR has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wasm } from '../../wasm/api.ts';
import { Bytes, ModuleBuilder } from '../../wasm/module.ts';
import { emitStatements } from '../emit.ts';
import * as S from '../state.ts';
import {
  DE,
  F32,
  F64,
  type Format,
  IE,
  indefinite,
  infinity,
  OE,
  PE,
  quietBit,
  signBit,
  UE,
} from './softfloat.ts';
import { LANE } from './softfloat-arith.ts';
import { SSE_DEFINITIONS } from './sse-definitions.ts';

const memory = new wasm.Memory({ initial: 1, maximum: 1, shared: true });
const state = new DataView(memory.buffer);
const functions = assemble();

type Call = (cpu: number, ...args: (number | bigint)[]) => bigint;

/** All warm functions of SSE in one module, at vCPU area 0. */
function assemble(): Readonly<Record<string, Call>> {
  const module = new ModuleBuilder();
  const indices = new Map(SSE_DEFINITIONS.map((d) => [d.name, module.reserve()]));
  const functionIndex = (name: string): number => indices.get(name) ?? assert.fail(name);
  for (const d of SSE_DEFINITIONS) {
    const code = new Bytes();
    emitStatements(d.body.statements, code, {
      cpu: 0,
      record: -1,
      firstParam: 1,
      local: (i) => 1 + d.params.length + i,
      functionIndex,
      end: () => assert.fail(d.name),
    });
    if (d.result !== null) code.byte(0);
    module.body(functionIndex(d.name), {
      name: d.name,
      params: ['i32', ...d.params],
      result: d.result,
      locals: d.body.locals,
      code: code.bytes().slice(),
    });
    module.export(d.name, functionIndex(d.name));
  }
  const instance = new wasm.Instance(new wasm.Module(module.write({ min: 1, max: 1 })), { env: { memory } });
  return instance.exports as unknown as Readonly<Record<string, Call>>;
}

function run(name: string, mxcsr: number, ...args: (number | bigint)[]): { bits: bigint; flags: number } {
  state.setUint32(S.MXCSR, mxcsr, true);
  const bits = BigInt.asUintN(64, (functions[name] as Call)(0, ...args));
  return { bits, flags: state.getUint32(S.MXCSR, true) & 0x3f };
}

// ---- the reference: n / d exactly, then rounded ----

interface Rational {
  readonly negative: boolean;
  readonly n: bigint;
  readonly d: bigint;
}
function valueOf(f: Format, bits: bigint): Rational {
  const exponent = Number((bits & ~signBit(f)) >> BigInt(f.fraction));
  const fraction = bits & ((1n << BigInt(f.fraction)) - 1n);
  const significand = exponent === 0 ? fraction : fraction | (1n << BigInt(f.fraction));
  const power = Math.max(exponent, 1) - f.bias - f.fraction;
  return {
    negative: (bits & signBit(f)) !== 0n,
    n: power >= 0 ? significand << BigInt(power) : significand,
    d: power >= 0 ? 1n : 1n << BigInt(-power),
  };
}
function bitLength(n: bigint): number {
  return n.toString(2).length;
}
/** n / d in units of 2^unit under a rounding mode. */
function toUnits(v: Rational, unit: number, mode: number): { units: bigint; exact: boolean } {
  const n = unit < 0 ? v.n << BigInt(-unit) : v.n;
  const d = unit < 0 ? v.d : v.d << BigInt(unit);
  const floor = n / d;
  const twice = 2n * (n % d);
  if (twice === 0n) return { units: floor, exact: true };
  const nearest = twice > d || (twice === d && (floor & 1n) === 1n);
  const up = mode === 0 ? nearest : mode === 1 ? v.negative : mode === 2 && !v.negative;
  return { units: up ? floor + 1n : floor, exact: false };
}
/** Rounds a value other than zero. FTZ and all exceptions masked as in `mxcsr`. */
function round(f: Format, v: Rational, mxcsr: number): { bits: bigint; flags: number } {
  const mode = (mxcsr >> 13) & 3;
  const sign = v.negative ? signBit(f) : 0n;
  const least = 1 - f.bias;
  let exponent = bitLength(v.n) - bitLength(v.d);
  const reaches = (e: number): boolean => (e >= 0 ? v.n >= v.d << BigInt(e) : v.n << BigInt(-e) >= v.d);
  if (!reaches(exponent)) exponent--;
  const free = toUnits(v, exponent - f.fraction, mode);
  const carried = bitLength(free.units) > f.fraction + 1;
  const tiny = exponent + (carried ? 1 : 0) < least;
  if (tiny && (mxcsr & 0x8000) !== 0) return { bits: sign, flags: UE | PE };
  const unit = Math.max(exponent, least) - f.fraction;
  const { units, exact } = toUnits(v, unit, mode);
  const bits = (BigInt(Math.max(exponent, least) + f.bias - 1) << BigInt(f.fraction)) + units;
  if (bits >= infinity(f)) {
    const away = mode === 0 || (mode === 1 && v.negative) || (mode === 2 && !v.negative);
    return { bits: sign | (away ? infinity(f) : infinity(f) - 1n), flags: OE | PE };
  }
  return { bits: sign | bits, flags: exact ? 0 : PE | (tiny ? UE : 0) };
}
function isDenormal(f: Format, bits: bigint): boolean {
  const magnitude = bits & (signBit(f) - 1n);
  return magnitude !== 0n && magnitude < 1n << BigInt(f.fraction);
}
/** a op b for finite operands other than zero. */
function reference(
  f: Format,
  op: number,
  a: bigint,
  b: bigint,
  mxcsr: number,
): { bits: bigint; flags: number } {
  const x = valueOf(f, a);
  const y = valueOf(f, b);
  const denormal = isDenormal(f, a) || isDenormal(f, b) ? DE : 0;
  const negative = x.negative !== y.negative;
  let v: Rational;
  if (op === LANE.MUL) v = { negative, n: x.n * y.n, d: x.d * y.d };
  else if (op === LANE.DIV) v = { negative, n: x.n * y.d, d: x.d * y.n };
  else {
    const flip = op === LANE.SUB;
    const left = (x.negative ? -x.n : x.n) * y.d;
    const right = (y.negative !== flip ? -y.n : y.n) * x.d;
    const sum = left + right;
    if (sum === 0n) return { bits: ((mxcsr >> 13) & 3) === 1 ? signBit(f) : 0n, flags: denormal };
    v = { negative: sum < 0n, n: sum < 0n ? -sum : sum, d: x.d * y.d };
  }
  const rounded = round(f, v, mxcsr);
  return { bits: rounded.bits, flags: rounded.flags | denormal };
}

let seed = 0x2545f491n;
function random64(): bigint {
  seed ^= BigInt.asUintN(64, seed << 13n);
  seed ^= seed >> 7n;
  seed ^= BigInt.asUintN(64, seed << 17n);
  return seed;
}
/** Finite, not zero; near the borders of the format more often than not. */
function operand(f: Format): bigint {
  const exponents = [0, 1, 2, f.fraction, f.bias - 1, f.bias, f.bias + 1, f.bias * 2, f.bias + f.fraction];
  const pickExponent = Number(random64() % 16n);
  const exponent = exponents[pickExponent] ?? Number(random64() % BigInt(f.maxExponent));
  const ends = [0n, 1n, (1n << BigInt(f.fraction)) - 1n, 1n << BigInt(f.fraction - 1)];
  const fraction = ends[Number(random64() % 8n)] ?? random64() & ((1n << BigInt(f.fraction)) - 1n);
  const bits = (BigInt(exponent) << BigInt(f.fraction)) | fraction;
  return (bits === 0n ? 1n : bits) | ((random64() & 1n) * signBit(f));
}
const MODES = [0, 1, 2, 3].flatMap((rc) => [0, 0x8000].map((ftz) => 0x1f80 | (rc << 13) | ftz));

for (const f of [F32, F64]) {
  test(`${f.name}: sums, products and quotients are rounded exactly, with their flags`, () => {
    for (let i = 0; i < 4000; i++) {
      const a = operand(f);
      const b = i % 4 === 0 ? a ^ (random64() & 3n) : operand(f);
      if ((b & (signBit(f) - 1n)) === 0n || (b & infinity(f)) === infinity(f)) continue;
      for (const mxcsr of MODES) {
        for (const op of [LANE.ADD, LANE.SUB, LANE.MUL, LANE.DIV]) {
          const got = run(`sse.scalar.${f.name}`, mxcsr, op, a, b);
          const want = reference(f, op, a, b, mxcsr);
          const where = `op ${op} mxcsr ${mxcsr.toString(16)} ${a.toString(16)} ${b.toString(16)}`;
          assert.deepEqual(got, want, where);
        }
      }
    }
  });

  test(`${f.name}: square roots are rounded exactly`, () => {
    for (let i = 0; i < 4000; i++) {
      const a = operand(f) & (signBit(f) - 1n);
      for (const mode of [0, 1, 2, 3]) {
        const { bits } = run(`sse.scalar.${f.name}`, 0x1f80 | (mode << 13), LANE.SQRT, 0n, a);
        const x = valueOf(f, a);
        // squares of the result and of its neighbours enclose the operand
        const square = (b: bigint): Rational => {
          const r = valueOf(f, b);
          return { negative: false, n: r.n * r.n, d: r.d * r.d };
        };
        const order = (p: Rational, q: Rational): number =>
          Number(p.n * q.d > q.n * p.d) - Number(p.n * q.d < q.n * p.d);
        const where = `mode ${mode} ${a.toString(16)} → ${bits.toString(16)}`;
        if (mode === 2) {
          assert.ok(order(square(bits), x) >= 0, where);
          assert.ok(order(square(bits - 1n), x) < 0, where);
        } else if (mode !== 0) {
          assert.ok(order(square(bits), x) <= 0, where);
          assert.ok(order(square(bits + 1n), x) > 0, where);
        } else {
          // midpoints: (2m ± 1)² against 4x
          const m = valueOf(f, bits);
          const half = valueOf(f, bits + 1n);
          const ulp = half.n * m.d - m.n * half.d;
          const middle = (sign: bigint): Rational => {
            const n = 2n * m.n * half.d + sign * ulp;
            const d = 2n * m.d * half.d;
            return { negative: false, n: n * n, d: d * d };
          };
          assert.ok(order(middle(1n), x) > 0, where);
          if ((bits & ((1n << BigInt(f.fraction)) - 1n)) !== 0n) assert.ok(order(middle(-1n), x) < 0, where);
        }
      }
    }
  });

  test(`${f.name}: NaNs keep the first operand's payload, invalid operations give the indefinite`, () => {
    const name = `sse.scalar.${f.name}`;
    const quiet = infinity(f) | quietBit(f);
    const add = (a: bigint, b: bigint): { bits: bigint; flags: number } => run(name, 0x1f80, LANE.ADD, a, b);
    assert.deepEqual(add(quiet | 5n, quiet | 9n), { bits: quiet | 5n, flags: 0 });
    assert.deepEqual(add(infinity(f) | 5n, quiet | 9n), { bits: quiet | 5n, flags: IE });
    assert.deepEqual(add(1n, infinity(f) | 9n), { bits: quiet | 9n, flags: IE });
    assert.deepEqual(add(infinity(f), infinity(f) | signBit(f)), { bits: indefinite(f), flags: IE });
    assert.deepEqual(run(name, 0x1f80, LANE.MIN, quiet, 7n), { bits: 7n, flags: IE });
    assert.deepEqual(run(name, 0x1fc0, LANE.MIN, quiet, 7n), { bits: 0n, flags: IE });
  });
}

test('an unmasked exception leaves its vector, and post-computation flags wait for pre-computation ones', () => {
  state.setUint32(S.CR4, 0x400, true);
  // denormal unmasked: the inexact sum is not computed
  const tiny = run('sse.scalar.f64', 0x1f80 & ~0x100, LANE.ADD, 1n, 0x3ff0000000000000n);
  assert.equal(tiny.flags, DE);
  assert.equal(state.getUint32(S.SIMD_TRAP, true), 19);
  state.setUint32(S.CR4, 0, true);
  run('sse.scalar.f64', 0x1f80 & ~0x1000, LANE.DIV, 0x3ff0000000000000n, 0x4008000000000000n);
  assert.equal(state.getUint32(S.SIMD_TRAP, true), 6);
  run('sse.scalar.f64', 0x1f80, LANE.DIV, 0x3ff0000000000000n, 0x4008000000000000n);
  assert.equal(state.getUint32(S.SIMD_TRAP, true), 0);
});

test('reciprocals stay within 1.5 · 2^-12, and flush what is tiny', () => {
  const float = new DataView(new ArrayBuffer(4));
  const single = (bits: bigint): number => {
    float.setUint32(0, Number(bits));
    return float.getFloat32(0);
  };
  for (let i = 0; i < 4000; i++) {
    const x = operand(F32) & (signBit(F32) - 1n);
    if (isDenormal(F32, x)) continue;
    const value = single(x);
    const root = single(run('sse.rsqrt', 0x1f80, x).bits);
    assert.ok(Math.abs(root * Math.sqrt(value) - 1) <= 1.5 * 2 ** -12, `rsqrt ${x.toString(16)}`);
    if (value >= 2 ** 126) continue;
    const inverse = single(run('sse.rcp', 0x1f80, x).bits);
    assert.ok(Math.abs(inverse * value - 1) <= 1.5 * 2 ** -12, `rcp ${x.toString(16)}`);
  }
  assert.deepEqual(run('sse.rcp', 0x1f80, 0x7f000000n), { bits: 0n, flags: 0 });
  assert.deepEqual(run('sse.rcp', 0x1f80, 0x80000001n), { bits: 0xff800000n, flags: 0 });
  assert.deepEqual(run('sse.rsqrt', 0x1f80, 0x80000001n), { bits: 0xff800000n, flags: 0 });
  assert.deepEqual(run('sse.rsqrt', 0x1f80, 0xbf800000n), { bits: indefinite(F32), flags: 0 });
});
