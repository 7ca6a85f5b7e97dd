/** The result of a benchmark run: the one shape that every benchmark of this project has. */
export interface BenchItem {
  readonly name: string;
  readonly suite: string;
  readonly value: number;
  readonly unit: string;
  /** What it was compared with, such as 'qemu'; null without comparison. */
  readonly against: string | null;
  /** Our time over the other's for the same work: below 1, ours is faster. */
  readonly ratio: number | null;
  /** The other's value. */
  readonly other?: number;
  /** What the ratio may be at most. */
  readonly bar?: number;
  /** The same for host CPU time in seconds, of all threads. */
  readonly cpu?: {
    readonly value: number;
    readonly other?: number;
    readonly ratio: number | null;
    readonly bar?: number;
  };
  /** Seconds of the same program on the host itself. */
  readonly native?: number;
  /** Not part of the geometric mean. */
  readonly apart?: boolean;
  /** Why there is no value, or no complete one. */
  readonly failed?: string;
}

export interface BenchResult {
  readonly items: readonly BenchItem[];
  /** By suite, over its items that have a ratio and are not apart. */
  readonly geomean: Readonly<Record<string, number>>;
  /** The same of the ratios of CPU time. */
  readonly cpuGeomean: Readonly<Record<string, number>>;
  /** How what was compared was started. */
  readonly commandLines: readonly string[];
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? Number.NaN;
  if (sorted.length % 2 === 1) return upper;
  return (upper + (sorted[(sorted.length >> 1) - 1] ?? Number.NaN)) / 2;
}

export function result(items: readonly BenchItem[], commandLines: readonly string[] = []): BenchResult {
  return {
    items,
    geomean: means(items, (item) => item.ratio),
    cpuGeomean: means(items, (item) => item.cpu?.ratio ?? null),
    commandLines,
  };
}

function means(
  items: readonly BenchItem[],
  ratioOf: (item: BenchItem) => number | null,
): Record<string, number> {
  const geomean: Record<string, number> = {};
  const bySuite = Map.groupBy(
    items.filter((item) => item.apart !== true),
    (item) => item.suite,
  );
  for (const [suite, members] of bySuite) {
    const logs = members
      .map(ratioOf)
      .filter((ratio) => ratio !== null)
      .map(Math.log);
    if (logs.length > 0) geomean[suite] = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  }
  return geomean;
}
