/**
 * Schemas of plain records: one description of a saved state gives the check of everything that comes from
 * outside (a snapshot file, another process). Values stay what structured clone and the snapshot codec carry:
 * numbers, bigints, strings, booleans, byte arrays, arrays and objects.
 */
import { VmError } from './errors.ts';

export interface Schema<T> {
  /** @param path where the value lies, for the message @throws VmError STATE_INVALID */
  parse(value: unknown, path: string): T;
}

function invalid(path: string, expected: string): never {
  throw new VmError('STATE_INVALID', {
    message: `${path} is not ${expected}`,
    remedy: 'The saved state is damaged or was written by something else: use another copy',
  });
}

function schema<T>(expected: string, accepts: (value: unknown) => boolean): Schema<T> {
  return { parse: (value, path) => (accepts(value) ? (value as T) : invalid(path, expected)) };
}

/** An unsigned integer of `bits` (at most 53) held in a number. */
export function uint(bits: number): Schema<number> {
  const end = 2 ** bits;
  return schema(
    `an unsigned integer of ${bits} bits`,
    (v) => typeof v === 'number' && Number.isInteger(v) && v >= 0 && v < end,
  );
}

/** An unsigned integer of `bits` held in a bigint. */
export function biguint(bits: number): Schema<bigint> {
  return schema(
    `a bigint of ${bits} bits`,
    (v) => typeof v === 'bigint' && v >= 0n && BigInt.asUintN(bits, v) === v,
  );
}

/** A signed integer of `bits` held in a bigint. */
export function bigint(bits: number): Schema<bigint> {
  return schema(
    `a signed bigint of ${bits} bits`,
    (v) => typeof v === 'bigint' && BigInt.asIntN(bits, v) === v,
  );
}

export const flag: Schema<boolean> = schema('true or false', (v) => typeof v === 'boolean');
export const text: Schema<string> = schema('a string', (v) => typeof v === 'string');

/** Exactly `length` bytes. */
export function bytes(length: number): Schema<Uint8Array> {
  return schema(`${length} bytes`, (v) => v instanceof Uint8Array && v.length === length);
}

export function oneOf<const T extends string | number>(...values: readonly T[]): Schema<T> {
  return schema(`one of ${values.join(', ')}`, (v) => (values as readonly unknown[]).includes(v));
}

export function nullable<T>(item: Schema<T>): Schema<T | null> {
  return { parse: (value, path) => (value === null ? null : item.parse(value, path)) };
}

/** An array; with `length` of exactly so many items. */
export function list<T>(item: Schema<T>, length?: number): Schema<T[]> {
  return {
    parse(value, path) {
      if (!Array.isArray(value) || (length !== undefined && value.length !== length)) {
        invalid(path, length === undefined ? 'an array' : `an array of ${length}`);
      }
      return value.map((v: unknown, i) => item.parse(v, `${path}[${i}]`));
    },
  };
}

/** An object whose keys match `key` and whose values match `item`. */
export function table<T>(key: RegExp, item: Schema<T>): Schema<Record<string, T>> {
  return {
    parse(value, path) {
      if (typeof value !== 'object' || value === null) invalid(path, 'an object');
      const result: Record<string, T> = {};
      for (const [k, v] of Object.entries(value)) {
        if (!key.test(k)) invalid(`${path}.${k}`, 'a known name');
        result[k] = item.parse(v, `${path}.${k}`);
      }
      return result;
    },
  };
}

/** An object with exactly these fields; unknown ones are dropped. */
export function record<T extends object>(fields: { readonly [K in keyof T]-?: Schema<T[K]> }): Schema<T> {
  return {
    parse(value, path) {
      if (typeof value !== 'object' || value === null) invalid(path, 'an object');
      const source = value as Partial<Record<keyof T, unknown>>;
      const result: Partial<T> = {};
      for (const name in fields) result[name] = fields[name].parse(source[name], `${path}.${name}`);
      return result as T;
    },
  };
}
