/**
 * npm run fuzz -- [--programs N] [--seed S] [--inject ROW] [--vcpu]
 * npm run fuzz -- --rows N [--seed S]
 * npm run fuzz -- --junk N [--seed S]                     random bytes as a kernel
 *     all of these with [--tier always|random|sync [--threshold N]]: with the translator
 * npm run fuzz -- --devices [--operations N] [--seed S]     random hostile guests against the devices
 *
 * Runs random programs on the interpreter and on the host's CPU. A difference is shrunk and printed; the last line
 * is `programs=N differences=D`. ROW is a row as docs/coverage.md names it, for example "ADD Ev,Gv" or "PADDW".
 * With --vcpu, a whole vCPU runs the programs, and the guest's kernel side takes their exceptions.
 * With --rows, every row runs alone instead, N cases per operand size, register or memory, and mode. With --tier, a
 * vCPU runs what is asked for with every block translated at once, with blocks chosen at random, or with blocks that
 * ran N times; rows run several times in a loop as well. --tier with --count compares only how many instructions
 * programs take in deterministic mode, on that tier and on the interpreter.
 */
import { parseArgs } from 'node:util';
import type { TranslateOptions } from '../packages/vm/src/machine/vcpu.ts';
import { EngineRunner } from '../test/oracle/engine.ts';
import type { GeneratedCase } from '../test/oracle/generate.ts';
import { nativeAvailable } from '../test/oracle/native.ts';
import { softEngine } from '../test/oracle/parts.ts';
import { compareRows, formatDifferences } from '../test/oracle/rows.ts';
import { fuzzDevicesBySeeds } from './devices.ts';
import { fuzzCounts } from './exact.ts';
import { fuzzJunk } from './junk.ts';
import { looped } from './loops.ts';
import { type FuzzOptions, type FuzzResult, fuzz, fuzzBroken } from './programs.ts';

const TIERS = ['always', 'random', 'sync', 'off'] as const;

const ROUNDS = 6;

function rowsOnly(cases: number, seed: number, translate: TranslateOptions | undefined): number {
  const tiers = translate && {
    runner: new EngineRunner(softEngine(translate)),
    also: (g: GeneratedCase) => looped(g, ROUNDS),
  };
  const result = compareRows({ cases, seed, ...tiers });
  if (result.differences.length > 0) console.log(formatDifferences(result.differences));
  console.log(
    `rows=${result.rows} shapes=${result.shapes} cases=${result.cases} differences=${result.differences.length}`,
  );
  return result.differences.length;
}

function programs(options: FuzzOptions, inject: string | undefined, count: boolean): number {
  const run = (): FuzzResult => (inject === undefined ? fuzz(options) : fuzzBroken(options, inject));
  const result = count && options.translate !== undefined ? fuzzCounts(options, options.translate) : run();
  if (result.skipped > 0) console.log(`${result.skipped} programs could not be judged`);
  console.log(`programs=${result.programs} differences=${result.differences}`);
  return result.differences;
}

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    inject: { type: 'string' },
    vcpu: { type: 'boolean', default: false },
    tier: { type: 'string' },
    threshold: { type: 'string', default: '3' },
    count: { type: 'boolean', default: false },
    rows: { type: 'string' },
    junk: { type: 'string' },
    devices: { type: 'boolean', default: false },
    operations: { type: 'string', default: '1000000' },
  },
});
const seed = Number(values.seed);
const tier = TIERS.find((name) => name === values.tier);
if (values.tier !== undefined && tier === undefined) throw new Error(`--tier is one of ${TIERS.join(', ')}`);
const translate = tier && { tier, seed, threshold: Number(values.threshold) };
let bad: number;
if (values.junk !== undefined) {
  const result = await fuzzJunk(Number(values.junk), seed, translate);
  for (const line of result.differences) console.log(line);
  bad = result.differences.length;
  console.log(
    `seed=${seed} guests=${result.guests} ends=${JSON.stringify(result.ends)} instructions=${result.instructions}` +
      ` compared=${result.compared} differences=${bad}`,
  );
} else if (values.devices) bad = await fuzzDevicesBySeeds(Number(values.operations), seed, console.log);
else {
  if (!nativeAvailable()) throw new Error('fuzzing needs an x86-64 Linux host with gcc');
  console.log(`seed ${seed}`);
  const options = {
    programs: Number(values.programs),
    seed,
    vcpu: values.vcpu,
    translate,
    print: console.log,
  };
  bad =
    values.rows === undefined
      ? programs(options, values.inject, values.count)
      : rowsOnly(Number(values.rows), seed, translate);
}
process.exitCode = bad === 0 ? 0 : 1;
