/** Random programs on the interpreter (or a whole vCPU) and on the host's CPU. */
import type { TranslateOptions } from '../packages/vm/src/machine/vcpu.ts';
import type { Row } from '../packages/vm/src/x86/row.ts';
import type { Outcome, TestCase } from '../test/oracle/case.ts';
import { differences } from '../test/oracle/compare.ts';
import { EngineRunner } from '../test/oracle/engine.ts';
import { type GeneratedCase, generate, shapeName, shapesOf } from '../test/oracle/generate.ts';
import { type InterpreterOutcome, InterpreterRunner } from '../test/oracle/interpreter.ts';
import { runNative } from '../test/oracle/native.ts';
import { softEngine } from '../test/oracle/parts.ts';
import { Random } from '../test/oracle/random.ts';
import { describe } from '../test/oracle/rows.ts';
import { type Bug, findRow, inject, whileBroken } from './inject.ts';
import { listing } from './listing.ts';
import { makeProgram, palette } from './make.ts';
import { type Program, toCase } from './program.ts';
import { shrink } from './shrink.ts';

const BATCH = 500;
/** A row that is broken on purpose makes endless loops, which are not waited for. */
const BROKEN_MS = 50;

export interface FuzzResult {
  readonly programs: number;
  readonly differences: number;
  /** Programs without an end on the host, or handed to the cold part that the interpreter alone does not have. */
  readonly skipped: number;
}

export interface FuzzOptions {
  readonly programs: number;
  readonly seed: number;
  /** Stop after so many differences. */
  readonly limit?: number;
  /** Run on a whole vCPU. */
  readonly vcpu?: boolean;
  /** Run on a whole vCPU with the translator. */
  readonly translate?: TranslateOptions | undefined;
  readonly print: (line: string) => void;
}

interface Runner {
  run(c: TestCase): InterpreterOutcome;
}

export function fuzz(o: FuzzOptions): FuzzResult {
  const whole = o.vcpu === true || o.translate !== undefined;
  return fuzzWith(o, whole ? new EngineRunner(softEngine(o.translate)) : new InterpreterRunner());
}

/** Breaks one row on purpose; with a translator, in translated code first, in the interpreter then. Rows that programs leave out run alone, in one-instruction programs. */
export function fuzzBroken(o: FuzzOptions, name: string): FuzzResult {
  const row = findRow(name);
  let result: FuzzResult = { programs: 0, differences: 0, skipped: 0 };
  for (const bug of ['result', 'refusal'] as const satisfies readonly Bug[]) {
    o.print(`broken on purpose (${bug}): ${row.text}`);
    const inPrograms = [64, 32].some((mode) => palette(mode as 64 | 32, row).preferred.length > 0);
    const among = (runner: Runner): FuzzResult =>
      inPrograms ? fuzzWith(o, runner, row) : fuzzAlone(o, runner, row);
    if (o.translate !== undefined) {
      // the interpreter is made first, and right: only what is translated goes wrong
      const whole = new EngineRunner(softEngine(o.translate), BROKEN_MS);
      result = among({ run: (c) => whileBroken(row, bug, () => whole.run(c)) });
      if (result.differences > 0) break;
    }
    const module = inject(row, bug);
    const parts = { ...softEngine(o.translate), module };
    result = among(
      inPrograms && o.translate === undefined
        ? new InterpreterRunner(module)
        : new EngineRunner(parts, BROKEN_MS),
    );
    if (result.differences > 0) break;
  }
  return result;
}

function fuzzWith(o: FuzzOptions, runner: Runner, preferred?: Row): FuzzResult {
  const palettes = { 64: palette(64, preferred), 32: palette(32, preferred) };
  const random = new Random(o.seed);
  const limit = o.limit ?? 5;
  let found = 0;
  let skipped = 0;
  let done = 0;
  /** Differences of one program; undefined when it cannot be judged. */
  const judge = (p: Program, native: Outcome): string[] | undefined => {
    if (native.kind !== 'exception') return undefined;
    const test = toCase(p);
    const got = runner.run(test);
    return got.cold === undefined ? differences(test, native, got) : undefined;
  };
  const fails = (p: Program): boolean => {
    const [native] = runNative([toCase(p)]);
    return native !== undefined && (judge(p, native)?.length ?? 0) > 0;
  };
  while (done < o.programs && found < limit) {
    const count = Math.min(BATCH, o.programs - done);
    const programs = Array.from({ length: count }, () => makeProgram(random, palettes));
    const natives = runNative(programs.map(toCase));
    for (const [i, program] of programs.entries()) {
      const native = natives[i];
      const result = native === undefined ? undefined : judge(program, native);
      done++;
      if (result === undefined) skipped++;
      if (result === undefined || result.length === 0) continue;
      found++;
      o.print(`difference in program ${done} of seed ${o.seed}:`);
      // a program that does not show it again alone depends on what ran before
      for (const line of result) o.print(`  ${line}`);
      report(fails(program) ? shrink(program, fails) : program, judge, o.print);
      if (found >= limit) break;
    }
  }
  return { programs: done, differences: found, skipped };
}

function report(
  p: Program,
  judge: (p: Program, n: Outcome) => string[] | undefined,
  print: (line: string) => void,
): void {
  for (const line of listing(p)) print(`  ${line}`);
  const test = toCase(p);
  const names = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];
  const registers = names.map((n, i) => `${n} ${test.gpr[i]?.toString(16)}`).join(' ');
  print(`  rflags ${test.rflags.toString(16)} ${registers}`);
  const [native] = runNative([test]);
  for (const line of (native && judge(p, native)) ?? []) print(`  ${line}`);
}

function fuzzAlone(o: FuzzOptions, runner: Runner, row: Row): FuzzResult {
  const random = new Random(o.seed);
  const shapes = shapesOf(row);
  const cases: GeneratedCase[] = Array.from({ length: Math.min(o.programs, 2000) }, (_, i) => {
    const shape = shapes[i % shapes.length];
    if (shape === undefined) throw new Error(`${row.text} has no encoding`);
    return generate(shape, random);
  });
  const natives = runNative(cases.map((g) => g.test));
  let found = 0;
  let skipped = 0;
  let done = cases.length;
  for (const [i, g] of cases.entries()) {
    const native = natives[i];
    if (native?.kind !== 'exception' || g.masks === undefined) {
      skipped++;
      continue;
    }
    const differs = differences(g.test, native, runner.run(g.test), g.masks);
    if (differs.length === 0) continue;
    o.print(`${shapeName(g.shape)}: ${describe(g)}\n  ${differs.join('\n  ')}`);
    if (++found < (o.limit ?? 5)) continue;
    done = i + 1;
    break;
  }
  return { programs: done, differences: found, skipped };
}
