/** `viv run`. */
import { writeFile } from 'node:fs/promises';
import { translationReport, type VM, type VmOptions } from '@vivarium/vm';
import { attach } from '../attach.ts';
import type { GuestCommand } from '../guest.ts';
import { startMachine } from '../machine.ts';
import { SerialTail } from '../serial-tail.ts';
import { parseRunOptions, type RunOptions } from './run-options.ts';

const DEFAULT_SIZE = { columns: 80, rows: 24 };

export async function runImage(
  image: string,
  command: readonly string[],
  raw: Readonly<Record<string, unknown>>,
): Promise<number> {
  return runGuest(parseRunOptions(image, command, raw));
}

/** @returns the exit code of the command in the guest */
export async function runGuest(options: RunOptions): Promise<number> {
  // An initramfs of somebody else's need not know our protocol: without a command it gets the serial console.
  const ownConsole = options.initrd !== undefined && options.command.length === 0;
  const vm = await startMachine(options, ownConsole ? undefined : guestCommand(options));
  const serial = new SerialTail(vm.serial, options.console && !ownConsole ? process.stderr : undefined);
  if (vm.gdbAddress !== undefined)
    process.stderr.write(`viv: waiting for gdb; in gdb, type: target remote ${vm.gdbAddress}\n`);
  try {
    const guest = ownConsole ? consoleOf(vm, serial) : commandOf(vm);
    return await attach(guest, options, process);
  } catch (error) {
    process.stderr.write(serial.tail());
    throw error;
  } finally {
    await vm.stop();
    if (options.stats) await writeStats(vm);
    if (options.profile !== undefined) await writeProfile(vm, options.profile);
  }
}

async function writeStats(vm: VM): Promise<void> {
  const { translation, retired } = vm;
  const lines =
    translation === undefined ? ['nothing was translated'] : await translationReport(translation, retired);
  process.stderr.write(`${lines.join('\n')}\n`);
}

/** Stacks into the file, the table on standard error. */
async function writeProfile(vm: VM, file: string): Promise<void> {
  const report = vm.profileReport();
  if (report === undefined) return;
  await writeFile(file, `${report.stacks.join('\n')}\n`);
  process.stderr.write(`${report.table.join('\n')}\n`);
}

function guestCommand(options: RunOptions): NonNullable<VmOptions['command']> {
  const argv = options.command.length > 0 ? options.command : options.tty ? ['sh', '-l'] : ['sh'];
  if (!options.tty) return { argv };
  const { columns, rows } = process.stdout;
  const tty = columns > 0 && rows > 0 ? { columns, rows } : DEFAULT_SIZE;
  return { argv, env: { TERM: process.env['TERM'] ?? 'linux' }, tty };
}

function commandOf(vm: VM): GuestCommand {
  const { command } = vm;
  if (command === undefined) throw new Error('invariant broken: the machine was started without a command');
  let up = false;
  vm.ready.then(
    () => {
      up = true;
    },
    () => {},
  );
  const kill = (): void => void vm.powerOff();
  return {
    ...command,
    kill,
    // A guest that still boots has nobody to take a signal.
    signal: (name) => (up ? command.signal(name) : kill()),
  };
}

/** The serial console as if it were a command with a terminal. It ends with the machine. */
function consoleOf(vm: VM, serial: SerialTail): GuestCommand {
  const kill = (): void => void vm.powerOff();
  return {
    stdin: new WritableStream<Uint8Array>({ write: (bytes) => vm.writeSerial(bytes) }),
    stdout: serial.copy(),
    stderr: new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }),
    exitCode: vm.exited.then((exit) => {
      if (exit.error !== undefined) throw exit.error;
      return 0;
    }),
    resize: () => {},
    signal: kill,
    kill,
  };
}
