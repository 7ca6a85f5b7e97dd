/** Every row × operand size × register or memory × mode, on the interpreter and on the host's CPU. */
import { ROWS } from '../../packages/vm/src/x86/isa/index.ts';
import type { TestCase } from './case.ts';
import { differences } from './compare.ts';
import { comparable, type GeneratedCase, generate, type Shape, shapeName, shapesOf } from './generate.ts';
import { type InterpreterOutcome, InterpreterRunner } from './interpreter.ts';
import { runNative } from './native.ts';
import { Random } from './random.ts';

const BATCH = 20_000;

export interface RowsOptions {
  /** Cases per shape. */
  readonly cases: number;
  readonly seed: number;
  readonly matches?: (text: string) => boolean;
  /** What runs the cases; the interpreter alone unless told otherwise. */
  readonly runner?: { run(c: TestCase): InterpreterOutcome };
  /** Another case made of each one, run as well; undefined: none. */
  readonly also?: (g: GeneratedCase) => GeneratedCase | undefined;
}

export interface RowDifference {
  readonly shape: string;
  readonly count: number;
  /** The first case: code, registers, what differs. */
  readonly example: string;
}

export interface RowsResult {
  readonly rows: number;
  readonly shapes: number;
  readonly cases: number;
  /** Cases that the interpreter hands to the cold part, which this comparison does not have. */
  readonly cold: number;
  readonly differences: readonly RowDifference[];
}

export function describe(g: GeneratedCase): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const { test } = g;
  const registers = [...test.gpr.slice(0, test.mode === 64 ? 16 : 8)].map((v) => v.toString(16)).join(' ');
  const fx =
    test.fx === undefined ? '' : ` x87 ${hex(test.fx.subarray(0, 5))} mxcsr ${hex(test.fx.subarray(24, 28))}`;
  return `${hex(test.code)} flags ${test.rflags.toString(16)} registers ${registers}${fx}`;
}

export function compareRows(o: RowsOptions): RowsResult {
  const matches = o.matches ?? (() => true);
  const rows = ROWS.filter((row) => comparable(row) && matches(row.text));
  const shapes = rows.flatMap(shapesOf);
  const random = new Random(o.seed);
  const runner = o.runner ?? new InterpreterRunner();
  const found = new Map<Shape, { count: number; example: string }>();
  let cases = 0;
  let cold = 0;
  const perBatch = Math.max(1, Math.floor(BATCH / o.cases));
  for (let at = 0; at < shapes.length; at += perBatch) {
    const batch = shapes
      .slice(at, at + perBatch)
      .flatMap((shape) => Array.from({ length: o.cases }, () => generate(shape, random)))
      .flatMap((g) => [g, ...[o.also?.(g)].filter((other) => other !== undefined)]);
    const natives = runNative(batch.map((g) => g.test));
    for (const [i, g] of batch.entries()) {
      const native = natives[i];
      cases++;
      if (native?.kind !== 'exception' || g.masks === undefined) continue;
      const got = runner.run(g.test);
      if (got.cold !== undefined) {
        cold++;
        continue;
      }
      const differs = differences(g.test, native, got, g.masks);
      if (differs.length === 0) continue;
      const known = found.get(g.shape);
      if (known === undefined)
        found.set(g.shape, { count: 1, example: `${describe(g)}\n    ${differs.join('\n    ')}` });
      else known.count++;
    }
  }
  return {
    rows: rows.length,
    shapes: shapes.length,
    cases,
    cold,
    differences: [...found].map(([shape, d]) => ({ shape: shapeName(shape), ...d })),
  };
}

export function formatDifferences(list: readonly RowDifference[]): string {
  return list.map((d) => `${d.shape}: ${d.count} cases differ\n    ${d.example}`).join('\n');
}
