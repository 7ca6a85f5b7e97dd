/** The 80-bit arithmetic against exact rational arithmetic in BigInt. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as S from '../state.ts';
import { area, below, call, callValue, exceptions, hex, random, type Value } from './ext80-harness.ts';

const BIAS = 16383n;
const { IE, OE, UE, PE } = { IE: 1, OE: 8, UE: 16, PE: 32 };

// ---- the reference: values are sign × numerator / denominator ----

interface Rational {
  readonly negative: boolean;
  readonly n: bigint;
  readonly d: bigint;
}
const power = (e: bigint): { n: bigint; d: bigint } =>
  e >= 0n ? { n: 1n << e, d: 1n } : { n: 1n, d: 1n << -e };

function toRational([sig, se]: Value): Rational {
  const e = BigInt(se & 0x7fff);
  const p = power((e === 0n ? 1n : e) - BIAS - 63n);
  return { negative: se >= 0x8000, n: sig * p.n, d: p.d };
}
const bits = (n: bigint): bigint => BigInt(n.toString(2).length);
/** floor(log2(n / d)) */
function exponentOf(n: bigint, d: bigint): bigint {
  const guess = bits(n) - bits(d);
  const p = power(guess);
  return n * p.d >= d * p.n ? guess : guess - 1n;
}
function roundQuotient(n: bigint, d: bigint, rc: number, negative: boolean): { q: bigint; inexact: boolean } {
  const q = n / d;
  const rest = n - q * d;
  const up =
    rc === 0
      ? rest * 2n > d || (rest * 2n === d && (q & 1n) === 1n)
      : rest > 0n && ((rc === 1 && negative) || (rc === 2 && !negative));
  return { q: up ? q + 1n : q, inexact: rest !== 0n };
}
/** Rounds to an 80-bit value with `precision` bits, all exceptions masked. */
function reference(x: Rational, control: number): { value: Value; flags: number } {
  const precision = [24n, 24n, 53n, 64n][(control >> 8) & 3] as bigint;
  const rc = (control >> 10) & 3;
  const s = x.negative ? 0x8000 : 0;
  const at = (e: bigint): { q: bigint; inexact: boolean } => {
    const p = power(precision - 1n - e);
    return roundQuotient(x.n * p.n, x.d * p.d, rc, x.negative);
  };
  let e = exponentOf(x.n, x.d);
  const unbounded = at(e);
  const carried = unbounded.q >> precision !== 0n;
  const tiny = (carried ? e + 1n : e) < 1n - BIAS;
  if (e < 1n - BIAS) {
    const { q, inexact } = at(1n - BIAS);
    const sig = q << (64n - precision);
    const flags = (inexact ? PE : 0) | (inexact && tiny ? UE : 0);
    return { value: [sig, s | (sig >> 63n === 1n ? 1 : 0)], flags };
  }
  let q = unbounded.q;
  if (carried) {
    q >>= 1n;
    e += 1n;
  }
  if (e > BIAS) {
    const infinite = rc === 0 || (rc === 1 && x.negative) || (rc === 2 && !x.negative);
    const largest = ((1n << precision) - 1n) << (64n - precision);
    return { value: infinite ? [1n << 63n, s | 0x7fff] : [largest, s | 0x7ffe], flags: OE | PE };
  }
  const flags = unbounded.inexact ? PE : 0;
  return { value: [q << (64n - precision), s | Number(e + BIAS)], flags };
}

// ---- random operands ----

function operand(): Value {
  const kind = below(8);
  const sig = below(4) === 0 ? (random() << BigInt(below(64))) & 0xffffffffffffffffn : random();
  if (kind === 0) return [sig & 0x7fffffffffffffffn, below(2) << 15];
  const e = kind < 5 ? 0x3fff - 35 + below(70) : kind === 5 ? 1 + below(80) : 0x7ffe - below(80);
  return [sig | (1n << 63n), e | (below(2) << 15)];
}
const MASKED = 0x7f;
const control = (): number => MASKED | ([0, 0x200, 0x300][below(3)] as number) | (below(4) << 10);

const OPERATIONS: readonly [name: string, op: number, f: (a: Rational, b: Rational) => Rational | null][] = [
  ['addition', 0, (a, b) => sum(a, b)],
  ['multiplication', 1, (a, b) => ({ negative: a.negative !== b.negative, n: a.n * b.n, d: a.d * b.d })],
  ['subtraction', 4, (a, b) => sum(a, { ...b, negative: !b.negative })],
  [
    'division',
    6,
    (a, b) => (b.n === 0n ? null : { negative: a.negative !== b.negative, n: a.n * b.d, d: a.d * b.n }),
  ],
];
function sum(a: Rational, b: Rational): Rational {
  const n = (a.negative ? -a.n : a.n) * b.d + (b.negative ? -b.n : b.n) * a.d;
  return { negative: n < 0n, n: n < 0n ? -n : n, d: a.d * b.d };
}

