/** What is measured in booted guests, and the bars it is held to: our time over TCG's. */

export interface GuestItem {
  /** Its first word is enough for `--only`. */
  readonly name: string;
  readonly suite: 'engine' | 'real';
  /** A line for the guest's shell; what it prints must be the same on both sides. */
  readonly command: string;
  /** A line that comes before, unmeasured. */
  readonly before?: string;
  /** The program of bench/programs and its arguments, for items that are one: it runs on the host too. */
  readonly program?: readonly string[];
  /** Our time over TCG's at most. */
  readonly bar?: number;
  /** Listed, but not part of the suite's mean. */
  readonly apart?: boolean;
}

/** Bars of the geometric means. */
export const SUITE_BARS: Readonly<Record<string, number>> = { engine: 0.65, real: 0.8 };
/** Boot to /init, as suite boot has it. */
export const BOOT_BAR = 1;
export const BOOT_CPU_BAR = 1.5;
export const BOOT_NAME = 'boot to /init';
/** Bar of each item of real. */
export const REAL_BAR = 1.2;

/** Where the programs are in the guest. */
export const PROGRAM_FOLDER = '/bench';

function program(name: string, argv: readonly string[], more: Partial<GuestItem> = {}): GuestItem {
  const command = `${PROGRAM_FOLDER}/${argv.join(' ')}`;
  return { name, suite: 'engine', command, program: argv, bar: 1, ...more };
}

function chase(mib: number, steps: number): GuestItem {
  const { bar: _, ...item } = program(`chase ${mib} MiB`, ['chase', String(mib), String(steps)]);
  return { ...item, apart: true };
}

export const ENGINE_ITEMS: readonly GuestItem[] = [
  program('sieve', ['sieve']),
  program('sum', ['sum']),
  program('xorshift', ['xorshift']),
  program('sha256', ['sha256']),
  program('fib', ['fib']),
  program('qsort', ['qsort']),
  program('matmul', ['matmul']),
  program('nbody', ['nbody']),
  program('bytecode', ['bytecode'], { bar: 1.2 }),
  chase(1, 50_000_000),
  chase(16, 20_000_000),
  chase(256, 5_000_000),
];
