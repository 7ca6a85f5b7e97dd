/**
 * SSE arithmetic: a WebAssembly fast path while MXCSR masks every exception, rounds to nearest, keeps denormals and
 * has PE set, and no operand or result could raise another flag or carry a NaN; otherwise softfloat-arith.ts.
 */
import { type B, define, type Definition } from '../block.ts';
import { apply, call, type E, i32, type Ops, select, v128 } from '../ops.ts';
import * as S from '../state.ts';
import { LANE, laneBits, withLane } from './softfloat-arith.ts';
import { beginFlags, commitFlags, type Format, FORMATS, hidden, signBit } from './softfloat.ts';
import { toBits, toFloat } from './softfloat-convert.ts';
import { bitMask } from './sse-shuffle.ts';
import { immediate, pick } from './sse.ts';

/** Everything but the flags OE UE ZE DE IE: masks set, RC = 0, FTZ = DAZ = 0, PE set. */
const FAST_MASK = 0xffe0;
const FAST_VALUE = 0x1fa0;

export function mxcsrAllowsFast(b: B): E {
  return b.state32(S.MXCSR).and(FAST_MASK).eq(FAST_VALUE);
}
/** Ends the instruction when the softfloat call before it met an unmasked exception. */
export function trapOnUnmasked(o: Ops): void {
  const trap = o.state32(S.SIMD_TRAP);
  o.if(trap, () => {
    o.setState32(S.FAULT, trap);
    o.end('exit');
  });
}

export type Operation = Exclude<keyof typeof LANE, 'ADDSUB'>;

export function shapeOf(f: Format): string {
  return f.bits === 64 ? 'f64x2' : 'f32x4';
}
export function integerShape(f: Format): string {
  return f.bits === 64 ? 'i64x2' : 'i32x4';
}
/** Least normal number. */
export function leastNormal(f: Format): number {
  return f.bits === 64 ? 2 ** -1022 : 2 ** -126;
}
/** False for denormals only. @param bits i64 */
export function notDenormal(f: Format, bits: E): E {
  if (f.bits === 64)
    return bits
      .shl(1)
      .sub(1)
      .geU((hidden(f) << 1n) - 1n);
  return bits
    .wrap()
    .shl(1)
    .sub(1)
    .geU(Number(hidden(f) << 1n) - 1);
}
function allTrue(f: Format, mask: E): E {
  return apply(`${integerShape(f)}.all_true`, [mask]);
}
function numberVector(f: Format, value: number): E {
  return apply(`${shapeOf(f)}.splat`, [value]);
}
function vectorMagnitude(f: Format, v: E): E {
  return apply(`${shapeOf(f)}.abs`, [v]);
}
function lanesZero(f: Format, v: E): E {
  return apply(`${shapeOf(f)}.eq`, [v, v128(0n)]);
}
/** All ones in lanes that hold zero or a normal number (or infinity). */
export function zeroOrNormal(f: Format, v: E): E {
  return apply(`${shapeOf(f)}.ge`, [vectorMagnitude(f, v), numberVector(f, leastNormal(f))]).or(
    lanesZero(f, v),
  );
}

/** i32: the result of `op` on scalars raises at most PE and is no NaN. */
function scalarIsPlain(o: Ops, f: Format, op: Operation, x: E, y: E, result: E): E {
  const size = o.let(apply(`${f.name}.abs`, [result]));
  const finite = apply(`${f.name}.lt`, [size, Infinity]);
  const zero = (bits: E): E => apply(`${f.name}.eq`, [toFloat(f, bits), 0]);
  const normal = apply(`${f.name}.gt`, [size, leastNormal(f)]);
  if (op === 'SQRT') return finite.and(notDenormal(f, y)).and(normal.or(zero(y)));
  const operands = finite.and(notDenormal(f, x)).and(notDenormal(f, y));
  if (op === 'ADD' || op === 'SUB') return operands;
  return operands.and(normal.or(zero(x)).or(zero(y)));
}
function vectorIsPlain(o: Ops, f: Format, op: Operation, x: E, y: E, result: E): E {
  const size = o.let(vectorMagnitude(f, result));
  const finite = apply(`${shapeOf(f)}.lt`, [size, numberVector(f, Infinity)]);
  const normal = apply(`${shapeOf(f)}.gt`, [size, numberVector(f, leastNormal(f))]);
  if (op === 'SQRT') return allTrue(f, finite.and(zeroOrNormal(f, y)).and(normal.or(lanesZero(f, y))));
  const operands = finite.and(zeroOrNormal(f, x)).and(zeroOrNormal(f, y));
  if (op === 'ADD' || op === 'SUB') return allTrue(f, operands);
  return allTrue(f, operands.and(normal.or(lanesZero(f, x)).or(lanesZero(f, y))));
}

const WASM: Readonly<Record<Operation, string>> = {
  ADD: 'add',
  SUB: 'sub',
  MUL: 'mul',
  DIV: 'div',
  SQRT: 'sqrt',
  MIN: 'lt',
  MAX: 'gt',
};