for (const [name, op, f] of OPERATIONS) {
  test(`${name} rounds correctly in every precision and direction`, () => {
    let compared = 0;
    for (let i = 0; i < 4000; i++) {
      const a = operand();
      const b = below(5) === 0 ? ([a[0] ^ BigInt(below(4)), a[1] ^ (below(2) << 15)] as Value) : operand();
      const exact = f(toRational(a), toRational(b));
      if (exact === null || exact.n === 0n) continue;
      const c = control();
      const want = reference(exact, c);
      const got = callValue('ext80_operation', op, a[0], a[1], b[0], b[1], c);
      const what = `${hex(a)} and ${hex(b)}, control ${c.toString(16)}`;
      assert.equal(hex(got), hex(want.value), what);
      assert.equal(exceptions() & (OE | UE | PE), want.flags, what);
      compared++;
    }
    assert.ok(compared > 3000);
  });
}

test('square roots round correctly', () => {
  for (let i = 0; i < 3000; i++) {
    const [sig, se] = operand();
    if (sig === 0n) continue;
    const a: Value = [sig, se & 0x7fff];
    const c = control();
    // the root of sig × 2^k with 100 bits more than needed, and a last bit that says the rest is not zero
    const e = BigInt(Math.max(se & 0x7fff, 1)) - BIAS - 63n;
    const k = 200n + (e & 1n);
    const square = sig << k;
    let root = 1n << ((bits(square) + 1n) / 2n);
    for (;;) {
      const next = (root + square / root) >> 1n;
      if (next >= root) break;
      root = next;
    }
    const p = power((e - k) / 2n - 1n);
    const n = (root * 2n + (root * root === square ? 0n : 1n)) * p.n;
    const want = reference({ negative: false, n, d: p.d }, c);
    const got = callValue('ext80_sqrt', a[0], a[1], c);
    assert.equal(hex(got), hex(want.value), `${hex(a)}, control ${c.toString(16)}`);
    assert.equal(exceptions() & PE, want.flags & PE);
  }
});

test('integers round in every direction, and out of range is invalid', () => {
  for (let i = 0; i < 4000; i++) {
    const a: Value = [random() | (1n << 63n), (0x3ffb + below(70)) | (below(2) << 15)];
    const c = control();
    const size = [16, 32, 64][below(3)] as number;
    const { n, d, negative } = toRational(a);
    const { q, inexact } = roundQuotient(n, d, (c >> 10) & 3, negative);
    const value = negative ? -q : q;
    const fits = BigInt.asIntN(size, value) === value;
    const got = BigInt.asIntN(size, call('ext80_to_int', a[0], a[1], c, size));
    assert.equal(got, fits ? value : -(1n << BigInt(size - 1)), `${hex(a)} to ${size} bits`);
    assert.equal(exceptions() & (IE | PE), fits ? (inexact ? PE : 0) : IE);
  }
});

test('doubles and singles survive the way through 80 bits', () => {
  const scratch = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < 2000; i++) {
    const wide = random();
    const isNan = (wide & 0x7ff0000000000000n) === 0x7ff0000000000000n;
    const double = callValue('ext80_from_f64', wide);
    if (!isNan) assert.equal(call('ext80_to_f64', double[0], double[1], 0x37f), wide);
    const narrow = call('ext80_to_f32', double[0], double[1], 0x37f);
    scratch.setBigUint64(0, wide);
    const number = scratch.getFloat64(0);
    scratch.setFloat32(0, Math.fround(number));
    if (!isNan) assert.equal(Number(narrow), scratch.getUint32(0), `${number} as a single`);
  }
});

test('packed decimals convert both ways', () => {
  for (let i = 0; i < 500; i++) {
    const magnitude = random() % 10n ** BigInt(1 + below(18));
    const digits = magnitude.toString().padStart(18, '0');
    const packed = BigInt(`0x${digits}`);
    const high = (packed >> 64n) | (i % 2 === 0 ? 0n : 0x8000n);
    const value = callValue('ext80_from_bcd', packed & 0xffffffffffffffffn, high);
    const back = call('ext80_to_bcd', value[0], value[1], 0x37f);
    assert.equal(back, high);
    assert.equal(area.getBigUint64(S.X87_LOW, true), packed & 0xffffffffffffffffn);
  }
});

test('remainders are exact', () => {
  for (let i = 0; i < 3000; i++) {
    const a: Value = [random() | (1n << 63n), (0x3fff + below(90)) | (below(2) << 15)];
    const b: Value = [random() | (1n << 63n), 0x3fff + below(30)];
    const x = toRational(a);
    const y = toRational(b);
    // both as integers over one denominator
    const [n, m] = [x.n * y.d, y.n * x.d];
    if ((a[1] & 0x7fff) - (b[1] & 0x7fff) >= 64) continue;
    const nearest = below(2);
    const got = callValue('ext80_remainder', a[0], a[1], b[0], b[1], nearest, 0x37f);
    let q = n / m;
    let rest = n - q * m;
    if (nearest === 1 && (rest * 2n > m || (rest * 2n === m && (q & 1n) === 1n))) {
      q += 1n;
      rest -= m;
    }
    const negative = rest !== 0n && rest < 0n !== x.negative;
    const r = toRational(got);
    assert.equal(r.n * (x.d * y.d), (rest < 0n ? -rest : rest) * r.d, `${hex(a)} mod ${hex(b)}`);
    if (rest !== 0n) assert.equal(r.negative, negative);
    const quotient = Number(q & 7n);
    const codes = exceptions() & 0x4700;
    assert.equal(codes, ((quotient & 4) << 6) | ((quotient & 2) << 13) | ((quotient & 1) << 9));
  }
});
