/** From the samples of two sides to an item of the result. */
import type { Cost } from './guest.ts';
import { type BenchItem, median } from './result.ts';

/** What one side showed of an item. */
export interface Samples {
  readonly costs: Cost[];
  /** Guest instructions a second. */
  readonly rates: number[];
  failed: string | undefined;
}

export interface Compared {
  readonly name: string;
  readonly suite: string;
  readonly bar?: number;
  readonly cpuBar?: number;
  readonly apart?: boolean;
}

/** @param other name and samples of the other side; undefined: nothing is compared */
export function compareCosts(
  { name, suite, bar, cpuBar, apart }: Compared,
  ours: Samples | undefined,
  other: readonly [string, Samples | undefined] | undefined,
): BenchItem {
  const failed = ours?.failed ?? other?.[1]?.failed;
  const wall = middle(ours, 'ms');
  const cpu = middle(ours, 'cpuMs');
  const theirs = { wall: middle(other?.[1], 'ms'), cpu: middle(other?.[1], 'cpuMs') };
  const isCompared = other !== undefined && failed === undefined;
  return {
    name,
    suite,
    value: wall,
    unit: 's',
    against: other?.[0] ?? null,
    ratio: isCompared ? wall / theirs.wall : null,
    ...(other === undefined ? {} : { other: theirs.wall }),
    ...(bar === undefined ? {} : { bar }),
    cpu: {
      value: cpu,
      ...(other === undefined ? {} : { other: theirs.cpu }),
      ratio: isCompared ? cpu / theirs.cpu : null,
      ...(cpuBar === undefined ? {} : { bar: cpuBar }),
    },
    ...(apart === true ? { apart } : {}),
    ...(failed === undefined ? {} : { failed }),
  };
}

/** Median in seconds. */
function middle(samples: Samples | undefined, key: keyof Cost): number {
  return median((samples?.costs ?? []).map((cost) => cost[key])) / 1000;
}
