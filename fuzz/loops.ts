/** A case of one instruction, run several times: a counter in memory behind it, which leaves flags and registers alone. */
import { BRANCH, type GeneratedCase, masksOf } from '../test/oracle/generate.ts';
import { countWithoutFlags, WIDE_COUNTERS } from './pieces.ts';

/** Rows whose results are only bounded, or may become so in a later round. */
const LEFT_OUT = /^(F2XM1|FYL2X|FYL2XP1|FSIN|FCOS|FSINCOS|FPTAN|FPATAN|RCP[PS]S|RSQRT[PS]S)$/;

/** @returns undefined for what cannot be compared after more than one round */
export function looped(g: GeneratedCase, rounds: number): GeneratedCase | undefined {
  const { row, opsize } = g.shape;
  if (LEFT_OUT.test(row.mnemonic) || BRANCH.test(row.mnemonic)) return undefined;
  if (/^SH[LR]D$/.test(row.mnemonic) && opsize === 2) return undefined;
  // whatever a later round finds in CL
  const later = masksOf(g.instance, new BigUint64Array(16).fill(31n));
  if (later === undefined || g.masks === undefined) return undefined;
  const { mode, code } = g.test;
  const size = countWithoutFlags(mode, WIDE_COUNTERS, 16, 0).length;
  const count = countWithoutFlags(mode, WIDE_COUNTERS, 16, -(code.length + size));
  const patch = { addr: WIDE_COUNTERS, bytes: Uint8Array.of(rounds, 0, 0, 0, 0, 0, 0, 0) };
  return {
    ...g,
    test: {
      ...g.test,
      code: Uint8Array.from([...code, ...count]),
      patches: [...(g.test.patches ?? []), patch],
    },
    masks: {
      ...g.masks,
      undefinedFlags: (g.masks.undefinedFlags ?? 0) | (later.undefinedFlags ?? 0),
      looseFault: g.masks.looseFault === true || later.looseFault === true,
    },
  };
}
