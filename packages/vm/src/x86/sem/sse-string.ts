/** PCMPxSTRx (SDM volume 2, section 4.1) and CRC32. */
import { type B, define, type Definition } from '../block.ts';
import { apply, call, type E, i32, type Ops, select, v128 } from '../ops.ts';
import * as S from '../state.ts';
import { bitMask } from './sse-shuffle.ts';
import { immediate, lanesOf, splatOf } from './sse.ts';

/** All ones below bit `n` (i32). */
function below(n: E): E {
  return i32(1).shl(n).sub(1);
}

/**
 * IntRes2 of two strings.
 * @param imm the control byte
 * @param la lengths in lanes, at most 16 / bytes
 */
function defineCompare(bytes: 1 | 2): Definition {
  const type = bytes === 1 ? 'i8x16' : 'i16x8';
  const count = 16 / bytes;
  const full = (1 << count) - 1;
  return define(
    `sse.strings.${type}`,
    ['v128', 'v128', 'i32', 'i32', 'i32'],
    'i32',
    (b, x, y, la, lb, imm) => {
      const result = b.var('i32', 0);
      const i = b.var('i32', 0);
      const validB = b.let(below(lb));
      const lane = (n: E): E => {
        const first = apply('i8x16.splat', [bytes === 1 ? n : n.shl(1)]);
        const places = bytes === 1 ? first : apply('i8x16.add', [first, splatOf(2, 0x0100)]);
        return b.let(apply('i8x16.swizzle', [x, places]));
      };
      const bits = (mask: E): E => apply(`${type}.bitmask`, [mask]);
      const each = (more: () => E, step: number, body: () => void): void => {
        b.while(more, () => {
          body();
          i.set(i.get().add(step));
        });
      };
      const equalAny = (): void => {
        each(
          () => i.get().ltU(la),
          1,
          () => result.set(result.get().or(bits(apply(`${type}.eq`, [lane(i.get()), y])))),
        );
        result.set(result.get().and(validB));
      };
      const ranges = (): void => {
        // unsigned order = signed order with the top bit flipped
        const top = splatOf(bytes, 1 << (bytes * 8 - 1));
        const flip = b.let(select(imm.and(2), v128(0n), top));
        const value = b.let(y.xor(flip));
        each(
          () => i.get().add(1).ltU(la),
          2,
          () => {
            const low = lane(i.get()).xor(flip);
            const high = lane(i.get().add(1)).xor(flip);
            const inside = apply(`${type}.ge_s`, [value, low]).and(apply(`${type}.le_s`, [value, high]));
            result.set(result.get().or(bits(inside)));
          },
        );
        result.set(result.get().and(validB));
      };
      const equalEach = (): void => {
        const shorter = b.let(select(la.ltU(lb), la, lb));
        const longer = b.let(select(la.ltU(lb), lb, la));
        const same = bits(apply(`${type}.eq`, [x, y])).and(below(shorter));
        result.set(same.or(below(longer).xor(full)));
      };
      const equalOrdered = (): void => {
        result.set(full);
        each(
          () => i.get().ltU(la),
          1,
          () => {
            const found = bits(apply(`${type}.eq`, [lane(i.get()), y])).and(validB);
            result.set(result.get().and(found.or(~full).shrU(i.get())));
          },
        );
      };
      const aggregation = b.let(imm.shrU(2).and(3));
      b.if(
        aggregation.and(2),
        () => b.if(aggregation.and(1), equalOrdered, equalEach),
        () => b.if(aggregation.and(1), ranges, equalAny),
      );
      b.if(imm.and(0x10), () => result.set(result.get().xor(select(imm.and(0x20), validB, full))));
      b.return(result.get());
    },
  );
}

/** One step per bit over reflected polynomial 0x11EDC6F41. */
const CRC: Definition = define('sse.crc32c', ['i32', 'i64', 'i32'], 'i32', (b: B, crc, data, bits) => {
  const value = b.var('i64', crc.u64().xor(data));
  const left = b.var('i32', bits);
  b.loop(() => {
    for (let n = 0; n < 8; n++) {
      const v = value.get();
      value.set(v.shrU(1).xor(v.and(1).neg().and(0x82f63b78n)));
    }
    left.set(left.get().sub(8));
    b.if(left.get().eqz(), () => b.return(value.get().wrap()));
  });
  b.return(i32(0));
});

export const STRING_DEFINITIONS: readonly Definition[] = [defineCompare(1), defineCompare(2), CRC];

export function crc32(o: Ops): void {
  const data = o.let(o.get(1));
  const crc = o.let(o.get(0).wrap());
  o.set(0, o.let(call('sse.crc32c', 'i32', crc, data, i32(o.bytes(1) * 8))).u64());
}

export function pcmpstr(lengths: 'explicit' | 'implicit', output: 'index' | 'mask'): (o: Ops) => void {
  return (o) => {
    const y = o.let(o.get(1));
    const x = o.let(o.get(0));
    const imm = immediate(o);
    const words = o.let(imm.and(1));
    const count = o.let(i32(16).shrU(words));
    const length = (v: E, register: number): E =>
      lengths === 'explicit' ? explicitLength(o, register, count) : implicitLength(o, v, words, count);
    const la = length(x, 0);
    const lb = length(y, 2);
    const result = o.var('i32');
    o.if(
      words,
      () => result.set(call('sse.strings.i16x8', 'i32', x, y, la, lb, imm)),
      () => result.set(call('sse.strings.i8x16', 'i32', x, y, la, lb, imm)),
    );
    const found = o.let(result.get());
    if (output === 'index') {
      const index = select(imm.and(0x40), i32(31).sub(found.clz()), found.ctz());
      o.setReg(1, o.let(select(found, index, count)).u64(), 4);
    } else o.hostStore('v128.store', o.cpu, expandMask(o, found, imm, words), S.XMM);
    const flag = (condition: E, bit: number): E => condition.shl(bit);
    o.setArithmeticFlags(
      flag(found.ne(0), 0)
        .or(flag(lb.ltU(count), 6))
        .or(flag(la.ltU(count), 7))
        .or(flag(found.and(1), 11))
        .u64(),
    );
  };
}

/** |register|, at most `count`; 64 bits with REX.W. */
function explicitLength(o: Ops, register: number, count: E): E {
  const value = o.let(o.reg(register, o.size).signExtend(o.size));
  const magnitude = o.let(select(value.ltS(0), value.neg(), value));
  return o.let(
    select(magnitude.ltU(16), select(magnitude.wrap().ltU(count), magnitude.wrap(), count), count),
  );
}
/** Lanes before the first zero. */
function implicitLength(o: Ops, v: E, words: E, count: E): E {
  const zeroBytes = apply('i8x16.bitmask', [apply('i8x16.eq', [v, v128(0n)])]);
  const zeroWords = apply('i16x8.bitmask', [apply('i16x8.eq', [v, v128(0n)])]);
  return o.let(select(words, zeroWords, zeroBytes).or(i32(1).shl(count)).ctz());
}
/** Bit mask in the low bits, or a lane of ones per bit (imm bit 6). */
function expandMask(o: Ops, found: E, imm: E, words: E): E {
  const bits = lanesOf(1, [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128]);
  const spread = apply('i8x16.swizzle', [
    apply('i16x8.splat', [found]),
    lanesOf(1, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]),
  ]);
  const byteLanes = apply('i8x16.eq', [spread.and(bits), bits]);
  const expanded = o.let(select(words, bitMask(found, 2), byteLanes));
  return o.let(select(imm.and(0x40), expanded, apply('i32x4.replace_lane', [v128(0n), found], 0)));
}
