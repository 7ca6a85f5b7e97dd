/**
 * Assembles the bare-metal suite: a PVH kernel (ELF) made of the C and assembly files beside this one.
 * Every machine that runs it prints `name PASS`, `name FAIL …` or `name SKIP …` lines to the serial port at
 * 0x3f8 and ends with `bare-metal passed=N failed=N skipped=N`; then it writes 0 to port 0x501, resets through
 * port 0x64 and, where neither ends it, triple-faults. `only=PREFIX` on the command line selects tests,
 * `rounds=NUMBER` says how often code that changes itself does so.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const FLAGS = [
  '-m64',
  '-ffreestanding',
  '-fno-pie',
  '-no-pie',
  '-mno-red-zone',
  '-mgeneral-regs-only',
  '-fno-stack-protector',
  '-fcf-protection=none',
  '-fno-asynchronous-unwind-tables',
  '-fno-strict-aliasing',
  '-masm=intel',
  '-O1',
  '-fno-toplevel-reorder',
  '-nostdlib',
  '-static',
  '-Wl,-T,link.ld',
  '-Wl,--build-id=none',
  '-Wl,-z,noexecstack',
  '-Wl,--no-warn-rwx-segments',
];

/** @returns path of the ELF file, built once per content of the sources */
export function buildBareMetal(): string {
  const folder = import.meta.dirname;
  const sources = readdirSync(folder)
    .filter((name) => /\.(?:c|h|S|ld)$/.test(name))
    .sort();
  const hash = createHash('sha256').update(FLAGS.join(' '));
  for (const name of sources) hash.update(name).update(readFileSync(join(folder, name)));
  const out = join(tmpdir(), `vivarium-test-${process.getuid?.() ?? 0}`);
  const target = join(out, `bare-metal-${hash.digest('hex').slice(0, 16)}.elf`);
  if (existsSync(target)) return target;
  mkdirSync(out, { recursive: true, mode: 0o700 });
  const fresh = join(mkdtempSync(join(out, 'cc-')), 'bare-metal.elf');
  const inputs = sources.filter((name) => /\.(?:c|S)$/.test(name));
  const built = spawnSync('gcc', [...FLAGS, '-o', fresh, ...inputs, '-lgcc'], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`gcc refused the bare-metal suite:\n${built.stderr}`);
  renameSync(fresh, target);
  return target;
}

export interface SuiteResult {
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
  /** False when the machine stopped before the suite's last line. */
  readonly complete: boolean;
}

export function parseSerial(text: string): SuiteResult {
  const lines = text.split(/\r?\n/);
  return {
    passed: lines.filter((line) => line.endsWith(' PASS')).length,
    failed: lines.filter((line) => / FAIL\b/.test(line)),
    skipped: lines.filter((line) => / SKIP /.test(line)),
    complete: lines.some((line) => /^bare-metal passed=\d+ failed=\d+ skipped=\d+$/.test(line)),
  };
}

/**
 * Runs the ELF under QEMU; under 'tcg-icount' with a clock that follows the instructions, so that a busy host changes
 * no result. @returns what it wrote to the serial port
 */
export function runUnderQemu(elf: string, accel: 'tcg' | 'tcg-icount' | 'kvm', only = ''): string {
  // A file, not standard output: QEMU drops what a slow reader has not taken when the guest ends it.
  const serial = join(mkdtempSync(join(tmpdir(), 'viv-serial-')), 'serial');
  const run = spawnSync(
    'qemu-system-x86_64',
    [
      ...[
        '-M',
        'microvm,pit=off,rtc=off',
        '-m',
        '64',
        '-no-reboot',
        '-display',
        'none',
        '-serial',
        `file:${serial}`,
      ],
      ...['-accel', accel === 'kvm' ? 'kvm' : 'tcg', '-cpu', accel === 'kvm' ? 'host' : 'max,la57=off'],
      ...(accel === 'tcg-icount' ? ['-icount', 'shift=1,sleep=off'] : []),
      ...['-device', 'isa-debug-exit,iobase=0x501,iosize=4', '-kernel', elf, '-append', only],
    ],
    { encoding: 'utf8', timeout: 30_000, input: '' },
  );
  if (!existsSync(serial)) throw new Error(`QEMU did not start: ${run.error?.message ?? run.stderr}`);
  const text = readFileSync(serial, 'utf8');
  rmSync(dirname(serial), { recursive: true, force: true });
  return text;
}
