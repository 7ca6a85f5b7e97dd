/** The C programs of bench/programs as static executables, made by the host's gcc on first use. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileCached } from '../test/oracle/native.ts';

const FOLDER: string = join(import.meta.dirname, 'programs');
const FLAGS = ['-O2', '-static'];
/** The same for a CPU without 64-bit mode: floating point stays with SSE2. */
const FLAGS_32 = [...FLAGS, '-m32', '-msse2', '-mfpmath=sse'];

/** Why there are no programs, or undefined. */
export function missingCompiler(bits: 32 | 64 = 64): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the programs need an x86-64 Linux host';
  const probe = spawnSync('gcc', [...(bits === 32 ? FLAGS_32 : FLAGS), '-o', '/dev/null', '-x', 'c', '-'], {
    input: '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n',
    encoding: 'utf8',
  });
  if (probe.status === 0) return undefined;
  const packages = bits === 32 ? 'gcc-multilib' : 'gcc libc6-dev';
  return `gcc cannot make static ${bits}-bit executables: apt-get install ${packages}`;
}

export function programNames(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith('.c'))
    .map((name) => name.slice(0, -2))
    .sort();
}

/** Program name → executable of the host. */
export function benchPrograms(bits: 32 | 64 = 64): Map<string, string> {
  const header = readFileSync(join(FOLDER, 'bench.h'), 'utf8');
  const flags = bits === 32 ? FLAGS_32 : FLAGS;
  return new Map(
    programNames().map((name) => {
      // in one piece, so that the digest by which executables are kept covers the header
      const source = programSource(name, header);
      return [name, compileCached(`bench-${bits}-${name}`, source, flags, ['-lm'])];
    }),
  );
}

function programSource(name: string, header: string): string {
  const text = readFileSync(join(FOLDER, `${name}.c`), 'utf8');
  return text.replace('#include "bench.h"\n', () => `${header}#line 3 "${name}.c"\n`);
}
