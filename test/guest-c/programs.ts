/**
 * Programs whose output must be the same on the host and in a guest: static executables made from the C files
 * beside this one, and a shell script that drives everyday tools. gcc compiles them when tests run.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { compileCached } from '../oracle/native.ts';

const FLAGS = ['-static', '-O2', '-msse4.2', '-mpopcnt', '-pthread', '-w'];
/** For 32-bit code without a C library. */
const FLAGS_32 = '-m32 -static -nostdlib -O2 -fno-stack-protector -fno-pic -no-pie -mfpmath=387 -w'.split(
  ' ',
);

export interface GuestProgram {
  readonly name: string;
  /** Path of the executable on the host. */
  readonly file: string;
}

export function guestPrograms(): GuestProgram[] {
  const folder = import.meta.dirname;
  return readdirSync(folder)
    .filter((name) => name.endsWith('.c'))
    .sort()
    .map((source) => {
      const name = source.slice(0, -2);
      const text = readFileSync(join(folder, source), 'utf8');
      const wide = name !== 'elf32';
      return {
        name,
        file: compileCached(`guest-${name}`, text, wide ? FLAGS : FLAGS_32, wide ? ['-lm'] : []),
      };
    });
}

/** What a program or script prints on the host. A non-zero exit throws. */
export function outputOnHost(command: string, args: readonly string[] = []): string {
  const run = spawnSync(command, args, { encoding: 'utf8', input: '' });
  if (run.status !== 0) throw new Error(`${command} ended with ${run.status ?? run.signal}: ${run.stderr}`);
  return run.stdout;
}

/** The script of everyday tools, the shell for it (busybox's would run its own applets) and the programs it calls. */
export const TOOLS_SCRIPT: string = join(import.meta.dirname, 'tools.sh');
export const TOOLS: readonly string[] = [
  'dash',
  'awk',
  'sha256sum',
  'sort',
  'gzip',
  'cmp',
  'bc',
  'perl',
  'wc',
  'rm',
];

/**
 * Host files a dynamically linked program needs, itself included: guest path → host path (symbolic links
 * resolved). Debian's own binaries run unchanged in a guest of the same or a newer release.
 */
export function hostFiles(programs: readonly string[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const program of programs) {
    const path = outputOnHost('/bin/sh', ['-c', `command -v ${program}`]).trim();
    files.set(path, realpathSync(path));
    const linked = spawnSync('ldd', [path], { encoding: 'utf8' }).stdout;
    for (const match of linked.matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
      const library = match[1] ?? '';
      files.set(library, realpathSync(library));
    }
  }
  return files;
}
