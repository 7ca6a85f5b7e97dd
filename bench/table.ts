/** A result as text: a line for each item, the means of suites with their bars, how the sides were started. */
import { SUITE_BARS } from './items.ts';
import type { BenchItem, BenchResult } from './result.ts';

/** As text for docs/performance.md: the same without the notes on what is met, in Markdown. */
export function markdown({ items, geomean, cpuGeomean }: BenchResult): string {
  const suites = Map.groupBy(items, (item) => item.suite);
  return [...suites]
    .map(([suite, members]) => {
      const isNative = members.some(({ native }) => native !== undefined);
      const other = members.find(({ against }) => against !== null)?.against ?? undefined;
      const columns = ['', 'ours', ...(other === undefined ? [] : [other, 'ratio', 'bar'])];
      columns.push('CPU', ...(other === undefined ? [] : [other, 'ratio']), ...(isNative ? ['native'] : []));
      const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
      const rows = members.map((item) => {
        const { cpu } = item;
        const wall = item.failed === undefined ? seconds(item) : 'failed';
        const compared = [number(item.other), fixed(item.ratio), fixed(item.bar)];
        return line([
          item.apart === true ? `${item.name} (apart)` : item.name,
          wall,
          ...(other === undefined ? [] : compared),
          number(cpu?.value),
          ...(other === undefined ? [] : [number(cpu?.other), fixed(cpu?.ratio)]),
          ...(isNative ? [number(item.native)] : []),
        ]);
      });
      const bar = SUITE_BARS[suite];
      const means = [fixed(geomean[suite]), fixed(bar), '', '', fixed(cpuGeomean[suite])];
      if (other !== undefined)
        rows.push(line(['**geometric mean**', '', '', ...means.map(strong), ...(isNative ? [''] : [])]));
      const rule = `|${columns.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`;
      return [`### ${suite}`, '', line(columns), rule, ...rows].join('\n');
    })
    .join('\n\n');
}

const strong = (text: string): string => (text === '' ? '' : `**${text}**`);
const seconds = ({ value, unit }: BenchItem): string => `${number(value)}${unit === 's' ? '' : ` ${unit}`}`;

const HEAD = [
  'suite',
  'item',
  'value',
  'unit',
  'other',
  'ratio',
  'bar',
  'CPU s',
  'other',
  'ratio',
  'bar',
  '',
];
/** Columns of text; the others are numbers. */
const TEXT: ReadonlySet<number> = new Set([0, 1, 3, 11]);

export function table({ items, geomean, cpuGeomean, commandLines }: BenchResult): string {
  const rows = [HEAD, ...items.map(row)];
  for (const suite of Object.keys(geomean)) {
    const bar = SUITE_BARS[suite];
    const ratio = geomean[suite];
    rows.push([
      suite,
      'geometric mean',
      ...['', '', ''],
      ...[fixed(ratio), fixed(bar)],
      ...['', ''],
      ...[fixed(cpuGeomean[suite]), ''],
      verdict(ratio, bar),
    ]);
  }
  const widths = HEAD.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (TEXT.has(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [...rows.map(line), ...commandLines.map((text) => `\n${text}`)].join('\n');
}

function row(item: BenchItem): string[] {
  const { cpu } = item;
  const notes = [
    item.apart === true ? 'apart' : '',
    item.native === undefined ? '' : `native ${number(item.native)}`,
    verdict(item.ratio, item.bar),
    cpu?.bar === undefined ? '' : `CPU ${verdict(cpu.ratio, cpu.bar)}`,
    item.failed === undefined ? '' : `FAILED: ${item.failed.split('\n')[0]}`,
  ];
  return [
    item.suite,
    item.name,
    number(item.value),
    item.unit,
    number(item.other),
    fixed(item.ratio),
    fixed(item.bar),
    number(cpu?.value),
    number(cpu?.other),
    fixed(cpu?.ratio),
    fixed(cpu?.bar),
    notes.filter((note) => note !== '').join(', '),
  ];
}

function verdict(ratio: number | null | undefined, bar: number | undefined): string {
  if (typeof ratio !== 'number' || bar === undefined) return '';
  return ratio <= bar ? 'met' : 'MISSED';
}

function fixed(value: number | null | undefined): string {
  return typeof value === 'number' ? value.toFixed(2) : '';
}

function number(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '';
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
