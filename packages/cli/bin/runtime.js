/**
 * Finds the Node that this project is pinned to (an npm package per platform) and runs programs on it.
 * Plain JavaScript for Node 20 and newer: it runs before the right Node does.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';

/** The oldest Node that can run the built code when the pinned package is missing on this platform. */
const OLDEST_MAJOR = 24;
export const PINNED_MAJOR = 26;

/**
 * How the program's own Node is started: memory goes to guests, not to nurseries and per-thread heaps; V8 does not count
 * calls for an inliner that gives translated code nothing (docs/adr/0036).
 */
export const NODE_FLAGS = ['--max-semi-space-size=2', '--no-wasm-inlining'];
export const NODE_ENV = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

/** @returns {number} the major version of the running Node */
export function ownMajor() {
  return Number.parseInt(process.versions.node, 10);
}

/**
 * @param {string} from a folder whose node_modules (or a parent's) is searched
 * @returns {string | undefined} the path of a Node that can run the built code
 */
export function pinnedNode(from) {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  try {
    const manifest = createRequire(join(from, 'noop.js')).resolve(`${name}/package.json`);
    const file = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    if (existsSync(file)) return file;
  } catch {
    // Not installed: npm leaves out optional packages of other platforms, and some platforms have none.
  }
  return ownMajor() >= OLDEST_MAJOR ? process.execPath : undefined;
}

/**
 * Runs a program in place of this one: same terminal, same streams, signals passed on.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<{ code: number | null, signal: NodeJS.Signals | null }>}
 */
export function runChild(command, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env });
    // The terminal sends SIGINT and SIGQUIT to the whole group, so only the others are passed on.
    for (const signal of ['SIGINT', 'SIGQUIT']) process.on(signal, () => {});
    for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve({ code, signal }));
  });
}

/**
 * Ends this process as the child ended.
 * @param {{ code: number | null, signal: NodeJS.Signals | null }} result
 */
export function exitAs({ code, signal }) {
  process.exit(signal === null ? (code ?? 125) : 128 + (constants.signals[signal] ?? 0));
}
