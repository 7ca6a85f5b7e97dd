/** Integer building blocks and the rounding step of the 80-bit arithmetic. */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import { FSW_BIT, INTEGER_BIT, RC, RC_MASK, returnExt, signal } from './ext80.ts';

/** Bias adjustment of unmasked overflow and underflow: 3 × 2^13 (SDM volume 1, 4.9.1.4). */
const WRAP = 24576;

/** high:low / divisor for high < divisor and a normalised divisor; the remainder goes to X87_LOW. */
const divide = define('u128_div', ['i64', 'i64', 'i64'], 'i64', (b, high, low, divisor) => {
  const d1 = b.let(divisor.shrU(32));
  const d0 = b.let(divisor.and(0xffffffffn));
  /** One 32-bit digit: (rest:next) / divisor, Knuth's algorithm D. */
  const digit = (rest: E, next: E): { q: E; rest: E } => {
    const q = b.var('i64', rest.divU(d1));
    const r = b.var('i64', rest.sub(q.get().mul(d1)));
    b.loop(() => {
      const small = q.get().leU(0xffffffffn);
      b.if(small.and(q.get().mul(d0).leU(r.get().shl(32).or(next))), () => b.break());
      q.set(q.get().sub(1));
      r.set(r.get().add(d1));
      b.if(r.get().gtU(0xffffffffn), () => b.break());
    });
    return { q: q.get(), rest: b.let(rest.shl(32).or(next).sub(q.get().mul(divisor))) };
  };
  const first = digit(high, b.let(low.shrU(32)));
  const second = digit(first.rest, b.let(low.and(0xffffffffn)));
  b.setState64(S.X87_LOW, second.rest);
  b.return(first.q.shl(32).or(second.q));
});

/** high:low >> count (≥ 0, any size) with the bits shifted out ORed into the lowest; low half to X87_LOW. */
const shiftJam = define('u128_shift_jam', ['i64', 'i64', 'i32'], 'i64', (b, high, low, count) => {
  b.if(count.eqz(), () => {
    b.setState64(S.X87_LOW, low);
    b.return(high);
  });
  const n = b.let(count.u64());
  b.if(count.ltU(64), () => {
    const lost = low.shl(i64(64).sub(n)).ne(0);
    b.setState64(S.X87_LOW, high.shl(i64(64).sub(n)).or(low.shrU(n)).or(lost.u64()));
    b.return(high.shrU(n));
  });
  b.if(count.eq(64), () => {
    b.setState64(S.X87_LOW, high.or(low.ne(0).u64()));
    b.return(i64(0));
  });
  b.if(count.ltU(128), () => {
    const lost = high.shl(i64(128).sub(n)).or(low).ne(0);
    b.setState64(S.X87_LOW, high.shrU(n.sub(64)).or(lost.u64()));
    b.return(i64(0));
  });
  b.setState64(S.X87_LOW, high.or(low).ne(0).u64());
  b.return(i64(0));
});

/** i64 bits of a unit in the last place under the precision control. */
function unitOfPrecision(b: B, control: E): E {
  const pc = b.let(control.and(0x300));
  return b.let(select(pc.eq(0), i64(1n << 40n), select(pc.eq(0x200), i64(1n << 11n), i64(1n))));
}

/**
 * Whether a value is rounded away from zero.
 * @param fraction the bits below `kept`'s unit, left-aligned in an i64
 */
export function roundsUp(b: B, control: E, negative: E, odd: E, fraction: E): E {
  const rc = b.let(control.and(RC_MASK));
  const half = b.let(i64(INTEGER_BIT));
  const nearest = fraction.gtU(half).or(fraction.eq(half).and(odd));
  const directed = b.let(
    fraction.ne(0).and(select(rc.eq(RC.DOWN), negative, select(rc.eq(RC.UP), negative.eqz(), i32(0)))),
  );
  return b.let(select(rc.eq(RC.NEAREST), nearest, directed));
}

/**
 * (-1)^negative × high:low × 2^(exponent − 16383 − 127), high normalised, rounded to an 80-bit value under
 * `control` (an FCW: masks, PC, RC). Signals OE, UE, PE and C1.
 */
