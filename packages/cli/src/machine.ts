/** From the options of `viv run` to a machine that boots, with progress and the question for a mirror. */
import { createInterface } from 'node:readline/promises';
import {
  type PreparedImage,
  type PrepareOptions,
  prepareBusybox,
  storeMirror,
  VM,
  VmError,
  type VmOptions,
} from '@vivarium/vm';
import type { RunOptions } from './commands/run-options.ts';
import { EventLog } from './event-log.ts';
import { ProgressLine } from './progress.ts';

/** @throws VmError as `VM.start` and `prepareBusybox` say */
export async function startMachine(options: RunOptions, command: VmOptions['command']): Promise<VM> {
  const whole = options.kernel !== undefined && options.initrd !== undefined;
  const image = whole ? undefined : await prepareImage(options);
  const kernel = options.kernel ?? image?.kernel;
  const initrd = options.initrd ?? image?.initrd;
  const events = options.deterministic?.eventLog;
  const log = events === undefined ? undefined : new EventLog(events);
  const vm = await VM.start({
    ...(kernel === undefined ? {} : { kernel }),
    ...(initrd === undefined ? {} : { initrd }),
    ...(options.append === undefined ? {} : { append: options.append }),
    ...(command === undefined ? {} : { command }),
    ...(options.gdbPort === undefined ? {} : { gdb: options.gdbPort }),
    ...(options.profile === undefined ? {} : { profile: { symbols: options.symbols } }),
    ...translation(options),
    memory: options.memoryBytes,
    engine: options.engine,
    quiet: !options.console,
    disks: options.disk === undefined ? [] : [options.disk],
    noReboot: true,
    ...(options.deterministic === undefined
      ? {}
      : { deterministic: { seed: options.deterministic.seed, ...log?.options } }),
  });
  void vm.exited.then(() => log?.close(vm.retired));
  return vm;
}

/** Counters cost some speed, so exits are counted only for `--stats`. */
function translation({ translate, stats }: RunOptions): Pick<VmOptions, 'translate'> {
  if (stats) return { translate: { tier: 'auto', ...translate, countExits: true } };
  return translate === undefined ? {} : { translate };
}

/** The first run on a terminal asks where Debian is, once; elsewhere the error has the line to type. */
async function prepareImage(options: RunOptions): Promise<PreparedImage> {
  const progress = new ProgressLine(process.stderr);
  const prepare: PrepareOptions = {
    kernel: options.debianKernel,
    mirror: options.mirror,
    onProgress: (update) => progress.update(update),
  };
  try {
    return await prepareBusybox(prepare);
  } catch (error) {
    progress.finish();
    const asks = process.stdin.isTTY && process.stderr.isTTY;
    if (!(error instanceof VmError) || error.code !== 'MIRROR_UNKNOWN' || !asks) throw error;
    const mirror = await askForMirror();
    const image = await prepareBusybox({ ...prepare, mirror });
    // Only an address that has worked is remembered.
    await storeMirror(mirror);
    return image;
  } finally {
    progress.finish();
  }
}

async function askForMirror(): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    process.stderr.write(
      "viv: kernel and busybox come from Debian's packages, and this machine knows no Debian mirror.\n",
    );
    for (;;) {
      const answer = (await terminal.question('viv: address of one (http://…/debian): ')).trim();
      if (answer !== '') return answer;
    }
  } finally {
    terminal.close();
  }
}
