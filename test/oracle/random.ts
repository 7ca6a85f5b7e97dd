/** A seeded generator (sfc32): the same seed gives the same tests on every host. */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = (seed * 0x9e3779b1) | 0;
    this.#c = ~seed;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t;
    return t >>> 0;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  /** 0 … n − 1 */
  below(n: number): number {
    return this.u32() % n;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const EDGES_64: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  0xfn,
  0x10n,
  0x1fn,
  0x20n,
  0x3fn,
  0x40n,
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffff80n,
  0xffffffffffff8000n,
  0xffffffff80000000n,
  0xfffffffffffffffen,
  0xffffffffffffffffn,
  0x5555555555555555n,
  0xaaaaaaaaaaaaaaaan,
  0x0123456789abcdefn,
];

/** An integer of up to 64 bits: edges, short ones, runs of bits and any. */
export function integer(r: Random): bigint {
  switch (r.below(4)) {
    case 0:
      return r.pick(EDGES_64);
    case 1:
      return BigInt.asUintN(64, r.u64() >> BigInt(r.below(64)));
    case 2:
      return BigInt.asUintN(64, r.pick(EDGES_64) + BigInt(r.below(5) - 2));
    default:
      return r.u64();
  }
}

const FLOATS_32 = [
  0, 0x80000000, 0x3f800000, 0xbf800000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x807fffff,
  0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xff812345, 0x7fffffff,
  0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0x3effffff, 0x3f000000, 0xbf000000, 0x3fc00000, 0x40200000,
  0x4b000001, 0x33800000, 0x7e967699, 0x0da24260,
];
const FLOATS_64: readonly bigint[] = [
  0n,
  0x8000000000000000n,
  0x3ff0000000000000n,
  0xbff0000000000000n,
  1n,
  0x8000000000000001n,
  0x000fffffffffffffn,
  0x0010000000000000n,
  0x7fefffffffffffffn,
  0xffefffffffffffffn,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff8000000000000n,
  0xfff8000000000000n,
  0x7ff0000000000001n,
  0xfff4000000000000n,
  0x41dfffffffc00000n,
  0x41e0000000000000n,
  0xc1e0000000000000n,
  0xc1e0000000200000n,
  0x43e0000000000000n,
  0xc3e0000000000000n,
  0x3fe0000000000000n,
  0x3fdfffffffffffffn,
  0x3ff8000000000000n,
  0x4004000000000000n,
  0x36a0000000000000n,
  0x3810000000000000n,
  0x47efffffe0000000n,
  0x47f0000000000000n,
  0x380fffffffffffffn,
];

/** Bits of a single: special values, near-integers, similar magnitudes and any. */
export function float32(r: Random): number {
  switch (r.below(4)) {
    case 0:
      return r.pick(FLOATS_32) >>> 0;
    case 1:
      return ((r.below(2) << 31) | ((120 + r.below(16)) << 23) | (r.u32() & 0x7fffff)) >>> 0;
    case 2:
      return (
        ((r.below(2) << 31) |
          ((126 + r.below(36)) << 23) |
          (((r.u32() & 0x7fffff) << r.below(23)) & 0x7fffff)) >>>
        0
      );
    default:
      return r.u32();
  }
}

export function float64(r: Random): bigint {
  const sign = BigInt(r.below(2)) << 63n;
  const fraction = r.u64() & 0xfffffffffffffn;
  switch (r.below(4)) {
    case 0:
      return r.pick(FLOATS_64);
    case 1:
      return sign | (BigInt(1016 + r.below(16)) << 52n) | fraction;
    case 2:
      return (
        sign | (BigInt(1022 + r.below(68)) << 52n) | ((fraction << BigInt(r.below(52))) & 0xfffffffffffffn)
      );
    default:
      return r.u64();
  }
}

/** An 80-bit value {significand, sign and exponent}: normal, special, denormal, pseudo-denormal, unsupported. */
export function float80(r: Random): { significand: bigint; exponent: number } {
  const sign = r.below(2) << 15;
  const fraction = r.chance(50) ? r.u64() : r.u64() << BigInt(r.below(64));
  const normal = BigInt.asUintN(64, fraction) | (1n << 63n);
  switch (r.below(10)) {
    case 0:
      return { significand: r.pick([0n, 1n << 63n]), exponent: sign | r.pick([0, 0x3fff]) };
    case 1:
      return {
        significand: r.pick([1n << 63n, 3n << 62n, (1n << 63n) | 1n, normal]),
        exponent: sign | 0x7fff,
      };
    case 2:
      return { significand: BigInt.asUintN(63, fraction), exponent: sign };
    case 3:
      return r.chance(30)
        ? {
            significand: BigInt.asUintN(64, fraction),
            exponent: sign | r.pick([0, 1, 0x3fff, 0x7fff, 0x7ffe]),
          }
        : {
            significand: normal,
            exponent: sign | r.pick([1, 2, 0x7ffe, 0x7ffd, 0x3c01, 0x43fe, 0x3f81, 0x407e]),
          };
    case 4:
      return { significand: normal, exponent: sign | r.below(0x7fff) };
    case 5:
      return {
        significand: BigInt.asUintN(64, normal << BigInt(r.below(64))) | (1n << 63n),
        exponent: sign | (0x3ffe + r.below(68)),
      };
    default:
      return { significand: normal, exponent: sign | (0x3ff8 + r.below(16)) };
  }
}
