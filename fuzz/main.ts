/**
 * npm run fuzz -- [--programs N] [--seed S] [--inject ROW] [--vcpu]
 * npm run fuzz -- --rows N [--seed S]
 * npm run fuzz -- --junk N [--seed S]                     random bytes as a kernel
 * npm run fuzz -- --devices [--operations N] [--seed S]     random hostile guests against the devices
 *
 * Runs random programs on the interpreter and on the host's CPU. A difference is shrunk and printed; the last line
 * is `programs=N differences=D`. ROW is a row as docs/coverage.md names it, for example "ADD Ev,Gv" or "PADDW".
 * With --vcpu, a whole vCPU runs the programs, and the guest's kernel side takes their exceptions.
 * With --rows, every row runs alone instead, N cases per operand size, register or memory, and mode.
 */
import { parseArgs } from 'node:util';
import { nativeAvailable } from '../test/oracle/native.ts';
import { compareRows, formatDifferences } from '../test/oracle/rows.ts';
import { fuzzDevicesBySeeds } from './devices.ts';
import { fuzzJunk } from './junk.ts';
import { type FuzzOptions, fuzz, fuzzBroken } from './programs.ts';

function rowsOnly(cases: number, seed: number): number {
  const result = compareRows({ cases, seed });
  if (result.differences.length > 0) console.log(formatDifferences(result.differences));
  console.log(
    `rows=${result.rows} shapes=${result.shapes} cases=${result.cases} differences=${result.differences.length}`,
  );
  return result.differences.length;
}

function programs(options: FuzzOptions, inject: string | undefined): number {
  const result = inject === undefined ? fuzz(options) : fuzzBroken(options, inject);
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
    rows: { type: 'string' },
    junk: { type: 'string' },
    devices: { type: 'boolean', default: false },
    operations: { type: 'string', default: '1000000' },
  },
});
const seed = Number(values.seed);
let bad: number;
if (values.junk !== undefined) {
  const { guests, ends, instructions } = await fuzzJunk(Number(values.junk), seed);
  console.log(`seed=${seed} guests=${guests} ends=${JSON.stringify(ends)} instructions=${instructions}`);
  bad = 0;
} else if (values.devices) bad = await fuzzDevicesBySeeds(Number(values.operations), seed, console.log);
else {
  if (!nativeAvailable()) throw new Error('fuzzing needs an x86-64 Linux host with gcc');
  console.log(`seed ${seed}`);
  const options = { programs: Number(values.programs), seed, vcpu: values.vcpu, print: console.log };
  bad = values.rows === undefined ? programs(options, values.inject) : rowsOnly(Number(values.rows), seed);
}
process.exitCode = bad === 0 ? 0 : 1;
