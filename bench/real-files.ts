/**
 * The user land of suite real: the host's own Debian binaries of perl, python and gcc in a folder for chroot, with
 * what they read, and the scripts and sources they work on.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { basename, join, normalize } from 'node:path';
import { hostFiles } from '../test/guest-c/programs.ts';
import { perlFiles, userland } from '../test/programs/userland.ts';
import { hasProgram } from '../test/support/needs.ts';

const SCRIPTS: string = join(import.meta.dirname, 'scripts');
const PROGRAMS: string = join(import.meta.dirname, 'programs');
/** Where scripts and sources are, under the root of the user land. */
export const SOURCES = '/src';
const PYTHON = '/usr/bin/python3';
const NEEDED: Readonly<Record<string, string>> = {
  perl: 'perl',
  [PYTHON]: 'python3-minimal',
  gcc: 'gcc libc6-dev',
};

/** Why there is no user land, or undefined. */
export function missingUserland(): string | undefined {
  const absent = Object.keys(NEEDED).filter((program) => !hasProgram(program) && !existsSync(program));
  if (absent.length === 0) return undefined;
  const packages = absent.map((program) => NEEDED[program]).join(' ');
  return `suite real needs programs of the host: apt-get install ${packages}`;
}

/** @param folder for files that are made */
export function realArchive(folder: string): Uint8Array {
  const sources = [PROGRAMS, SCRIPTS].flatMap((from) =>
    readdirSync(from).map((name): [string, string] => [join(SOURCES, name), join(from, name)]),
  );
  const cc1 = realpathSync(printed('gcc', ['-print-prog-name=cc1']));
  // python complains when this folder is not there
  const dynamicModules = printed(PYTHON, [
    '-I',
    '-c',
    'import sysconfig as s; print(s.get_config_var("DESTSHARED"))',
  ]);
  return userland(
    [
      ...hostFiles(['perl', PYTHON, 'gcc', 'as', cc1]),
      ...perlFiles(['strict', 'warnings', 'List::Util']),
      ...pythonFiles(folder),
      ...headers(),
      ...sources,
    ],
    ['proc', 'dev', 'tmp', dynamicModules],
  );
}

/**
 * What python loads at its start, compiled and without source: the times of files in the archive are zero, and
 * python would compile anew what is not as old as its source.
 */
function pythonFiles(folder: string): Map<string, string> {
  const compiled = join(folder, 'python');
  mkdirSync(compiled, { recursive: true });
  const script = `
import importlib.machinery, py_compile, sys
for name, module in sorted(sys.modules.items()):
    file = getattr(module, '__file__', None)
    if file is None or name == '__main__': continue
    spec = importlib.machinery.PathFinder.find_spec(name) if '.' not in name else module.__spec__
    file = spec.origin if spec and spec.origin and spec.origin.startswith('/') else file
    if file.endswith('.so'):
        print(file, file, sep='\\t')
    elif file.endswith('.py'):
        target = sys.argv[1] + '/' + file[1:].replace('/', '-') + 'c'
        py_compile.compile(file, cfile=target, dfile=file, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        print(file + 'c', target, sep='\\t')
`;
  const files = new Map<string, string>();
  for (const line of printed(PYTHON, ['-I', '-c', script, compiled]).split('\n')) {
    const [path = '', file = ''] = line.split('\t');
    files.set(path, file);
    if (!path.endsWith('.so')) continue;
    for (const [library, source] of hostFiles([path])) files.set(library, source);
  }
  return files;
}

/** The headers that the programs include. */
function headers(): [string, string][] {
  const paths = new Set<string>();
  for (const name of readdirSync(PROGRAMS).filter((file) => file.endsWith('.c'))) {
    const rule = printed('gcc', ['-O2', '-M', join(PROGRAMS, name)]);
    for (const word of rule.split(/[\s\\]+/)) {
      const path = normalize(word);
      if (path.startsWith('/usr/') && basename(path).endsWith('.h')) paths.add(path);
    }
  }
  return [...paths].map((path) => [path, realpathSync(path)]);
}

function printed(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
  return stdout.trim();
}
