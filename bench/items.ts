/** What is measured in booted guests, and the bars it is held to: our time over TCG's. */
import { GUEST_ROOT } from '../test/programs/userland.ts';

export interface GuestItem {
  /** Its first word is enough for `--only`. */
  readonly name: string;
  readonly suite: string;
  /** A line for the guest's shell; what it prints must be the same on both sides. */
  readonly command: string;
  /** A line that comes before, unmeasured. */
  readonly before?: string;
  /** The program of bench/programs and its arguments, for items that are one: it runs on the host too. */
  readonly program?: readonly string[];
  /** Our time over TCG's at most. */
  readonly bar?: number;
  /** Needs the user land of real-files.ts. */
  readonly inRoot?: boolean;
  /** Listed, but not part of the suite's mean. */
  readonly apart?: boolean;
}

/** Bars of the geometric means. */
export const SUITE_BARS: Readonly<Record<string, number>> = { engine: 0.65, real: 0.8, 'v86 real': 1 / 3 };
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

const REAL = { suite: 'real', bar: REAL_BAR } as const;

function real(name: string, command: string, before?: string): GuestItem {
  const inUserLand = command.includes(GUEST_ROOT);
  return {
    ...REAL,
    name,
    command,
    ...(before === undefined ? {} : { before }),
    ...(inUserLand ? { inRoot: true } : {}),
  };
}

/** In the user land of real-files.ts. */
const inRoot = (line: string): string => `chroot ${GUEST_ROOT} ${line}`;
const times = (count: number, line: string): string =>
  `i=0; while [ $i -lt ${count} ]; do ${line}; i=$((i+1)); done; echo $i`;
/** Once in each guest. */
const made = (file: string, what: string): string =>
  `[ -e ${file} ] || ${PROGRAM_FOLDER}/data ${what} >${file}`;

const DATA = '/tmp/data';
const LINES = '/tmp/lines';
const withData = made(DATA, `bytes ${32 * 2 ** 20}`);
const withLines = made(LINES, 'lines 200000');
/** What gcc compiles. */
const COMPILED = ['sha256', 'qsort', 'bytecode'];

/** Programs as people run them: busybox's, static; Debian's own perl, python and gcc; loops on the kernel. */
export const REAL_ITEMS: readonly GuestItem[] = [
  real('shell loop', times(150_000, ':')),
  real('fork+exec 500', times(500, '/bin/busybox true')),
  real('gzip 32 MiB', `gzip -c ${DATA} | wc -c`, withData),
  real('sha256sum 32 MiB', `sha256sum ${DATA}`, withData),
  real('sort', `sort ${LINES} | md5sum`, withLines),
  real(
    'awk',
    `awk '{ n[$1 % 1000]++; l += length($0); if ($2 ~ /^[a-e]+s/) m++ } END { for (k in n) s += n[k] * k; print s, l, m }' ${LINES}`,
    withLines,
  ),
  real('perl-start 40', times(40, inRoot('perl -e 1'))),
  real('perl-compute', inRoot('perl /src/compute.pl')),
  real('python-start 10', times(10, inRoot('python3 -I -c pass'))),
  real('python-compute', inRoot('python3 -I /src/compute.py')),
  real(
    'gcc',
    COMPILED.map((name) =>
      inRoot(`gcc -O2 -c /src/${name}.c -o /tmp/${name}.o && md5sum ${GUEST_ROOT}/tmp/${name}.o`),
    ).join(' && '),
  ),
  program('getppid', ['getppid'], REAL),
  program('faults', ['faults'], REAL),
  program('pingpong', ['pingpong'], REAL),
];

/** What a fresh guest needs for the items of suite real. */
export const PREPARE_REAL: string = ['dev', 'proc', 'tmp']
  .map((folder) => `mount -o bind /${folder} ${GUEST_ROOT}/${folder}`)
  .join(' && ');

/** What a 32-bit guest under v86 can do as well, without bars: nobody promised anything of single items. */
export const V86_ITEMS: readonly GuestItem[] = [...ENGINE_ITEMS, ...REAL_ITEMS]
  .filter(({ inRoot }) => inRoot !== true)
  .map((item) => {
    const { bar: _, ...without } = item;
    return { ...without, suite: `v86 ${item.suite}` };
  });
