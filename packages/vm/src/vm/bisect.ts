/**
 * Which translated region changes a result: the same guest again and again, each time with fewer regions. Regions are
 * told apart by a hash of their code, since timer interrupts make regions come in another order each time.
 */
import type { RegionReport, TranslateOptions } from '../machine/vcpu.ts';

/** What a guest did, as far as it is compared. */
export interface Outcome {
  /** Everything that has to be equal: output, exit code, how the machine ended. */
  readonly result: string;
  /** Hashes of the regions put to use. */
  readonly hashes: readonly number[];
  /** The last of them. */
  readonly last?: RegionReport | undefined;
}

export interface BisectPorts {
  readonly run: (translate: TranslateOptions) => Promise<Outcome>;
  /** What is being tried and what came of it, for people. */
  readonly progress: (line: string) => void;
}

export type Verdict =
  /** With every region that it makes use of, the guest does what it does interpreted. */
  | { readonly kind: 'same'; readonly regions: number }
  /** The interpreter's own results differ from run to run. */
  | { readonly kind: 'unsteady'; readonly results: readonly [string, string] }
  | {
      readonly kind: 'found';
      /** With the fewest blocks with which it still changes the result. */
      readonly region: RegionReport | undefined;
      /** As many it has otherwise. */
      readonly blocks: number;
      readonly expected: string;
      readonly result: string;
    }
  /** No region does it alone, or the guest does not always do the same: these are what is left. */
  | {
      readonly kind: 'several';
      readonly hashes: readonly number[];
      readonly expected: string;
      readonly result: string;
    };

const HASHES = 2 ** 32;

/** A run that gave another result with the regions whose hashes are from `from` up to, not including, `to`. */
interface Wrong {
  readonly from: number;
  readonly to: number;
  readonly outcome: Outcome;
}

/** @param base how to translate; its tier decides when */
export async function bisect(base: TranslateOptions, { run, progress }: BisectPorts): Promise<Verdict> {
  const off: TranslateOptions = { ...base, tier: 'off' };
  const { result: expected } = await run(off);
  const { result: again } = await run(off);
  progress('interpreted twice');
  if (again !== expected) return { kind: 'unsteady', results: [expected, again] };
  const tried = async (options: TranslateOptions, what: string): Promise<Outcome | null> => {
    const outcome = await run(options);
    const same = outcome.result === expected;
    progress(`${outcome.hashes.length} regions${what}: ${same ? 'the same' : 'different'}`);
    return same ? null : outcome;
  };
  const only = async (from: number, to: number): Promise<Wrong | null> => {
    const outcome = await tried({ ...base, only: { from, to } }, '');
    return outcome === null ? null : { from, to, outcome };
  };
  const whole = await run(base);
  progress(`${whole.hashes.length} regions: ${whole.result === expected ? 'the same' : 'different'}`);
  if (whole.result === expected) return { kind: 'same', regions: whole.hashes.length };
  let wrong: Wrong = { from: 0, to: HASHES, outcome: whole };
  for (;;) {
    const { from, to, outcome } = wrong;
    // those of this run: with fewer regions others come up, which begin in the middle of what is left out
    const hashes = [...new Set(outcome.hashes)].sort((a, b) => a - b);
    const middle = hashes[hashes.length >> 1];
    if (middle === undefined || hashes.length === 1) break;
    const half = (await only(from, middle)) ?? (await only(middle, to));
    if (half === null) return { kind: 'several', hashes, expected, result: outcome.result };
    wrong = half;
  }
  const { from, to } = wrong;
  let { outcome } = wrong;
  const blocks = outcome.last?.blocks ?? 1;
  await fewestBlocks(blocks, async (maxBlocks) => {
    const fewer = await tried({ ...base, only: { from, to }, maxBlocks }, ` of ${maxBlocks} blocks`);
    if (fewer !== null) outcome = fewer;
    return fewer !== null;
  });
  return { kind: 'found', region: outcome.last, blocks, expected, result: outcome.result };
}

/** Looks for the least number from 1 to `most` that fails, when `most` does. */
async function fewestBlocks(most: number, fails: (blocks: number) => Promise<boolean>): Promise<void> {
  let passing = 0;
  let failing = most;
  while (failing - passing > 1) {
    const middle = Math.floor((passing + failing) / 2);
    if (await fails(middle)) failing = middle;
    else passing = middle;
  }
}
