/**
 * The same kernel and initramfs under QEMU's TCG. The guest finds no control port and offers a shell on the
 * serial port; lines typed there are timed by marks that the shell prints before and after.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { BootFiles, Guest, Measured } from './guest.ts';
import { INIT_MARK } from './workloads.ts';

const QEMU = 'qemu-system-x86_64';
const BOOT_TIMEOUT_MS = 300_000;

export async function bootQemu(files: BootFiles): Promise<Guest> {
  const began = performance.now();
  const child = spawn(QEMU, [
    ...[
      '-accel',
      'tcg,thread=single',
      '-M',
      'q35',
      '-cpu',
      'Nehalem',
      '-smp',
      '1',
      '-m',
      String(files.memoryMib),
    ],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...[
      '-kernel',
      files.kernel,
      '-initrd',
      files.initrd,
      '-append',
      'console=ttyS0 mitigations=off panic=-1',
    ],
  ]);
  const serial = new SerialReader(child);
  await serial.until(INIT_MARK, BOOT_TIMEOUT_MS);
  const initMs = performance.now() - began;
  let counter = 0;
  // The shell is there when it answers; what is typed before it reads waits in the serial port's queue.
  await serial.until(/[#$] $/, BOOT_TIMEOUT_MS);

  return {
    initMs,
    async run(command: string): Promise<Measured> {
      counter++;
      // The marks are computed by the shell, so that the echo of the line is none.
      child.stdin.write(
        `echo begin-$((${counter}+0)); { ${command}; } >/dev/null; echo end-$((${counter}+0))\n`,
      );
      await serial.until(new RegExp(`begin-${counter}\\r?\\n`), BOOT_TIMEOUT_MS);
      const start = performance.now();
      await serial.until(new RegExp(`end-${counter}\\r?\\n`), BOOT_TIMEOUT_MS);
      return { ms: performance.now() - start, instructions: undefined };
    },
    async stop(): Promise<void> {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** Collects the serial output and waits for marks in it; what comes before a mark is consumed. */
class SerialReader {
  #text = '';
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(child: ChildProcessWithoutNullStreams) {
    child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
      this.#text += chunk;
      this.#wake?.();
    });
    child.on('exit', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  async until(mark: RegExp, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const match = mark.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match.index + match[0].length);
        return;
      }
      const left = deadline - performance.now();
      if (this.#ended || left <= 0) {
        throw new Error(
          `the guest under QEMU never printed ${mark}; its last words:\n${this.#text.slice(-2000)}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