const round = define(
  'ext80_round',
  ['i32', 'i32', 'i64', 'i64', 'i32'],
  'i64',
  (b, negative, e, high, low, control) => {
    const unit = unitOfPrecision(b, control);
    const exponentVar = b.var('i32', e);
    const highVar = b.var('i64', high);
    const lowVar = b.var('i64', low);
    const tiny = b.var('i32', 0);
    const kept = b.var('i64');
    const fraction = b.var('i64');
    const up = b.var('i32');
    const split = (): void => {
      const h = highVar.get();
      kept.set(h.and(unit.neg()));
      // the rest of the high half moves up; the low half only matters as a whole then
      fraction.set(
        select(unit.eq(1), lowVar.get(), h.shl(i64(64).sub(unit.ctz())).or(lowVar.get().ne(0).u64())),
      );
      up.set(roundsUp(b, control, negative, kept.get().and(unit).ne(0), fraction.get()));
    };
    split();
    b.if(e.leS(0), () => {
      const reachesNormal = up.get().and(kept.get().add(unit).eqz());
      tiny.set(e.ltS(0).or(reachesNormal.eqz()));
      b.if(tiny.get().and(control.and(FSW_BIT.UE).eqz()), () => {
        signal(b, FSW_BIT.UE);
        exponentVar.set(e.add(WRAP));
        tiny.set(0);
      });
      // unmasked, and beyond even the adjusted exponent (FSCALE)
      b.if(exponentVar.get().leS(0).and(e.leS(-WRAP)).and(control.and(FSW_BIT.UE).eqz()), () => {
        signal(b, FSW_BIT.PE);
        returnExt(b, 0n, negative.shl(15));
      });
      b.if(exponentVar.get().leS(0), () => {
        highVar.set(call('u128_shift_jam', 'i64', high, low, i32(1).sub(e)));
        lowVar.set(b.state64(S.X87_LOW));
        split();
        const inexact = b.let(fraction.get().ne(0));
        const result = b.let(kept.get().add(select(up.get(), unit, i64(0))));
        signal(
          b,
          select(inexact, i32(FSW_BIT.PE), i32(0))
            .or(select(inexact.and(tiny.get()), i32(FSW_BIT.UE), i32(0)))
            .or(select(up.get(), i32(FSW_BIT.C1), i32(0))),
        );
        returnExt(b, result, negative.shl(15).or(result.ltS(0)));
      });
    });
    b.if(up.get(), () => {
      kept.set(kept.get().add(unit));
      b.if(kept.get().eqz(), () => {
        kept.set(INTEGER_BIT);
        exponentVar.set(exponentVar.get().add(1));
      });
    });
    b.if(fraction.get().ne(0), () => signal(b, i32(FSW_BIT.PE).or(up.get().shl(9))));
    b.if(exponentVar.get().geS(0x7fff), () => {
      const unmasked = b.let(control.and(FSW_BIT.OE).eqz());
      b.if(unmasked.and(exponentVar.get().ltS(0x7fff + WRAP)), () => {
        signal(b, FSW_BIT.OE);
        returnExt(b, kept.get(), negative.shl(15).or(exponentVar.get().sub(WRAP)));
      });
      const rc = b.let(control.and(RC_MASK));
      const infinite = b.let(
        rc
          .eq(RC.NEAREST)
          .or(unmasked)
          .or(select(negative, rc.eq(RC.DOWN), rc.eq(RC.UP))),
      );
      b.setState32(S.X87_EXCEPTIONS, b.state32(S.X87_EXCEPTIONS).and(~FSW_BIT.C1));
      signal(b, i32(FSW_BIT.OE | FSW_BIT.PE).or(infinite.shl(9)));
      returnExt(
        b,
        select(infinite, i64(INTEGER_BIT), unit.neg()),
        negative.shl(15).or(select(infinite, i32(0x7fff), i32(0x7ffe))),
      );
    });
    returnExt(b, kept.get(), negative.shl(15).or(exponentVar.get()));
  },
);

/** As ext80_round for a value that is neither zero nor normalised. */
const normaliseRound = define(
  'ext80_normalise_round',
  ['i32', 'i32', 'i64', 'i64', 'i32'],
  'i64',
  (b, negative, e, high, low, control) => {
    const h = b.var('i64', high);
    const l = b.var('i64', low);
    const x = b.var('i32', e);
    b.if(h.get().eqz(), () => {
      h.set(l.get());
      l.set(0n);
      x.set(x.get().sub(64));
    });
    const n = b.let(h.get().clz());
    b.if(n.ne(0), () => {
      h.set(
        h
          .get()
          .shl(n)
          .or(l.get().shrU(i64(64).sub(n))),
      );
      l.set(l.get().shl(n));
      x.set(x.get().sub(n.wrap()));
    });
    b.return(call('ext80_round', 'i64', negative, x.get(), h.get(), l.get(), control));
  },
);

export const EXT80_ROUND: readonly Definition[] = [divide, shiftJam, round, normaliseRound];
