/**
 * Addition, multiplication, division, square root, minimum and maximum of single lanes, and the packed loops
 * around them: what SSE arithmetic does when its fast path does not apply.
 */
import { type B, define, type Definition, type Var } from '../block.ts';
import { apply, call, type E, i32, i64, select, v128 } from '../ops.ts';
import * as S from '../state.ts';
import {
  beginFlags,
  commitFlags,
  DAZ,
  denormalOperand,
  type Format,
  FORMATS,
  IE,
  indefinite,
  infinity,
  isDenormal,
  isNan,
  isSignaling,
  isZero,
  magnitude,
  quietBit,
  raiseFlags,
  roundingControl,
  roundPack,
  shiftRightSticky,
  signBit,
  signOf,
  unpack,
  ZE,
} from './softfloat.ts';

/** Operations of `sf.lane`; ADDSUB subtracts in even lanes and adds in odd ones. */
export const LANE = { ADD: 0, SUB: 1, MUL: 2, DIV: 3, SQRT: 4, MIN: 5, MAX: 6, ADDSUB: 7 } as const;

function invalid(b: B, f: Format): void {
  raiseFlags(b, IE);
  b.return(i64(indefinite(f)));
}

/** a + b of numbers (no NaN, denormals seen to). */
function defineAdd(f: Format): Definition {
  const inf = infinity(f);
  return define(`sf.add.${f.name}`, ['i64', 'i64'], 'i64', (b, x, y) => {
    const swap = b.let(magnitude(f, x).ltU(magnitude(f, y)));
    const big = b.let(select(swap, y, x));
    const small = b.let(select(swap, x, y));
    const differ = b.let(signOf(f, big.xor(small)).ne(0));
    b.if(magnitude(f, big).eq(inf), () => {
      b.if(magnitude(f, small).eq(inf).and(differ), () => invalid(b, f));
      b.return(big);
    });
    const u = unpack(b, f, big);
    const v = unpack(b, f, small);
    b.if(v.significand.get().eqz(), () => {
      b.if(u.significand.get().eqz(), () => {
        const sign = select(roundingControl(b).eq(1), i64(signBit(f)), i64(0));
        b.return(b.let(select(differ, b.let(sign), signOf(f, big))));
      });
      v.exponent.set(u.exponent.get());
    });
    // one bit of headroom for the carry
    const a = b.let(u.significand.get().shrU(1));
    const distance = u.exponent.get().sub(v.exponent.get());
    const c = shiftRightSticky(b, b.let(v.significand.get().shrU(1)), b.let(distance));
    const sum = b.let(select(differ, b.let(a.sub(c)), b.let(a.add(c))));
    b.if(sum.eqz(), () => {
      b.return(b.let(select(roundingControl(b).eq(1), i64(signBit(f)), i64(0))));
    });
    const shift = b.let(sum.clz().sub(1));
    b.return(roundPack(f, u.sign, u.exponent.get().add(1).sub(shift.wrap()), sum.shl(shift)));
  });
}

/** High 64 bits of a 64 × 64 product, the low ones ORed into bit 0. */
const MULTIPLY_HIGH: Definition = define('sf.mulhi', ['i64', 'i64'], 'i64', (b, x, y) => {
  const low = (v: E): E => v.and(0xffffffffn);
  const ll = b.let(low(x).mul(low(y)));
  const lh = b.let(low(x).mul(y.shrU(32)));
  const hl = b.let(x.shrU(32).mul(low(y)));
  const middle = b.let(ll.shrU(32).add(low(lh)).add(low(hl)));
  const high = x.shrU(32).mul(y.shrU(32)).add(lh.shrU(32)).add(hl.shrU(32)).add(middle.shrU(32));
  const lost = low(ll).or(low(middle)).ne(0).u64();
  b.return(high.or(lost));
});

function defineMultiply(f: Format): Definition {
  const inf = infinity(f);
  return define(`sf.mul.${f.name}`, ['i64', 'i64'], 'i64', (b, x, y) => {
    const sign = b.let(signOf(f, x.xor(y)));
    b.if(magnitude(f, x).eq(inf).or(magnitude(f, y).eq(inf)), () => {
      b.if(isZero(f, x).or(isZero(f, y)), () => invalid(b, f));
      b.return(sign.or(inf));
    });
    b.if(isZero(f, x).or(isZero(f, y)), () => b.return(sign));
    const u = unpack(b, f, x);
    const v = unpack(b, f, y);
    // leading ones at 62 and 63: the product's at 125 or 126, so at 61 or 62 of the high half
    const product = b.let(call('sf.mulhi', 'i64', u.significand.get(), v.significand.get().shl(1)));
    const shift = b.let(product.clz().sub(1));
    const exponent = u.exponent
      .get()
      .add(v.exponent.get())
      .sub(f.bias - 1);
    b.return(roundPack(f, sign, exponent.sub(shift.wrap()), product.shl(shift)));
  });
}

