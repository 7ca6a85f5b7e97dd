/**
 * Makes a clone ready to run: packages, the generated interpreter, built JavaScript. Each step is skipped
 * when a stamp says that nothing it depends on has changed. Plain JavaScript for Node 20 and newer, without
 * dependencies, because it runs before there are any.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pinnedNode } from '../packages/cli/bin/runtime.js';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const PACKAGES_STAMP = join(root, 'node_modules', '.vivarium-setup');
const GENERATOR = join(root, 'packages/vm/src/engine/interp/build.ts');
const GENERATED = join(root, 'packages/vm/build/interp.wasm');
/** What the generated interpreter may depend on. */
const GENERATOR_SOURCES = ['base', 'wasm', 'x86', 'engine', 'machine'].map((name) =>
  join(root, 'packages/vm/src', name),
);
const BUNDLER = join(root, 'tools/bundle.mjs');
/** Built in this order: a later package sees the declarations of an earlier one. */
const BUILT = ['vm', 'api', 'daemon', 'cli'];

class SetupError extends Error {}

/** Prepares everything and returns the path of the pinned Node. Says what it does on standard error. */
export function setUp({ build = true } = {}) {
  installPackages();
  const node = pinnedNode(root);
  if (node === undefined)
    throw new SetupError(
      `there is no Node for ${process.platform}-${process.arch} among the packages, and this one (${process.version}) is older than 24`,
    );
  if (build) {
    generateInterpreter(node);
    buildPackages(node);
  }
  return node;
}

function installPackages() {
  const manifests = [
    'package.json',
    'package-lock.json',
    ...BUILT.map((name) => `packages/${name}/package.json`),
  ];
  const stamp = digest(
    manifests.map((name) => join(root, name)),
    [process.platform, process.arch],
  );
  if (readStamp(PACKAGES_STAMP) === stamp) return;
  // Not `npm ci`: it refuses a lockfile that lacks optional packages of foreign platforms (ADR 0002).
  step(
    'installing packages',
    npmCommand(['install', '--ignore-scripts', '--no-save', '--no-audit', '--no-fund']),
  );
  writeFileSync(PACKAGES_STAMP, stamp);
}

function npmCommand(args) {
  const cli = process.env.npm_execpath;
  if (cli !== undefined && /npm-cli\.c?js$/.test(cli)) return [process.execPath, [cli, ...args]];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm', args];
}

function generateInterpreter(node) {
  if (!existsSync(GENERATOR)) return;
  const stamp = digest(GENERATOR_SOURCES.flatMap(sourcesUnder), []);
  const stampFile = join(dirname(GENERATED), '.stamp');
  if (existsSync(GENERATED) && readStamp(stampFile) === stamp) return;
  step('generating the interpreter', [node, [GENERATOR]]);
  writeFileSync(stampFile, stamp);
}

function buildPackages(node) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  let before = '';
  for (const name of BUILT) {
    const folder = join(root, 'packages', name);
    const config = join(folder, 'tsconfig.build.json');
    const stamp = digest(
      [
        config,
        join(folder, 'package.json'),
        join(root, 'tsconfig.base.json'),
        BUNDLER,
        ...sourcesUnder(join(folder, 'src')),
      ],
      [before],
    );
    before = stamp;
    const dist = join(folder, 'dist');
    if (readStamp(join(dist, '.stamp')) === stamp) continue;
    // Into a folder beside it and then swapped, so that a running process never reads half a build.
    const fresh = `${dist}.${process.pid}`;
    try {
      step(`building packages/${name}`, [node, [tsc, '-p', config, '--outDir', fresh]]);
      if (name === 'vm') step('bundling packages/vm', [node, [BUNDLER, fresh]]);
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true });
      throw error;
    }
    writeFileSync(join(fresh, '.stamp'), stamp);
    const old = `${dist}.${process.pid}.old`;
    if (existsSync(dist)) renameSync(dist, old);
    renameSync(fresh, dist);
    rmSync(old, { recursive: true, force: true });
  }
}

/** Runs one step quietly; its output is shown when it fails. */
function step(title, [command, args]) {
  process.stderr.write(`viv: ${title} ...\n`);
  const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 26 };
  const run = spawnSync(command, args, { ...options, shell: command.endsWith('.cmd') });
  if (run.status === 0) return;
  process.stderr.write(`${run.stdout ?? ''}${run.stderr ?? ''}`);
  throw new SetupError(
    `${title} failed: ${run.error?.message ?? `exit code ${run.status ?? run.signal}`}\n  command: ${command} ${args.join(' ')}`,
  );
}

/** Every TypeScript source below `folder` except tests, sorted. */
function sourcesUnder(folder) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .sort()
    .map((name) => join(folder, name));
}

function digest(files, facts) {
  const hash = createHash('sha256').update(facts.join('\n'));
  for (const file of files)
    hash.update(`\0${relative(root, file).split(sep).join('/')}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

function readStamp(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** For entry scripts: setup, or one readable line and exit code 125. */
export function setUpOrExit(options) {
  try {
    mkdirSync(join(root, 'node_modules'), { recursive: true });
    return setUp(options);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`viv: the set-up stopped: ${error.message}\n`);
    process.exit(125);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUpOrExit();
