/** Tables for computed jumps: offsets → small numbers without collisions. */

export interface PerfectHash {
  readonly multiplier: number;
  /** A key's slot is the upper `bits` bits of the product of key and multiplier, mod 2^32. */
  readonly bits: number;
  /** Slot → index of its key, −1 = none. */
  readonly slots: readonly number[];
}

const TRIES = 300;
const MAX_BITS = 9;

/** null: no keys, or none was found. */
export function perfectHash(keys: readonly number[]): PerfectHash | null {
  if (keys.length === 0) return null;
  for (let bits = Math.max(1, Math.ceil(Math.log2(keys.length))); bits <= MAX_BITS; bits++) {
    let multiplier = 0x9e3779b1 | 0;
    for (let i = 0; i < TRIES; i++) {
      const slots = tryHash(keys, multiplier, bits);
      if (slots !== null) return { multiplier, bits, slots };
      multiplier = (Math.imul(multiplier, 0x6c078965) + 12345) | 1;
    }
  }
  return null;
}

function tryHash(keys: readonly number[], multiplier: number, bits: number): number[] | null {
  const slots = new Array<number>(1 << bits).fill(-1);
  for (const [i, key] of keys.entries()) {
    const slot = Math.imul(key, multiplier) >>> (32 - bits);
    if (slots[slot] !== -1) return null;
    slots[slot] = i;
  }
  return slots;
}
