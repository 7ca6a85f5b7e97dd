/** `viv version`, answered without loading anything else. */
import { readFileSync } from 'node:fs';

const WORDS = new Set(['version', '--version', '-V']);

/** @param {string[]} args */
export function isVersion(args) {
  return args.length === 1 && WORDS.has(args[0] ?? '');
}

export function printVersion() {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`viv ${manifest.version}\n`);
}
