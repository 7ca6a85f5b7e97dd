/**
 * npm run fuzz -- [--programs N] [--seed S] [--inject ROW] [--rows N] [--vcpu]
 * npm run fuzz -- --devices [--operations N] [--seed S]     random hostile guests against the devices
 *
 * Runs random programs on the interpreter and on the host's CPU. A difference is shrunk and printed; the last line
 * is `programs=N differences=D`. ROW is the start of a row's text, for example "ADD Ev" or "PADDW".
 * With --vcpu, a whole vCPU runs the programs, and the guest's kernel side takes their exceptions.
 * With --rows, every row runs alone instead, N cases per operand size, register or memory, and mode.
 */
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import type { Outcome, TestCase } from '../test/oracle/case.ts';
import { CODE_BASE } from '../test/oracle/case.ts';
import { differences } from '../test/oracle/compare.ts';
import { EngineRunner } from '../test/oracle/engine.ts';
import { type InterpreterOutcome, InterpreterRunner } from '../test/oracle/interpreter.ts';
import { nativeAvailable, runNative } from '../test/oracle/native.ts';
import { softEngine } from '../test/oracle/parts.ts';
import { Random } from '../test/oracle/random.ts';
import { fuzzDevicesBySeeds } from './devices.ts';
import { compareRows, formatDifferences } from '../test/oracle/rows.ts';
import { inject } from './inject.ts';
import { makeProgram, palette } from './make.ts';
import { layOut, type Program, toCase } from './program.ts';
import { shrink } from './shrink.ts';

const BATCH = 500;

export interface FuzzResult {
  readonly programs: number;
  readonly differences: number;
  readonly skipped: number;
}

export interface FuzzOptions {
  readonly programs: number;
  readonly seed: number;
  readonly inject?: string | undefined;
  /** Stop after so many differences. */
  readonly limit?: number;
  /** Run on a whole vCPU. */
  readonly vcpu?: boolean;
  readonly print: (line: string) => void;
}

export function fuzz(o: FuzzOptions): FuzzResult {
  const wanted = o.inject;
  const preferred = (text: string): boolean => wanted !== undefined && text.startsWith(wanted);
  const palettes = { 64: palette(64, preferred), 32: palette(32, preferred) };
  let runner: { run(c: TestCase): InterpreterOutcome };
  if (wanted === undefined) {
    runner = o.vcpu === true ? new EngineRunner(softEngine()) : new InterpreterRunner();
  } else {
    const { rows, module } = inject(preferred);
    if (rows.length === 0) throw new Error(`no row starts with "${wanted}"`);
    o.print(`broken on purpose: ${rows.map((row) => row.text).join('; ')}`);
    runner = new InterpreterRunner(module);
  }
  const random = new Random(o.seed);
  let found = 0;
  let skipped = 0;
  let done = 0;
  /** Differences of one program; undefined when it cannot be judged (endless on the host, or cold here). */
  const judge = (p: Program, native: Outcome): string[] | undefined => {
    if (native.kind !== 'exception') return undefined;
    const test = toCase(p);
    const got = runner.run(test);
    return got.cold === undefined ? differences(test, native, got, { looseFault: false }) : undefined;
  };
  const fails = (p: Program): boolean => {
    const [native] = runNative([toCase(p)]);
    return native !== undefined && (judge(p, native)?.length ?? 0) > 0;
  };
  while (done < o.programs && found < (o.limit ?? 5)) {
    const programs = Array.from({ length: Math.min(BATCH, o.programs - done) }, () =>
      makeProgram(random, palettes),
    );
    const natives = runNative(programs.map(toCase));
    for (const [i, program] of programs.entries()) {
      const native = natives[i];
      const result = native === undefined ? undefined : judge(program, native);
      done++;
      if (result === undefined) skipped++;
      if (result === undefined || result.length === 0) continue;
      found++;
      o.print(`difference in program ${done} of seed ${o.seed}:`);
      const small = shrink(program, fails);
      report(small, judge, o.print);
      if (found >= (o.limit ?? 5)) break;
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
  print(
    `  rflags ${test.rflags.toString(16)} ${names.map((n, i) => `${n} ${test.gpr[i]?.toString(16)}`).join(' ')}`,
  );
  const [native] = runNative([test]);
  for (const line of (native && judge(p, native)) ?? []) print(`  ${line}`);
}

/** One line per item: bytes, and what the outside disassembler calls them. */
function listing(p: Program): string[] {
  const { code, addresses } = layOut(p);
  const lines: string[] = [];
  p.items.forEach((item, i) => {
    const from = (addresses[i] ?? 0) - CODE_BASE;
    const to = (addresses[i + 1] ?? 0) - CODE_BASE;
    if (to === from) return;
    const bytes = code.subarray(from, to);
    const row = item.kind === 'instruction' ? item.instance.row.text : item.kind;
    lines.push(
      `${(CODE_BASE + from).toString(16)}  ${hexOf(bytes).padEnd(30)} ${disassemble(p.mode, bytes, CODE_BASE + from)}  [${row}]`,
    );
  });
  return lines;
}

function hexOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return hex.length > 80 ? `${hex.slice(0, 80)}…` : hex;
}

function disassemble(mode: 64 | 32, bytes: Uint8Array, address: number): string {
  const iced = createRequire(import.meta.url)('iced-x86') as typeof import('iced-x86');
  const decoder = new iced.Decoder(mode, bytes, iced.DecoderOptions.None);
  const formatter = new iced.Formatter(iced.FormatterSyntax.Intel);
  decoder.ip = BigInt(address);
  const lines: string[] = [];
  while (decoder.canDecode && lines.length < 12) lines.push(formatter.format(decoder.decode()));
  return lines.join('; ');
}

function rowsOnly(cases: number, seed: number): void {
  const result = compareRows({ cases, seed });
  if (result.differences.length > 0) console.log(formatDifferences(result.differences));
  console.log(
    `rows=${result.rows} shapes=${result.shapes} cases=${result.cases} differences=${result.differences.length}`,
  );
  process.exitCode = result.differences.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      programs: { type: 'string', default: '1000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      inject: { type: 'string' },
      devices: { type: 'boolean', default: false },
      operations: { type: 'string', default: '1000000' },
      rows: { type: 'string' },
      vcpu: { type: 'boolean', default: false },
    },
  });
  if (values.devices) {
    const failures = await fuzzDevicesBySeeds(Number(values.operations), Number(values.seed), console.log);
    process.exit(failures === 0 ? 0 : 1);
  }
  if (!nativeAvailable()) throw new Error('fuzzing needs an x86-64 Linux host with gcc');
  const seed = Number(values.seed);
  console.log(`seed ${seed}`);
  if (values.rows !== undefined) rowsOnly(Number(values.rows), seed);
  else {
    const result = fuzz({
      programs: Number(values.programs),
      seed,
      inject: values.inject,
      vcpu: values.vcpu,
      print: (line) => console.log(line),
    });
    if (result.skipped > 0) console.log(`${result.skipped} programs could not be judged`);
    console.log(`programs=${result.programs} differences=${result.differences}`);
    process.exitCode = result.differences === 0 ? 0 : 1;
  }
}
