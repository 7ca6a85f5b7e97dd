/** FPREM, FPREM1, FSCALE and the parts of FXTRACT. */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import {
  BIAS,
  exponent,
  FSW_BIT,
  INTEGER_BIT,
  isInfinity,
  isNan,
  isUnsupported,
  isZero,
  normalise,
  PC_EXTENDED,
  returnExt,
  returnInvalid,
  sign,
  signal,
  signalDenormals,
} from './ext80.ts';

/** C0, C3, C1 = bits 2, 1, 0 of the quotient; invalid operands have none, and C0 and C3 stay. */
function signalQuotient(b: B, q: E): void {
  b.setState32(S.FSW, b.state32(S.FSW).and(~(FSW_BIT.C0 | FSW_BIT.C3)));
  const bit = (n: number, code: number): E => select(q.shrU(n).and(1), i32(code), i32(0));
  signal(b, bit(2, FSW_BIT.C0).or(bit(1, FSW_BIT.C3)).or(bit(0, FSW_BIT.C1)));
}

/**
 * a − q × b with q = a / b truncated, or to nearest even when `nearest` is 1. When the exponents differ by 64 or
 * more, C2 is signaled and the exponent is reduced by 32 to 63 (SDM volume 2, FPREM).
 */
const remainder = define(
  'ext80_remainder',
  ['i64', 'i32', 'i64', 'i32', 'i32', 'i32'],
  'i64',
  (b, sa, ea, sb, eb, nearest, control) => {
    const x = { sig: sa, se: ea };
    const y = { sig: sb, se: eb };
    b.if(isUnsupported(x).or(isUnsupported(y)).or(isNan(x)).or(isNan(y)), () =>
      b.return(call('ext80_nan', 'i64', sa, ea, sb, eb)),
    );
    b.if(isInfinity(x).or(isZero(y)), () => returnInvalid(b));
    signalDenormals(b, x, y);
    b.if(isZero(x), () => {
      signalQuotient(b, i32(0));
      returnExt(b, sa, ea);
    });
    const p = normalise(b, x);
    const same = (): void => {
      signalQuotient(b, i32(0));
      b.return(call('ext80_round', 'i64', sign(x), p.exponent, p.sig, i64(0), control.or(PC_EXTENDED)));
    };
    b.if(isInfinity(y), same);
    const d = normalise(b, y);
    const difference = b.let(p.exponent.sub(d.exponent));
    b.if(difference.ltS(select(nearest, i32(-1), i32(0))), same);
    const negative = b.var('i32', sign(x));
    const rest = b.var('i64', p.sig);
    const q = b.var('i32', 0);
    const e = b.var('i32', d.exponent);
    b.if(
      difference.ltS(0),
      () => {
        // a quarter to one of b: nearest is 0 or 1
        e.set(p.exponent);
        b.if(p.sig.gtU(d.sig), () => {
          rest.set(d.sig.shl(1).sub(p.sig));
          negative.set(negative.get().xor(1));
          q.set(1);
        });
      },
      () => {
        const partial = b.let(difference.geS(64));
        const steps = b.var('i32', select(partial, difference.and(0x1f).or(0x20), difference));
        e.set(p.exponent.sub(steps.get()));
        const carry = b.var('i64', 0n);
        b.loop(() => {
          q.set(q.get().shl(1));
          b.if(carry.get().wrap().or(rest.get().geU(d.sig)), () => {
            rest.set(rest.get().sub(d.sig));
            q.set(q.get().or(1));
          });
          b.if(steps.get().eqz(), () => b.break());
          steps.set(steps.get().sub(1));
          carry.set(rest.get().shrU(63));
          rest.set(rest.get().shl(1));
        });
        b.if(
          partial,
          () => {
            signal(b, FSW_BIT.C2);
            q.set(0);
          },
          () => {
            const twice = b.let(rest.get().shl(1));
            const over = rest
              .get()
              .ltS(0)
              .or(twice.gtU(d.sig))
              .or(twice.eq(d.sig).and(q.get().and(1)));
            b.if(nearest.and(over), () => {
              rest.set(d.sig.sub(rest.get()));
              negative.set(negative.get().xor(1));
              q.set(q.get().add(1));
            });
          },
        );
      },
    );
    signalQuotient(b, q.get());
    b.if(rest.get().eqz(), () => returnExt(b, 0n, ea.and(0x8000)));
    b.return(
      call(
        'ext80_normalise_round',
        'i64',
        negative.get(),
        e.get(),
        rest.get(),
        i64(0),
        control.or(PC_EXTENDED),
      ),
    );
  },
);

/** a × 2^trunc(b). */
const scale = define(
  'ext80_scale',
  ['i64', 'i32', 'i64', 'i32', 'i32'],
  'i64',
  (b, sa, ea, sb, eb, control) => {
    const x = { sig: sa, se: ea };
    const y = { sig: sb, se: eb };
    b.if(isUnsupported(x).or(isUnsupported(y)).or(isNan(x)).or(isNan(y)), () =>
      b.return(call('ext80_nan', 'i64', sa, ea, sb, eb)),
    );
    const s = b.let(ea.and(0x8000));
    b.if(isInfinity(y), () => {
      b.if(select(sign(y), isInfinity(x), isZero(x)), () => returnInvalid(b));
      signalDenormals(b, x);
      b.if(sign(y), () => returnExt(b, 0n, s));
      returnExt(b, INTEGER_BIT, s.or(0x7fff));
    });
    signalDenormals(b, x, y);
    b.if(isInfinity(x).or(isZero(x)), () => returnExt(b, sa, ea));
    const p = normalise(b, x);
    const magnitude = b.var('i32', 0);
    const e = b.let(exponent(y).sub(BIAS));
    b.if(e.geS(0), () => {
      magnitude.set(0x1ffff);
      b.if(e.ltS(17), () => magnitude.set(sb.shrU(i32(63).sub(e).u64()).wrap()));
    });
    const amount = select(sign(y), magnitude.get().neg(), magnitude.get());
    b.return(
      call('ext80_round', 'i64', sign(x), p.exponent.add(amount), p.sig, i64(0), control.or(PC_EXTENDED)),
    );
  },
);

export const EXT80_REMAINDER: readonly Definition[] = [remainder, scale];
