/** Mathematical constants with 192 fraction bits, computed: ln 2, π, arc tangents. */

const BITS = 192n;
const ONE = 1n << BITS;

/** Σ sign^n (p/q)^(2n+1) / (2n+1): artanh for sign 1, arctan for −1. */
function oddSeries(p: bigint, q: bigint, sign: 1n | -1n): bigint {
  let power = (ONE * p) / q;
  let sum = 0n;
  let direction = 1n;
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += (direction * power) / n;
    power = (power * p * p) / (q * q);
    direction *= sign;
  }
  return sum;
}
const LN2_EXACT = 2n * oddSeries(1n, 3n, 1n);
const PI_EXACT = 16n * oddSeries(1n, 5n, -1n) - 4n * oddSeries(1n, 239n, -1n);

function withFraction(value: bigint, bits: bigint): bigint {
  return ((value >> (BITS - bits - 1n)) + 1n) >> 1n;
}
/** π in Q2.126. */
export const PI_126: bigint = withFraction(PI_EXACT, 126n);
/** ln 2 in Q0.128; bit 127 is set. */
export const LN2_128: bigint = withFraction(LN2_EXACT, 128n);
/** 1 / ln 2 in Q1.127. */
export const LOG2_E_127: bigint = withFraction((ONE * ONE) / LN2_EXACT, 127n);
/** arctan(k / 8) in Q1.127. */
export function arctanEighths(k: number): bigint {
  return withFraction(k === 8 ? PI_EXACT / 4n : oddSeries(BigInt(k), 8n, -1n), 127n);
}
