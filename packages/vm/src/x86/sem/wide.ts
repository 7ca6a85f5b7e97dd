/** 128-bit products and quotients, as warm functions. */
import { type Definition, define } from '../block.ts';
import { call, i64 } from '../ops.ts';

/** Upper 64 bits of a × b, unsigned. */
const mulHighU = define('mul_high_u', ['i64', 'i64'], 'i64', (b, x, y) => {
  const x0 = b.let(x.and(0xffffffffn));
  const x1 = b.let(x.shrU(32));
  const y0 = b.let(y.and(0xffffffffn));
  const y1 = b.let(y.shrU(32));
  const middle = b.let(x1.mul(y0).add(x0.mul(y0).shrU(32)));
  const cross = b.let(x0.mul(y1).add(middle.and(0xffffffffn)));
  b.return(x1.mul(y1).add(middle.shrU(32)).add(cross.shrU(32)));
});

/** Upper 64 bits of a × b, signed. */
const mulHighS = define('mul_high_s', ['i64', 'i64'], 'i64', (b, x, y) => {
  b.return(call('mul_high_u', 'i64', x, y).sub(x.shrS(63).and(y)).sub(y.shrS(63).and(x)));
});

/** (high:low) / divisor for high < divisor, by schoolbook division with 32-bit digits (Knuth, algorithm D). */
const div128 = define('div128', ['i64', 'i64', 'i64'], 'i64', (b, high, low, divisor) => {
  b.if(high.eqz(), () => b.return(low.divU(divisor)));
  const s = b.let(divisor.clz());
  const d = b.let(divisor.shl(s));
  const d1 = b.let(d.shrU(32));
  const d0 = b.let(d.and(0xffffffffn));
  const n = b.var('i64', high.shl(s).or(low.shrU(1).shrU(i64(63).sub(s))));
  const rest = b.let(low.shl(s));
  const quotient = b.var('i64', 0);
  for (const digit of [rest.shrU(32), rest.and(0xffffffffn)]) {
    const next = b.let(digit);
    const q = b.var('i64', n.get().divU(d1));
    const r = b.var('i64', n.get().sub(q.get().mul(d1)));
    b.loop(() => {
      const tooBig = q
        .get()
        .gtU(0xffffffffn)
        .or(q.get().mul(d0).gtU(r.get().shl(32).or(next)));
      b.if(tooBig.eqz(), () => b.break());
      q.set(q.get().sub(1));
      r.set(r.get().add(d1));
      b.if(r.get().gtU(0xffffffffn), () => b.break());
    });
    n.set(n.get().shl(32).or(next).sub(q.get().mul(d)));
    quotient.set(quotient.get().shl(32).or(q.get()));
  }
  b.return(quotient.get());
});

export const WIDE_DEFINITIONS: readonly Definition[] = [mulHighU, mulHighS, div128];
