/** x87 instructions that compute a function of ST(0), or of ST(0) and ST(1). */
import { type B, type Definition, define } from '../block.ts';
import type { E } from '../expr.ts';
import * as S from '../state.ts';
import { callExt, type Ext } from './ext80.ts';
import { ifCommitted, isEmpty, readStack, unlessEmpty, writeStack } from './x87-stack.ts';

/** ST(0) ← f(ST(0)). */
function unary(name: string, f: (b: B, x: Ext, control: E) => Ext): Definition {
  return define(name, [], null, (b) => {
    const r = unlessEmpty(b, isEmpty(b, 0), () => f(b, readStack(b, 0), b.state32(S.FCW)));
    ifCommitted(b, () => writeStack(b, 0, r));
  });
}

export const X87_FUNCTIONS: readonly Definition[] = [
  unary('x87_sqrt', (b, x, control) => callExt(b, 'ext80_sqrt', x.sig, x.se, control)),
  unary('x87_rint', (b, x, control) => callExt(b, 'ext80_rint', x.sig, x.se, control)),
];
