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
}

export interface BenchResult {
  readonly items: readonly BenchItem[];
  /** By suite, over its items that have a ratio. */
  readonly geomean: Readonly<Record<string, number>>;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? Number.NaN;
  if (sorted.length % 2 === 1) return upper;
  return (upper + (sorted[(sorted.length >> 1) - 1] ?? Number.NaN)) / 2;
}

export function result(items: readonly BenchItem[]): BenchResult {
  const ratios = Map.groupBy(
    items.filter((item) => item.ratio !== null),
    (item) => item.suite,
  );
  const geomean: Record<string, number> = {};
  for (const [suite, compared] of ratios) {
    const logs = compared.map((item) => Math.log(item.ratio ?? 1));
    geomean[suite] = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  }
  return { items, geomean };
}

export function table({ items, geomean }: BenchResult): string {
  const rows = items.map(({ name, suite, value, unit, against, ratio }) => [
    suite,
    name,
    number(value),
    unit,
    ratio === null ? '' : `${ratio.toFixed(2)} × ${against ?? ''}`,
  ]);
  for (const [suite, ratio] of Object.entries(geomean))
    rows.push([suite, 'geometric mean', '', '', ratio.toFixed(2)]);
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 2 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

function number(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