/** ADDSS … SQRTSD. */
export function scalarArith(f: Format, op: Operation): (o: Ops) => void {
  return (o) => {
    const q = o.let(o.getFloat(1, f.bytes));
    const p = op === 'SQRT' ? q : o.let(o.getFloat(0, f.bytes));
    const [x, y] = [toBits(f, p), toBits(f, q)];
    const args = op === 'SQRT' ? [q] : [p, q];
    const result = o.var(f.name);
    let plain: E;
    if (op === 'MIN' || op === 'MAX') {
      const number = apply(`${f.name}.eq`, [p, p]);
      const other = apply(`${f.name}.eq`, [q, q]);
      result.set(select(apply(`${f.name}.${WASM[op]}`, args), p, q));
      plain = number.and(other).and(notDenormal(f, x)).and(notDenormal(f, y));
    } else {
      const value = o.let(apply(`${f.name}.${WASM[op]}`, args));
      result.set(value);
      plain = mxcsrAllowsFast(o).and(scalarIsPlain(o, f, op, x, y, value));
    }
    o.if(plain.eqz(), () => {
      result.set(toFloat(f, call(`sse.scalar.${f.name}`, 'i64', i32(LANE[op]), x, y)));
      trapOnUnmasked(o);
    });
    o.setFloat(0, f.bytes, result.get());
  };
}

/** result ← x op y in all lanes; ends the instruction on an unmasked exception. */
function vectorResult(o: Ops, f: Format, op: Operation, x: E, y: E): E {
  const result = o.var('v128');
  let plain: E;
  if (op === 'MIN' || op === 'MAX') {
    const first = apply(`${shapeOf(f)}.${WASM[op]}`, [x, y]);
    result.set(apply('v128.bitselect', [x, y, first]));
    plain = allTrue(f, zeroOrNormal(f, x).and(zeroOrNormal(f, y)));
  } else {
    result.set(apply(`${shapeOf(f)}.${WASM[op]}`, op === 'SQRT' ? [y] : [x, y]));
    plain = mxcsrAllowsFast(o).and(vectorIsPlain(o, f, op, x, y, result.get()));
  }
  o.if(plain.eqz(), () => {
    result.set(call(`sse.packed.${f.name}`, 'v128', i32(LANE[op]), x, y));
    trapOnUnmasked(o);
  });
  return result.get();
}

/** ADDPS … SQRTPD. */
export function packedArith(f: Format, op: Operation): (o: Ops) => void {
  return (o) => {
    const y = o.let(o.get(1));
    const x = op === 'SQRT' ? y : o.let(o.get(0));
    o.set(0, vectorResult(o, f, op, x, y));
  };
}
/** HADDPS … HSUBPD: even lanes of both operands with the odd ones. */
export function horizontalArith(f: Format, op: 'ADD' | 'SUB'): (o: Ops) => void {
  const places = f.bits === 64 ? [0, 2] : [0, 2, 4, 6];
  return (o) => {
    const b = o.let(o.get(1));
    const a = o.let(o.get(0));
    const even = o.let(pick(f.bytes, a, b, places));
    const odd = o.let(
      pick(
        f.bytes,
        a,
        b,
        places.map((n) => n + 1),
      ),
    );
    o.set(0, vectorResult(o, f, op, even, odd));
  };
}
/** ADDSUBPS, ADDSUBPD. */
export function addSub(f: Format): (o: Ops) => void {
  const signs = f.bits === 64 ? v128(signBit(f)) : v128(signBit(f) | (signBit(f) << 64n));
  return (o) => {
    const y = o.let(o.get(1));
    const x = o.let(o.get(0));
    const result = o.var('v128', apply(`${shapeOf(f)}.add`, [x, y.xor(signs)]));
    const plain = mxcsrAllowsFast(o).and(vectorIsPlain(o, f, 'ADD', x, y, result.get()));
    o.if(plain.eqz(), () => {
      result.set(call(`sse.packed.${f.name}`, 'v128', i32(LANE.ADDSUB), x, y));
      trapOnUnmasked(o);
    });
    o.set(0, result.get());
  };
}

/**
 * DPPS, DPPD: products of the lanes in imm bits 4–7, summed in pairs, into the lanes in imm bits 0–3. Exceptions
 * of the products come before those of the sums.
 */
