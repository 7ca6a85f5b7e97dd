/**
 * `npm run bench -- [SUITE…] [--against qemu] [--json] [--runs N] [--only NAME,…]`. Suites: engine (programs that
 * compute), boot (time to /init, guest instructions a second, start of viv, idle cost, memory), real (programs as
 * people run them), and, only when named, v86 (those that a 32-bit guest can do, against v86), interpreter (loops of a
 * few instructions), replay (recorded guests and hand-made regions), boots (`--boots N` machines in one process:
 * what they leave behind) and code-cache (`--minutes N` of more code than the code cache holds). docs/performance.md explains them. Medians over runs that alternate with
 * the other side. Standard output has the result only; what happens meanwhile goes to standard error.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseSize } from '../packages/vm/src/base/size.ts';
import { hasQemu } from '../test/guest/qemu.ts';
import { prepareBootFiles } from './boot-files.ts';
import { measureBoots } from './boots.ts';
import { DEFAULT_BUDGET, DEFAULT_THRESHOLD, measureCodeCache, treeArchive } from './code-cache.ts';
import type { BootFiles, Guest, Translate } from './guest.ts';
import { programArchive } from './guest-files.ts';
import { GuestBench } from './guests.ts';
import { measureIdle } from './idle.ts';
import { measureInterpreter } from './interpreter.ts';
import {
  BOOT_BAR,
  BOOT_CPU_BAR,
  BOOT_NAME,
  ENGINE_ITEMS,
  PREPARE_REAL,
  REAL_BAR,
  REAL_ITEMS,
  V86_ITEMS,
} from './items.ts';
import { measureLauncher } from './launcher.ts';
import { benchPrograms, missingCompiler } from './programs.ts';
import { bootQemu } from './qemu.ts';
import { measureReplay } from './replay/index.ts';
import { missingUserland, realArchive } from './real-files.ts';
import { type BenchItem, result } from './result.ts';
import { selection } from './selection.ts';
import { markdown, table } from './table.ts';
import { bootV86 } from './v86.ts';
import { missingForV86, prepareV86 } from './v86-files.ts';
import { bootVivarium } from './vivarium.ts';

const SUITES = ['engine', 'boot', 'real'];
/** Only when asked for: it explains the engine's choices (docs/adr) and boots no guest. */
const ALONE = 'interpreter';
/** Only when asked for: takes minutes. */
const MANY = 'boots';
/** Only when asked for: takes as long as it is told. */
const CODE_CACHE = 'code-cache';
/** Only when asked for: fetches v86 and a 32-bit kernel. */
const V86 = 'v86';
/** Only when asked for: what the shape of regions was chosen by (docs/adr/0032). */
const REPLAY = 'replay';
const EVERY_SUITE = [...SUITES, ALONE, MANY, CODE_CACHE, V86, REPLAY];
/** Room for the largest pointer chase and for all that a guest has in its root folder. */
const ITEMS_MEMORY_MIB = 1024;
const V86_MEMORY_MIB = 512;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string' },
    json: { type: 'boolean', default: false },
    /** Tables for docs/performance.md. */
    markdown: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    /** Items by the first word of their names. */
    only: { type: 'string' },
    /** Seconds that a boot or an item may take. */
    limit: { type: 'string', default: '600' },
    /** Of the translator of ours: docs/performance.md. */
    translate: { type: 'string' },
    threshold: { type: 'string' },
    'code-cache': { type: 'string' },
    /** What the translator did in each item. */
    stats: { type: 'boolean', default: false },
    /** For the Node that runs our machine, such as --node-flags='--liftoff-only'. */
    'node-flags': { type: 'string', default: '' },
    'qemu-cpu': { type: 'string', default: 'max' },
    'idle-seconds': { type: 'string', default: '60' },
    boots: { type: 'string', default: '100' },
    minutes: { type: 'string', default: '10' },
  },
});
const suites = new Set(positionals.length === 0 ? SUITES : positionals);
for (const suite of suites)
  if (!EVERY_SUITE.includes(suite))
    throw new Error(`no suite '${suite}'; there is: ${EVERY_SUITE.join(', ')}`);
if (values.against !== undefined && values.against !== 'qemu') throw new Error('--against knows only qemu');
if (values.against === 'qemu' && !hasQemu())
  throw new Error('--against qemu: there is no QEMU; apt-get install qemu-system-x86');
const runs = Number(values.runs);
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes} is no time`);
if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs} is no count`);

const INSTRUCTIONS = 'instructions';
const LAUNCHER = 'launcher';
const IDLE = 'idle';
const named = selection(values.only, {
  engine: ENGINE_ITEMS.map(({ name }) => name),
  boot: [BOOT_NAME, INSTRUCTIONS, LAUNCHER, IDLE],
  real: [BOOT_NAME, ...REAL_ITEMS.map(({ name }) => name)],
});
const isWanted = (suite: string, name: string): boolean => suites.has(suite) && named(name);

function translateOptions(): Translate | undefined {
  const { translate, threshold, 'code-cache': cache } = values;
  if (translate === undefined && threshold === undefined && cache === undefined) return undefined;
  return {
    tier: translate ?? 'auto',
    ...(threshold === undefined ? {} : { threshold: Number(threshold) }),
    ...(cache === undefined ? {} : { cacheBytes: parseSize(cache, '--code-cache') }),
  };
}