function defineDivide(f: Format): Definition {
  const inf = infinity(f);
  return define(`sf.div.${f.name}`, ['i64', 'i64'], 'i64', (b, x, y) => {
    const sign = b.let(signOf(f, x.xor(y)));
    b.if(magnitude(f, x).eq(inf), () => {
      b.if(magnitude(f, y).eq(inf), () => invalid(b, f));
      b.return(sign.or(inf));
    });
    b.if(magnitude(f, y).eq(inf), () => b.return(sign));
    b.if(isZero(f, y), () => {
      b.if(isZero(f, x), () => invalid(b, f));
      raiseFlags(b, ZE);
      b.return(sign.or(inf));
    });
    b.if(isZero(f, x), () => b.return(sign));
    const u = unpack(b, f, x);
    const v = unpack(b, f, y);
    const exponent = b.var('i32', u.exponent.get().sub(v.exponent.get()).add(f.bias));
    const rest = b.var('i64', u.significand.get());
    const divisor = b.let(v.significand.get());
    b.if(rest.get().ltU(divisor), () => {
      rest.set(rest.get().shl(1));
      exponent.set(exponent.get().sub(1));
    });
    // restoring division: fraction + 3 quotient bits, the first of which is one
    const bits = f.fraction + 3;
    const quotient = b.var('i64', 0);
    const left = b.var('i32', bits);
    b.loop(() => {
      quotient.set(quotient.get().shl(1));
      b.if(rest.get().geU(divisor), () => {
        rest.set(rest.get().sub(divisor));
        quotient.set(quotient.get().or(1));
      });
      rest.set(rest.get().shl(1));
      left.set(left.get().sub(1));
      b.if(left.get().eqz(), () => b.break());
    });
    const sticky = rest.get().ne(0).u64();
    b.return(
      roundPack(
        f,
        sign,
        exponent.get(),
        quotient
          .get()
          .shl(63 - bits)
          .or(sticky),
      ),
    );
  });
}

function defineSquareRoot(f: Format): Definition {
  return define(`sf.sqrt.${f.name}`, ['i64'], 'i64', (b, x) => {
    b.if(isZero(f, x), () => b.return(x));
    b.if(signOf(f, x).ne(0), () => invalid(b, f));
    b.if(x.eq(infinity(f)), () => b.return(x));
    const u = unpack(b, f, x);
    const unbiased = b.let(u.exponent.get().sub(f.bias));
    // radicand in [1, 4) with its point after bit 62: two bits of it enter per step
    const odd = b.let(unbiased.and(1).u64());
    const radicand = b.var('i64', u.significand.get().shl(odd));
    const bits = f.fraction + 3;
    const root = b.var('i64', 0);
    const rest = b.var('i64', 0);
    const left = b.var('i32', bits);
    b.loop(() => {
      rest.set(rest.get().shl(2).or(radicand.get().shrU(62)));
      radicand.set(radicand.get().shl(2));
      root.set(root.get().shl(1));
      const trial = b.let(root.get().shl(1).or(1));
      b.if(rest.get().geU(trial), () => {
        rest.set(rest.get().sub(trial));
        root.set(root.get().or(1));
      });
      left.set(left.get().sub(1));
      b.if(left.get().eqz(), () => b.break());
    });
    const sticky = rest.get().ne(0).u64();
    const exponent = unbiased.shrS(1).add(f.bias);
    b.return(
      roundPack(
        f,
        i64(0),
        exponent,
        root
          .get()
          .shl(63 - bits)
          .or(sticky),
      ),
    );
  });
}

