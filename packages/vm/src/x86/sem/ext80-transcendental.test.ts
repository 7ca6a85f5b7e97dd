/** The transcendental functions against BigInt series with 320 fraction bits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below, callValue, exceptions, hex, random, type Value } from './ext80-harness.ts';

const BITS = 320n;
const ONE = 1n << BITS;
const PE = 32;
/** π as the hardware has it for reducing arguments: 66 bits. */
const PI_66 = 0x3243f6a8885a308d3n << (BITS - 64n);

const multiply = (a: bigint, b: bigint): bigint => (a * b) >> BITS;
const divide = (a: bigint, b: bigint): bigint => (a << BITS) / b;

/** Fixed point; the operand must not lose bits (exponent at least −200). */
function toFixed([sig, se]: Value): bigint {
  const shift = BITS + BigInt((se & 0x7fff) - 16383 - 63);
  const magnitude = shift >= 0n ? sig << shift : sig >> -shift;
  return se >= 0x8000 ? -magnitude : magnitude;
}
/** Σ term(n) where term(n) follows from term(n − 1). */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint): bigint {
  let sum = 0n;
  let term = first;
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    sum += term;
    term = next(term, n);
  }
  return sum;
}
const sin = (x: bigint): bigint =>
  series(x, (t, n) => -multiply(t, multiply(x, x)) / (2n * n * (2n * n + 1n)));
const cos = (x: bigint): bigint =>
  series(ONE, (t, n) => -multiply(t, multiply(x, x)) / (2n * n * (2n * n - 1n)));
const exp = (x: bigint): bigint => series(ONE, (t, n) => multiply(t, x) / n);
function oddPowers(x: bigint, alternate: boolean): bigint {
  let sum = 0n;
  let power = x;
  for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
    sum += power / n;
    power = multiply(power, multiply(x, x)) * (alternate ? -1n : 1n);
  }
  return sum;
}
function squareRoot(x: bigint): bigint {
  const square = x << BITS;
  let root = 1n << BigInt((square.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + square / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
const LN2 = 2n * oddPowers(ONE / 3n, false);
const PI = 16n * oddPowers(ONE / 5n, true) - 4n * oddPowers(ONE / 239n, true);
/** ln x by halving: artanh converges slowly far from 1. */
function log(x: bigint): bigint {
  let n = 0n;
  let m = x;
  for (; m > (ONE * 3n) / 2n; n++) m /= 2n;
  for (; m < (ONE * 3n) / 4n; n--) m *= 2n;
  return n * LN2 + 2n * oddPowers(divide(m - ONE, m + ONE), false);
}
/** arctan of 0 … 1, the angle halved twice. */
function atan(x: bigint): bigint {
  const half = (t: bigint): bigint => divide(t, ONE + squareRoot(ONE + multiply(t, t)));
  return 4n * oddPowers(half(half(x)), true);
}
function atan2(y: bigint, x: bigint): bigint {
  const [p, q] = [x < 0n ? -x : x, y < 0n ? -y : y];
  const angle = q <= p ? atan(divide(q, p)) : PI / 2n - atan(divide(p, q));
  const positive = x < 0n ? PI - angle : angle;
  return y < 0n ? -positive : positive;
}

/** Asserts that `got` is within 0.51 units of its last place of `exact`, and was called inexact. */
function close(got: Value, exact: bigint, what: string): void {
  const unit = BITS + BigInt((got[1] & 0x7fff) - 16383 - 63);
  assert.ok(unit > 60n, `${what} is too small to judge`);
  const error = toFixed(got) - exact;
  const hundredths = ((error < 0n ? -error : error) * 100n) >> unit;
  assert.ok(hundredths <= 51n, `${what}: ${hex(got)} is ${hundredths} hundredths of a unit off`);
  assert.equal(exceptions() & PE, PE);
}
function number(lowest: number, highest: number, signed = true): Value {
  const e = 16383 + lowest + below(highest - lowest + 1);
  return [random() | (1n << 63n), e | (signed ? below(2) << 15 : 0)];
}
const CONTROL = 0x37f;
const COUNT = 250;

test('FSIN, FCOS and FPTAN', () => {
  for (let i = 0; i < COUNT; i++) {
    const x = number(-60, i % 3 === 0 ? 62 : 4);
    const [sig, se] = x;
    // quarter turns by the 66-bit π; what is left goes to the true functions
    const quarter = PI_66 / 2n;
    const half = toFixed(x) < 0n ? -quarter : quarter;
    const turns = (2n * toFixed(x) + half) / (2n * quarter);
    const rest = toFixed(x) - turns * quarter;
    const n = Number(BigInt.asUintN(2, turns));
    const [s, c] = [sin(rest), cos(rest)];
    const sine = [s, c, -s, -c][n] as bigint;
    const cosine = [c, -s, -c, s][n] as bigint;
    close(callValue('ext80_sin', sig, se, CONTROL), sine, `sin ${hex(x)}`);
    close(callValue('ext80_cos', sig, se, CONTROL), cosine, `cos ${hex(x)}`);
    close(callValue('ext80_tan', sig, se, CONTROL), divide(sine, cosine), `tan ${hex(x)}`);
  }
});

test('F2XM1', () => {
  for (let i = 0; i < COUNT; i++) {
    const x = number(-60, -1);
    const y = multiply(toFixed(x), LN2);
    close(callValue('ext80_2xm1', x[0], x[1], CONTROL), exp(y) - ONE, `2^${hex(x)} - 1`);
  }
});

test('FYL2X and FYL2XP1', () => {
  for (let i = 0; i < COUNT; i++) {
    const near: Value = [(1n << 63n) | 1n | (random() >> BigInt(2 + below(60))), 16383];
    const x = i % 2 === 0 ? near : number(-40, 40, false);
    const y = number(-3, 3);
    const product = divide(multiply(toFixed(y), log(toFixed(x))), LN2);
    close(callValue('ext80_yl2x', ...x, ...y, CONTROL), product, `${hex(y)} log2 ${hex(x)}`);
    const p = number(-60, -2);
    const plusOne = divide(multiply(toFixed(y), log(toFixed(p) + ONE)), LN2);
    close(callValue('ext80_yl2xp1', ...p, ...y, CONTROL), plusOne, `${hex(y)} log2(1 + ${hex(p)})`);
  }
});

test('FPATAN in every quadrant', () => {
  for (let i = 0; i < COUNT; i++) {
    const x = number(-20, 20);
    const y = i % 3 === 0 ? number(-20, 20) : number((x[1] & 0x7fff) - 16384, (x[1] & 0x7fff) - 16382);
    const angle = atan2(toFixed(y), toFixed(x));
    close(callValue('ext80_patan', ...x, ...y, CONTROL), angle, `atan ${hex(y)} / ${hex(x)}`);
  }
});