const GUESTS = {
  runs,
  limitMs: Number(values.limit) * 1000,
  ours: {
    name: 'vivarium',
    boot: (files: BootFiles): Promise<Guest> =>
      bootVivarium(files, GUESTS.limitMs, {
        translate: translateOptions(),
        stats: values.stats,
        nodeFlags: values['node-flags'].split(' ').filter((flag) => flag !== ''),
      }),
  },
};

/** A user land with the programs and sources of suite real. */
async function prepareUserland(folder: string, more: readonly Uint8Array[] = []): Promise<BootFiles> {
  const why = missingCompiler() ?? missingUserland();
  if (why !== undefined) throw new Error(why);
  const archives = [programArchive(benchPrograms()), realArchive(folder), ...more];
  return prepareBootFiles(folder, ITEMS_MEMORY_MIB, archives);
}

function codeCache(files: BootFiles): Promise<BenchItem[]> {
  const { threshold, 'code-cache': size } = values;
  return measureCodeCache(files, {
    minutes,
    budget: size === undefined ? DEFAULT_BUDGET : parseSize(size, '--code-cache'),
    threshold: threshold === undefined ? DEFAULT_THRESHOLD : Number(threshold),
    limitMs: GUESTS.limitMs,
  });
}

/** Our 64-bit guests against 32-bit guests under v86, with the same work. */
async function measureV86(folder: string): Promise<{ items: BenchItem[]; commandLines: readonly string[] }> {
  const why = missingCompiler() ?? missingCompiler(32) ?? missingForV86();
  if (why !== undefined) throw new Error(why);
  const items = V86_ITEMS.filter(({ name }) => named(name));
  const programs = benchPrograms();
  const theirs = await prepareV86(folder, V86_MEMORY_MIB, benchPrograms(32));
  const bench = new GuestBench({
    ...GUESTS,
    other: { name: 'v86', boot: () => bootV86(theirs, GUESTS.limitMs) },
  });
  const files = await prepareBootFiles(folder, V86_MEMORY_MIB, [programArchive(programs)]);
  await bench.items(files, items, programs, 'true');
  const measured = bench.compared(items);
  if (named(BOOT_NAME)) {
    await bench.boots(await prepareBootFiles(folder), false);
    measured.push(bench.bootItem('v86 real', {}));
  }
  return { items: measured, commandLines: bench.commandLines };
}

async function measure(folder: string): Promise<{ items: BenchItem[]; commandLines: readonly string[] }> {
  const items: BenchItem[] = [];
  if (suites.has(ALONE)) items.push(...measureInterpreter(runs));
  if (suites.has(REPLAY)) items.push(...(await measureReplay(await prepareBootFiles(folder), folder)));
  const bench = new GuestBench({
    ...GUESTS,
    other:
      values.against === undefined
        ? undefined
        : { name: 'qemu', boot: (files) => bootQemu(files, GUESTS.limitMs, values['qemu-cpu']) },
  });
  const inGuests = [...ENGINE_ITEMS, ...REAL_ITEMS].filter(({ suite, name }) => isWanted(suite, name));
  if (inGuests.length > 0) {
    const isReal = inGuests.some(({ inRoot }) => inRoot === true);
    const why = missingCompiler() ?? (isReal ? missingUserland() : undefined);
    if (why !== undefined) throw new Error(why);
    const programs = benchPrograms();
    const archives = [programArchive(programs), ...(isReal ? [realArchive(folder)] : [])];
    const files = await prepareBootFiles(folder, ITEMS_MEMORY_MIB, archives);
    await bench.items(files, inGuests, programs, isReal ? PREPARE_REAL : 'true');
    items.push(...bench.compared(inGuests));
  }
  if (isWanted('boot', BOOT_NAME) || isWanted('real', BOOT_NAME) || isWanted('boot', INSTRUCTIONS)) {
    await bench.boots(await prepareBootFiles(folder), isWanted('boot', INSTRUCTIONS));
    if (isWanted('boot', BOOT_NAME))
      items.push(bench.bootItem('boot', { bar: BOOT_BAR, cpuBar: BOOT_CPU_BAR }));
    if (isWanted('boot', INSTRUCTIONS)) items.push(...bench.workloadItems());
    if (isWanted('real', BOOT_NAME)) items.push(bench.bootItem('real', { bar: REAL_BAR }));
  }
  if (isWanted('boot', LAUNCHER)) items.push(...measureLauncher(Math.max(runs, 5)));
  if (isWanted('boot', IDLE))
    items.push(...(await measureIdle(await prepareBootFiles(folder), Number(values['idle-seconds']))));
  if (suites.has(MANY))
    items.push(...(await measureBoots(await prepareBootFiles(folder), Number(values.boots))));
  if (suites.has(CODE_CACHE))
    items.push(...(await codeCache(await prepareUserland(folder, [treeArchive(folder)]))));
  const commandLines = [...bench.commandLines];
  if (suites.has(V86)) {
    const measured = await measureV86(folder);
    items.push(...measured.items);
    commandLines.push(...measured.commandLines);
  }
  return { items, commandLines };
}

const folder = mkdtempSync(join(tmpdir(), 'viv-bench-'));
try {
  const { items, commandLines } = await measure(folder);
  const measured = result(items, commandLines);
  const text = values.markdown ? markdown : values.json ? JSON.stringify : table;
  console.log(text(measured));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
