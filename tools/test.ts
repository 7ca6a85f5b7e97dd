/**
 * `npm test [-- --short] [PATH…]`: prepares what tests need, runs every test file under node:test, and
 * ends with node:test's closing lines. `--short` leaves out `*.slow.test.ts` and the folders of long tests. With
 * PATHs, only the test files whose path starts with one of them run.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { hasProgram, NEEDS } from '../test/support/needs.ts';
import { report } from './test/report.ts';

const root: string = dirname(import.meta.dirname);

/** A file that hangs is a failure of that file, not of the whole run. */
const FILE_TIMEOUT_MS = 420_000;

/** Long because they are thorough; what they cover depends on the host's user and home in nothing. */
const LONG_FOLDERS = /^(fuzz|test\/(oracle|boot|guest|guest-c|bare-metal|deterministic))\//;

function installMissingPrograms(): void {
  const absent = NEEDS.filter((need) => !hasProgram(need.program));
  if (absent.length === 0) return;
  const names = absent.map((need) => need.debianPackage);
  if (process.getuid?.() !== 0 || !hasProgram('apt-get')) {
    console.log(`missing on this host, so some tests skip: ${names.join(' ')}`);
    return;
  }
  console.log(`installing for the tests: ${names.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = (): boolean =>
    spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], {
      env,
      stdio: 'ignore',
    }).status === 0;
  if (install()) return;
  spawnSync('apt-get', ['update', '-q'], { env, stdio: 'ignore' });
  if (!install()) console.log('apt-get failed; tests that need these programs skip');
}

function testFiles(paths: readonly string[], short: boolean): string[] {
  const patterns = [
    'packages/*/src/**/*.test.ts',
    'test/**/*.test.ts',
    'fuzz/**/*.test.ts',
    'bench/**/*.test.ts',
    'tools/**/*.test.ts',
  ];
  const files = globSync(patterns, { cwd: root, exclude: ['**/node_modules/**'] }).map((file) =>
    file.replaceAll('\\', '/'),
  );
  return (
    files
      .filter((file) => !(short && (file.endsWith('.slow.test.ts') || LONG_FOLDERS.test(file))))
      .filter((file) => paths.length === 0 || paths.some((path) => file.startsWith(path)))
      // Slow files first, so that they do not end up alone at the end.
      .sort(
        (a, b) =>
          Number(b.endsWith('.slow.test.ts')) - Number(a.endsWith('.slow.test.ts')) || a.localeCompare(b),
      )
  );
}

const args = process.argv.slice(2);
const short = args.includes('--short');
const paths = args.filter((arg) => !arg.startsWith('--'));

const began = performance.now();
installMissingPrograms();
console.log(`# programs ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);

const home = mkdtempSync(join(tmpdir(), 'viv-test-'));
// Debian's packages are downloaded once per clone, not once per run. The cache goes by digest.
const downloads = join(root, '.cache/tests');
mkdirSync(downloads, { recursive: true });
symlinkSync(downloads, join(home, 'cache'), 'junction');
// In child processes too: no test may touch the user's files, and every viv in a test is set up already.
process.env['VIV_HOME'] = home;
process.env['VIV_TEST_SHORT'] = short ? '1' : '';
process.chdir(root);

const files = testFiles(paths, short);
if (files.length === 0) {
  console.log(`no test file matches ${paths.join(' ')}`);
  process.exitCode = 1;
} else {
  const stream = run({
    files,
    concurrency: 2,
    timeout: FILE_TIMEOUT_MS,
    execArgv: ['--conditions=vivarium-source'],
  });
  const strict = process.env['CI'] === 'true' || process.env['CI'] === '1';
  const passed = await report(stream, { root, strict, began });
  process.exitCode = passed ? 0 : 1;
}
rmSync(home, { recursive: true, force: true });