function defineDot(f: Format): Definition {
  const count = 16 / f.bytes;
  return define(`sse.dot.${f.name}`, ['v128', 'v128', 'i32'], 'v128', (b, x, y, imm) => {
    const lane = (op: number, p: E, q: E): E => b.let(call(`sf.lane.${f.name}`, 'i64', i32(op), p, q));
    const step = (): void => {
      commitFlags(b);
      b.if(b.state32(S.SIMD_TRAP), () => b.return(x));
      beginFlags(b);
    };
    beginFlags(b);
    let terms = Array.from({ length: count }, (_, i) => {
      const product = b.var('i64', 0);
      b.if(imm.and(0x10 << i), () =>
        product.set(lane(LANE.MUL, b.let(laneBits(f, x, i)), b.let(laneBits(f, y, i)))),
      );
      return product.get();
    });
    step();
    // what each lane adds to what shows where both are NaN
    const sum = (p: E, q: E): E => lane(LANE.ADD, p, q);
    terms = terms.map((term, i) =>
      count === 4 ? sum(terms[i ^ 1] as E, term) : sum(term, terms[i ^ 1] as E),
    );
    step();
    if (count === 4) {
      terms = terms.map((term, i) => sum(term, terms[i ^ 2] as E));
      step();
    }
    const all = b.var('v128', v128(0n));
    for (let i = 0; i < count; i++) all.set(withLane(f, all.get(), i, terms[i] as E));
    b.return(all.get().and(bitMask(imm, f.bytes)));
  });
}
export const DOT_DEFINITIONS: readonly Definition[] = FORMATS.map(defineDot);

export function dot(f: Format): (o: Ops) => void {
  return (o) => {
    const y = o.let(o.get(1));
    const x = o.let(o.get(0));
    const result = o.let(call(`sse.dot.${f.name}`, 'v128', x, y, immediate(o)));
    trapOnUnmasked(o);
    o.set(0, result);
  };
}

/** RCPSS, RSQRTSS. */
export function approximateScalar(name: 'rcp' | 'rsqrt'): (o: Ops) => void {
  return (o) => {
    o.setLow(0, 4, o.let(call(`sse.${name}`, 'i64', o.getLow(1, 4))));
  };
}
export function approximatePacked(name: 'rcp' | 'rsqrt'): (o: Ops) => void {
  return (o) => {
    o.set(0, o.let(call(`sse.${name}.packed`, 'v128', o.let(o.get(1)))));
  };
}

/** ROUNDSS, ROUNDSD. */
export function roundScalar(f: Format): (o: Ops) => void {
  return (o) => {
    const result = o.let(call(`sse.integral.${f.name}`, 'i64', o.getLow(1, f.bytes), immediate(o)));
    trapOnUnmasked(o);
    o.setLow(0, f.bytes, result);
  };
}
export function roundPacked(f: Format): (o: Ops) => void {
  return (o) => {
    const result = o.let(call(`sse.integrals.${f.name}`, 'v128', o.let(o.get(1)), immediate(o)));
    trapOnUnmasked(o);
    o.set(0, result);
  };
}

// ---- comparison ----

export function compareScalar(f: Format): (o: Ops) => void {
  return (o) => {
    const y = o.getLow(1, f.bytes);
    const x = o.getLow(0, f.bytes);
    const result = o.let(call(`sse.compare.${f.name}`, 'i64', x, y, immediate(o)));
    trapOnUnmasked(o);
    o.setLow(0, f.bytes, result);
  };
}
export function comparePacked(f: Format): (o: Ops) => void {
  return (o) => {
    const y = o.let(o.get(1));
    const x = o.let(o.get(0));
    const result = o.let(call(`sse.compares.${f.name}`, 'v128', x, y, immediate(o)));
    trapOnUnmasked(o);
    o.set(0, result);
  };
}
/** COMISx (`signal`: QNaNs are invalid too) and UCOMISx: ZF, PF, CF; the other arithmetic flags are cleared. */
export function compareFlags(f: Format, signal: 0 | 1): (o: Ops) => void {
  return (o) => {
    const q = o.let(o.getFloat(1, f.bytes));
    const p = o.let(o.getFloat(0, f.bytes));
    const [x, y] = [toBits(f, p), toBits(f, q)];
    const zero = o.var('i32', apply(`${f.name}.eq`, [p, q]));
    const carry = o.var('i32', apply(`${f.name}.lt`, [p, q]));
    const parity = o.var('i32', 0);
    const ordered = zero
      .get()
      .or(carry.get())
      .or(apply(`${f.name}.gt`, [p, q]));
    o.if(ordered.and(notDenormal(f, x)).and(notDenormal(f, y)).eqz(), () => {
      const order = o.let(call(`sse.order.${f.name}`, 'i32', x, y, i32(signal)));
      trapOnUnmasked(o);
      parity.set(order.shrU(3));
      zero.set(order.shrU(1).and(1).or(parity.get()));
      carry.set(order.and(1).or(parity.get()));
    });
    // FLAG_RESULT 0 has ZF 1 and PF 1, 1 has neither; bit 0 of the carries flips PF
    o.setState64(S.FLAG_RESULT, zero.get().xor(1).u64());
    const cf = o.let(carry.get().u64());
    o.setState64(S.FLAG_CARRIES, cf.shl(63).or(cf.shl(62)).or(parity.get().xor(zero.get()).u64()));
  };
}
