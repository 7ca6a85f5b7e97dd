/**
 * Arithmetic flags inside a region: what produced them is known while translating, so conditions become comparisons
 * of the operands, and nobody computes flags that nobody reads. Where execution may leave the region the producer is
 * in three locals (kind, a, b), from which `region_flags` makes the interpreter's lazy form.
 *
 *   kind   a              b
 *   0      FLAG_RESULT    FLAG_CARRIES
 *   1·4+s  a of a − b     b                  s = log2 of the bytes
 *   2·4+s  a of a + b     b
 *   3·4+s  result
 *   4·4+s  result of INC  CF (0, 1)
 *   5·4+s  result of DEC  CF
 */
import { type Definition, define, type B } from '../../x86/block.ts';
import { type E, i64 } from '../../x86/expr.ts';
import * as S from '../../x86/state.ts';

export const FLAG_KIND = { material: 0, sub: 1, add: 2, logic: 3, inc: 4, dec: 5 } as const;
export type LazyKind = keyof typeof FLAG_KIND;

export function kindNumber(kind: LazyKind, bytes: number): number {
  return kind === 'material' ? 0 : FLAG_KIND[kind] * 4 + Math.log2(bytes);
}

export interface Material {
  /** FLAG_RESULT and FLAG_CARRIES, i64. */
  readonly result: E;
  readonly carries: E;
}

const HIGH = 0xc000_0000_0000_0000n;

/** Carries out of all bit positions of `c`, reduced to CF, OF and AF (x86/ops.ts). */
function reduce(c: E, bytes: number): E {
  return (bytes === 8 ? c : c.shl(64 - bytes * 8)).and(HIGH).or(c.and(8));
}

/** The interpreter's form of lazily described flags; operands of any upper bits. */
export function materialize(b: B, kind: LazyKind, bytes: number, x: E, y: E): Material {
  switch (kind) {
    case 'material':
      return { result: x, carries: y };
    case 'sub': {
      const r = b.let(x.sub(y));
      const nx = b.let(x.not());
      const c = b.let(nx.and(y).or(nx.or(y).and(r)));
      return { result: r.signExtend(bytes), carries: reduce(c, bytes) };
    }
    case 'add': {
      const r = b.let(x.add(y));
      const c = b.let(x.and(y).or(x.or(y).and(r.not())));
      return { result: r.signExtend(bytes), carries: reduce(c, bytes) };
    }
    case 'logic':
      return { result: x.signExtend(bytes), carries: i64(0) };
    case 'inc':
    case 'dec': {
      const result = b.let(x.signExtend(bytes));
      const up = kind === 'inc';
      const limit = BigInt.asIntN(64, (-1n << BigInt(bytes * 8 - 1)) ^ (up ? 0n : -1n));
      const overflow = b.let(result.eq(limit).u64());
      const half = x
        .and(15)
        .eq(up ? 0 : 15)
        .u64();
      return { result, carries: y.shl(63).or(y.xor(overflow).shl(62)).or(half.shl(3)) };
    }
    default:
      return kind satisfies never;
  }
}

/** Stores the interpreter's form of (kind, a, b) into the vCPU's state. */
const regionFlags = define('region_flags', ['i32', 'i64', 'i64'], null, (b, kind, x, y) => {
  const store = ({ result, carries }: Material): void => {
    b.setState64(S.FLAG_RESULT, result);
    b.setState64(S.FLAG_CARRIES, carries);
    b.return();
  };
  for (const name of ['sub', 'logic', 'add', 'dec', 'inc'] as const)
    for (const bytes of [4, 8, 1, 2])
      b.if(kind.eq(kindNumber(name, bytes)), () => store(materialize(b, name, bytes, x, y)));
  store({ result: x, carries: y });
});

export const FLAG_DEFINITIONS: readonly Definition[] = [regionFlags];
