/**
 * Which translated region changes a result: the same guest again and again, each time with a limit on how many regions
 * may be used. With few enough the result is the interpreter's, with one more it is not.
 */
import type { RegionReport, TranslateOptions } from '../machine/vcpu.ts';

/** What a guest did, as far as it is compared. */
export interface Outcome {
  /** Everything that has to be equal: output, exit code, how the machine ended. */
  readonly result: string;
  /** Regions put to use. */
  readonly installed: number;
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
  | { readonly kind: 'same'; readonly installed: number }
  /** The interpreter's own results differ from run to run. */
  | { readonly kind: 'unsteady'; readonly results: readonly [string, string] }
  | {
      readonly kind: 'found';
      /** Number of the region in the order of their installation, the first is 1. */
      readonly number: number;
      readonly region: RegionReport | undefined;
      /** The fewest blocks with which it still changes the result. */
      readonly blocks: number;
      readonly expected: string;
      readonly result: string;
    };

/** @param base how to translate; its tier decides when */
export async function bisect(base: TranslateOptions, { run, progress }: BisectPorts): Promise<Verdict> {
  const off: TranslateOptions = { ...base, tier: 'off' };
  const { result: expected } = await run(off);
  progress('interpreted: done');
  const { result: again } = await run(off);
  if (again !== expected) return { kind: 'unsteady', results: [expected, again] };
  const whole = await run(base);
  progress(`with ${whole.installed} regions: ${whole.result === expected ? 'the same' : 'different'}`);
  if (whole.result === expected) return { kind: 'same', installed: whole.installed };
  let failed = whole;
  const number = await leastFailing(0, whole.installed, async (limit) => {
    const outcome = await run({ ...base, limit });
    const fails = outcome.result !== expected;
    if (fails) failed = outcome;
    progress(`with ${limit} regions: ${fails ? 'different' : 'the same'}`);
    return fails;
  });
  // the last failing run had more regions, or the search took the whole run's word for it
  const exact = await run({ ...base, limit: number });
  if (exact.result !== expected) failed = exact;
  const all = exact.last?.blocks ?? 1;
  const blocks = await leastFailing(0, all, async (lastBlocks) => {
    const fails = (await run({ ...base, limit: number, lastBlocks })).result !== expected;
    progress(`region ${number} with ${lastBlocks} of ${all} blocks: ${fails ? 'different' : 'the same'}`);
    return fails;
  });
  return { kind: 'found', number, region: exact.last, blocks, expected, result: failed.result };
}

/** The least number above `low` that fails, when `low` does not and `high` does. */
async function leastFailing(
  low: number,
  high: number,
  fails: (value: number) => Promise<boolean>,
): Promise<number> {
  let passing = low;
  let failing = high;
  while (failing - passing > 1) {
    const middle = Math.floor((passing + failing) / 2);
    if (await fails(middle)) failing = middle;
    else passing = middle;
  }
  return failing;
}
