/**
 * What tests need from the host besides Node, in one table. `npm test` installs what is missing when it
 * runs as root on Debian; otherwise the tests that need it skip, and say so.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Need {
  /** The program whose presence on the PATH proves that the package is there. */
  readonly program: string;
  readonly debianPackage: string;
  /** Which tests want it. */
  readonly why: string;
}

export const NEEDS: readonly Need[] = [
  {
    program: 'gcc',
    debianPackage: 'gcc',
    why: 'test/oracle: the runner that executes test bytes natively; test/guest-c',
  },
  // gencat comes with the C library's headers, which gcc only recommends
  { program: 'gencat', debianPackage: 'libc6-dev', why: 'test/oracle, test/guest-c: static executables' },
  { program: 'bc', debianPackage: 'bc', why: 'test/guest-c: everyday tools' },
  { program: 'perl', debianPackage: 'perl', why: 'test/guest-c: everyday tools' },
  { program: 'awk', debianPackage: 'mawk', why: 'test/guest-c: everyday tools' },
  { program: 'objdump', debianPackage: 'binutils', why: 'the outside disassembler and assembler' },
  {
    program: 'qemu-system-x86_64',
    debianPackage: 'qemu-system-x86',
    why: 'test/bare-metal and bench --against qemu',
  },
  { program: 'iasl', debianPackage: 'acpica-tools', why: 'firmware/acpi: the outside AML compiler' },
  { program: 'cpio', debianPackage: 'cpio', why: 'image/cpio: the outside archive reader' },
  { program: 'gdb', debianPackage: 'gdb', why: 'the gdb remote stub' },
  { program: 'zstd', debianPackage: 'zstd', why: 'firmware/kernel: compressed test kernels' },
  { program: 'lz4', debianPackage: 'lz4', why: 'firmware/kernel: compressed test kernels' },
  { program: 'xz', debianPackage: 'xz-utils', why: 'firmware/kernel: compressed test kernels' },
  { program: 'gpg', debianPackage: 'gnupg', why: 'image/debian: signatures made by an outside program' },
  { program: 'script', debianPackage: 'bsdutils', why: 'test/e2e: a terminal' },
  { program: 'bc', debianPackage: 'bc', why: 'test/programs: runs in the guest as on the host' },
  { program: 'gawk', debianPackage: 'gawk', why: 'test/programs: the same' },
  { program: 'mawk', debianPackage: 'mawk', why: 'test/programs: the same' },
  { program: 'shasum', debianPackage: 'perl', why: 'test/programs: perl with its modules' },
  { program: 'python3', debianPackage: 'python3-minimal', why: 'bench: suite real' },
  { program: 'git', debianPackage: 'git', why: 'test/project: clones and tracked files' },
];

export function hasProgram(name: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  for (const folder of [...folders, '/usr/sbin', '/sbin']) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      // Not there: look further.
    }
  }
  return false;
}

/** For a test's `skip` option: false when every program is there, else the reason. */
export function missing(...programs: readonly string[]): string | false {
  const absent = programs.filter((name) => !hasProgram(name));
  return absent.length === 0 ? false : `needs ${absent.join(', ')}`;
}

/** For a test's `skip` option. A skip for this reason is no failure in CI. */
export function missingKvm(): string | false {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return false;
  } catch {
    return `needs /dev/kvm${existsSync('/dev/kvm') ? ' (not permitted)' : ''}`;
  }
}
