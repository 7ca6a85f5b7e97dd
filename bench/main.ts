/**
 * `npm run bench -- [SUITE…] [--against qemu] [--json] [--runs N]`. Suites: engine (guest instructions per second),
 * boot (time to /init, idle cost, memory, start of viv), and, only when named, interpreter (loops of a few
 * instructions) and boots (`--boots N` machines in one process: what they leave behind). Medians over runs that alternate with the other side.
 * Standard output has the result only; what happens meanwhile goes to standard error.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepareBootFiles } from './boot-files.ts';
import { measureBoots } from './boots.ts';
import { measureGuests } from './guests.ts';
import { measureIdle } from './idle.ts';
import { measureInterpreter } from './interpreter.ts';
import { measureLauncher } from './launcher.ts';
import { type BenchItem, result, table } from './result.ts';

const SUITES = ['engine', 'boot'];
/** Only when asked for: it explains the engine's choices (docs/adr) and boots no guest. */
const ALONE = 'interpreter';
/** Only when asked for: takes minutes. */
const MANY = 'boots';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string' },
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    'idle-seconds': { type: 'string', default: '60' },
    boots: { type: 'string', default: '100' },
  },
});
const suites = new Set(positionals.length === 0 ? SUITES : positionals);
for (const suite of suites)
  if (![...SUITES, ALONE, MANY].includes(suite))
    throw new Error(`no suite '${suite}'; there is: ${[...SUITES, ALONE, MANY].join(', ')}`);
if (values.against !== undefined && values.against !== 'qemu') throw new Error('--against knows only qemu');
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs} is no count`);

const folder = mkdtempSync(join(tmpdir(), 'viv-bench-'));
try {
  const items: BenchItem[] = [];
  if (suites.has(ALONE)) items.push(...measureInterpreter(runs));
  if (SUITES.some((suite) => suites.has(suite))) {
    const files = await prepareBootFiles(folder);
    items.push(...(await measureGuests(files, { suites, runs, againstQemu: values.against === 'qemu' })));
    if (suites.has('boot')) {
      items.push(...measureLauncher(Math.max(runs, 5)));
      items.push(...(await measureIdle(files, Number(values['idle-seconds']))));
    }
  }
  if (suites.has(MANY))
    items.push(...(await measureBoots(await prepareBootFiles(folder), Number(values.boots))));
  const measured = result(items);
  console.log(values.json ? JSON.stringify(measured) : table(measured));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
