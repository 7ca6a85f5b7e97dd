/** x87 instructions that compute a function of ST(0), or of ST(0) and ST(1). */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import {
  BIAS,
  bind,
  callExt,
  type Ext,
  FSW_BIT,
  INTEGER_BIT,
  isNan,
  isSpecial,
  isUnsupported,
  isZero,
  normalise,
  signal,
  signalDenormals,
} from './ext80.ts';
import { outOfRange } from './ext80-trig.ts';
import {
  extVariable,
  ifCommitted,
  INDEFINITE,
  isEmpty,
  moveTop,
  popStack,
  readStack,
  stackOverflow,
  stackUnderflow,
  unlessEmpty,
  writeStack,
} from './x87-stack.ts';

/** ST(0) ← f(ST(0)). */
function unary(name: string, f: (b: B, x: Ext, control: E) => Ext): Definition {
  return define(name, [], null, (b) => {
    const r = unlessEmpty(b, isEmpty(b, 0), () => f(b, readStack(b, 0), b.state32(S.FCW)));
    ifCommitted(b, () => writeStack(b, 0, r));
  });
}

/** ST(0) ← f(ST(0), ST(1)). @param codes condition codes it defines: without a result C2 is clear, the others stay */
function binary(name: string, codes: number, f: (b: B, x: Ext, y: Ext, control: E) => Ext): Definition {
  return define(name, [], null, (b) => {
    const old = b.state32(S.FSW);
    if (codes !== 0) b.setState32(S.FSW, old.and(~FSW_BIT.C2));
    const empty = isEmpty(b, 0).or(isEmpty(b, 1));
    const r = unlessEmpty(b, empty, () => f(b, readStack(b, 0), readStack(b, 1), b.state32(S.FCW)));
    b.if(
      call('x87_commit', 'i32'),
      () => writeStack(b, 0, r),
      () => {
        const kept = old.and(codes & ~FSW_BIT.C2);
        if (codes !== 0) b.setState32(S.FSW, b.state32(S.FSW).and(~codes).or(kept));
      },
    );
  });
}

/** ST(1) ← f(ST(0), ST(1)), then pops. */
function binaryPop(name: string, f: string): Definition {
  return define(name, [], null, (b) => {
    const r = unlessEmpty(b, isEmpty(b, 0).or(isEmpty(b, 1)), () => {
      const x = readStack(b, 0);
      const y = readStack(b, 1);
      return callExt(b, f, x.sig, x.se, y.sig, y.se, b.state32(S.FCW));
    });
    ifCommitted(b, () => {
      writeStack(b, 1, r);
      popStack(b);
    });
  });
}

/**
 * Clears C2; sets it and returns when ST(0) is too large for a trigonometric instruction. Stack faults come first.
 * @param room the register that a push would need is free
 */
function returnOutOfRange(b: B, room: E): void {
  b.setState32(S.FSW, b.state32(S.FSW).and(~FSW_BIT.C2));
  b.if(room.and(isEmpty(b, 0).eqz()).and(outOfRange(readStack(b, 0))), () => {
    b.setState32(S.FSW, b.state32(S.FSW).and(~FSW_BIT.C1).or(FSW_BIT.C2));
    b.return();
  });
}
/** FSIN and FCOS. */
function trigonometric(name: string, f: string): Definition {
  return define(name, [], null, (b) => {
    returnOutOfRange(b, i32(1));
    const r = unlessEmpty(b, isEmpty(b, 0), () => {
      const x = readStack(b, 0);
      return callExt(b, f, x.sig, x.se, b.state32(S.FCW));
    });
    ifCommitted(b, () => writeStack(b, 0, r));
  });
}