/** One lane of operation `op` (LANE) with all its exceptions. */
function defineLane(f: Format): Definition {
  return define(`sf.lane.${f.name}`, ['i32', 'i64', 'i64'], 'i64', (b, op, x, y) => {
    b.if(op.eq(LANE.SQRT), () => {
      b.if(isNan(f, y), () => {
        b.if(isSignaling(f, y), () => raiseFlags(b, IE));
        b.return(y.or(quietBit(f)));
      });
      const before = b.let(b.state32(S.SIMD_FLAGS));
      const operand = b.let(denormalOperand(b, f, y));
      // a negative denormal is invalid, which comes before denormal
      b.if(signOf(f, operand).ne(0).and(isZero(f, operand).eqz()), () => b.setState32(S.SIMD_FLAGS, before));
      b.return(call(`sf.sqrt.${f.name}`, 'i64', operand));
    });
    const minmax = b.let(op.eq(LANE.MIN).or(op.eq(LANE.MAX)));
    b.if(isNan(f, x).or(isNan(f, y)), () => {
      b.if(minmax, () => {
        raiseFlags(b, IE);
        const flush = isDenormal(f, y).and(b.state32(S.MXCSR).and(DAZ).ne(0));
        b.return(b.let(select(flush, signOf(f, y), y)));
      });
      b.if(isSignaling(f, x).or(isSignaling(f, y)), () => raiseFlags(b, IE));
      b.return(b.let(select(isNan(f, x), x, y)).or(quietBit(f)));
    });
    // division by zero comes before denormal
    const before = b.let(b.state32(S.SIMD_FLAGS));
    const p = b.let(denormalOperand(b, f, x));
    const q = b.let(denormalOperand(b, f, y));
    b.if(minmax, () => b.return(extreme(b, f, op, p, q)));
    b.if(op.eq(LANE.MUL), () => b.return(call(`sf.mul.${f.name}`, 'i64', p, q)));
    b.if(op.eq(LANE.DIV), () => {
      b.if(isZero(f, q), () => b.setState32(S.SIMD_FLAGS, before));
      b.return(call(`sf.div.${f.name}`, 'i64', p, q));
    });
    const flip = select(op.eq(LANE.SUB), i64(signBit(f)), i64(0));
    b.return(call(`sf.add.${f.name}`, 'i64', p, q.xor(flip)));
  });
}

/** Order of numbers as signed integers; −0 and +0 are equal. */
export function orderKey(b: B, f: Format, x: E): E {
  return b.let(select(signOf(f, x).ne(0), i64(0).sub(magnitude(f, x)), x));
}
/** MIN, MAX: the second operand unless the first is strictly less (greater). */
function extreme(b: B, f: Format, op: E, x: E, y: E): E {
  const kx = orderKey(b, f, x);
  const ky = orderKey(b, f, y);
  const first = b.let(select(op.eq(LANE.MIN), kx.ltS(ky), kx.gtS(ky)));
  return b.let(select(first, x, y));
}

/** Lane `i` of a vector as i64 bits. */
export function laneBits(f: Format, v: E, i: number): E {
  return f.bits === 64 ? apply('i64x2.extract_lane', [v], i) : apply('i32x4.extract_lane', [v], i).u64();
}
export function withLane(f: Format, v: E, i: number, bits: E): E {
  return f.bits === 64
    ? apply('i64x2.replace_lane', [v, bits], i)
    : apply('i32x4.replace_lane', [v, bits.wrap()], i);
}

/** All lanes of operation `op`; commits the flags. */
function definePacked(f: Format): Definition {
  return define(`sse.packed.${f.name}`, ['i32', 'v128', 'v128'], 'v128', (b, op, x, y) => {
    beginFlags(b);
    const alternate = b.let(op.eq(LANE.ADDSUB));
    const even = b.let(select(alternate, i32(LANE.SUB), op));
    const odd = b.let(select(alternate, i32(LANE.ADD), op));
    const result: Var = b.var('v128', v128(0n));
    for (let i = 0; i < 16 / f.bytes; i++) {
      const lane = call(
        `sf.lane.${f.name}`,
        'i64',
        i % 2 === 0 ? even : odd,
        laneBits(f, x, i),
        laneBits(f, y, i),
      );
      result.set(withLane(f, result.get(), i, lane));
    }
    commitFlags(b);
    b.return(result.get());
  });
}
function defineScalar(f: Format): Definition {
  return define(`sse.scalar.${f.name}`, ['i32', 'i64', 'i64'], 'i64', (b, op, x, y) => {
    beginFlags(b);
    const result = b.let(call(`sf.lane.${f.name}`, 'i64', op, x, y));
    commitFlags(b);
    b.return(result);
  });
}

export const ARITH_DEFINITIONS: readonly Definition[] = [
  MULTIPLY_HIGH,
  ...FORMATS.flatMap((f) => [
    defineAdd(f),
    defineMultiply(f),
    defineDivide(f),
    defineSquareRoot(f),
    defineLane(f),
    definePacked(f),
    defineScalar(f),
  ]),
];
