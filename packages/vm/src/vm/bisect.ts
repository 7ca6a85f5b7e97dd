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
      readonly region: RegionReport | undefined;
      /** The fewest blocks with which it still changes the result. */
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

/** @param base how to translate; its tier decides when */
export async function bisect(base: TranslateOptions, ports: BisectPorts): Promise<Verdict> {
  const { run, progress } = ports;
  const off: TranslateOptions = { ...base, tier: 'off' };
  const { result: expected } = await run(off);
  const { result: again } = await run(off);
  progress('interpreted twice');
  if (again !== expected) return { kind: 'unsteady', results: [expected, again] };
  /** Runs with the regions of these hashes, in rising order; null: the result is right. */
  const wrongWith = async (hashes: readonly number[]): Promise<Outcome | null> => {
    const [from = 0, to = HASHES] = [hashes[0], (hashes.at(-1) ?? HASHES) + 1];
    const outcome = await run({ ...base, only: { from, to } });
    const same = outcome.result === expected;
    progress(`${hashes.length} regions: ${same ? 'the same' : 'different'}`);
    return same ? null : outcome;
  };
  const whole = await run(base);
  const all = [...new Set(whole.hashes)].sort((a, b) => a - b);
  progress(`${all.length} regions: ${whole.result === expected ? 'the same' : 'different'}`);
  if (whole.result === expected) return { kind: 'same', regions: all.length };
  let { result } = whole;
  let left = all;
  while (left.length > 1) {
    const middle = left.length >> 1;
    const lower = left.slice(0, middle);
    const wrong = await wrongWith(lower);
    if (wrong !== null) result = wrong.result;
    left = wrong === null ? left.slice(middle) : lower;
  }
  const alone = await wrongWith(left);
  if (alone === null) return { kind: 'several', hashes: left, expected, result };
  const [hash = 0] = left;
  const blocks = await fewestBlocks(alone.last?.blocks ?? 1, async (maxBlocks) => {
    const outcome = await run({ ...base, only: { from: hash, to: hash + 1 }, maxBlocks });
    const same = outcome.result === expected;
    progress(`${maxBlocks} blocks of it: ${same ? 'the same' : 'different'}`);
    return !same;
  });
  return { kind: 'found', region: alone.last, blocks, expected, result: alone.result };
}

/** The least number from 1 to `most` that fails, when `most` does. */
async function fewestBlocks(most: number, fails: (blocks: number) => Promise<boolean>): Promise<number> {
  let passing = 0;
  let failing = most;
  while (failing - passing > 1) {
    const middle = Math.floor((passing + failing) / 2);
    if (await fails(middle)) failing = middle;
    else passing = middle;
  }
  return failing;
}