/** Two results: the first replaces ST(0), the second is pushed. */
function twoResults(
  name: string,
  f: (b: B, x: Ext, control: E) => { first: Ext; second: Ext },
  before: (b: B) => void = () => {},
): Definition {
  return define(name, [], null, (b) => {
    before(b);
    const first = extVariable(b);
    const second = extVariable(b);
    first.set(INDEFINITE);
    second.set(INDEFINITE);
    b.if(
      isEmpty(b, 0),
      () => stackUnderflow(b),
      () =>
        b.if(
          isEmpty(b, 7),
          () => {
            const r = f(b, readStack(b, 0), b.state32(S.FCW));
            first.set(r.first);
            second.set(r.second);
          },
          () => stackOverflow(b),
        ),
    );
    ifCommitted(b, () => {
      writeStack(b, 0, first.get());
      moveTop(b, -1);
      writeStack(b, 0, second.get());
    });
  });
}

/** FXTRACT: exponent and significand of a value. */
function extract(b: B, x: Ext): { first: Ext; second: Ext } {
  const first = extVariable(b);
  const second = extVariable(b);
  b.if(
    isUnsupported(x).or(isNan(x)),
    () => {
      first.set(callExt(b, 'ext80_nan1', x.sig, x.se));
      second.set(first.get());
    },
    () => {
      second.set(x);
      b.if(
        isSpecial(x),
        () => first.set({ sig: x.sig, se: i32(0x7fff) }),
        () =>
          b.if(
            isZero(x),
            () => {
              signal(b, FSW_BIT.ZE);
              first.set({ sig: i64(INTEGER_BIT), se: i32(0xffff) });
            },
            () => {
              signalDenormals(b, x);
              const p = normalise(b, x);
              first.set(callExt(b, 'ext80_from_int', p.exponent.sub(BIAS).s64()));
              second.set({ sig: p.sig, se: x.se.and(0x8000).or(BIAS) });
            },
          ),
      );
    },
  );
  return { first: first.get(), second: second.get() };
}

/** FPTAN: the tangent and 1, or a NaN twice. */
function tangent(b: B, x: Ext, control: E): { first: Ext; second: Ext } {
  const first = callExt(b, 'ext80_tan', x.sig, x.se, control);
  const nan = b.let(isNan(first));
  const second = bind(b, select(nan, first.sig, i64(INTEGER_BIT)), select(nan, first.se, i32(BIAS)));
  return { first, second };
}
function sineCosine(b: B, x: Ext, control: E): { first: Ext; second: Ext } {
  const first = callExt(b, 'ext80_sin', x.sig, x.se, control);
  return { first, second: callExt(b, 'ext80_cos', x.sig, x.se, control) };
}

const QUOTIENT_CODES = FSW_BIT.C0 | FSW_BIT.C2 | FSW_BIT.C3;
function remainder(name: string, nearest: number): Definition {
  return binary(name, QUOTIENT_CODES, (b, x, y, control) =>
    callExt(b, 'ext80_remainder', x.sig, x.se, y.sig, y.se, i32(nearest), control),
  );
}

export const X87_FUNCTIONS: readonly Definition[] = [
  unary('x87_sqrt', (b, x, control) => callExt(b, 'ext80_sqrt', x.sig, x.se, control)),
  unary('x87_rint', (b, x, control) => callExt(b, 'ext80_rint', x.sig, x.se, control)),
  remainder('x87_prem', 0),
  remainder('x87_prem1', 1),
  binary('x87_scale', 0, (b, x, y, control) => callExt(b, 'ext80_scale', x.sig, x.se, y.sig, y.se, control)),
  twoResults('x87_extract', extract),
  unary('x87_2xm1', (b, x, control) => callExt(b, 'ext80_2xm1', x.sig, x.se, control)),
  binaryPop('x87_yl2x', 'ext80_yl2x'),
  binaryPop('x87_yl2xp1', 'ext80_yl2xp1'),
  binaryPop('x87_patan', 'ext80_patan'),
  trigonometric('x87_sin', 'ext80_sin'),
  trigonometric('x87_cos', 'ext80_cos'),
  twoResults('x87_tan', tangent, (b) => returnOutOfRange(b, isEmpty(b, 7))),
  twoResults('x87_sincos', sineCosine, (b) => returnOutOfRange(b, isEmpty(b, 7))),
];
