/** `VM.start` on Node: options a person writes → a machine that runs. */
import { open } from 'node:fs/promises';
import { VmError } from '../../base/errors.ts';
import { parseSize } from '../../base/size.ts';
import type { TranslateOptions } from '../../machine/vcpu.ts';
import { type DeterministicOptions, deterministicConfig } from '../../vm/deterministic-options.ts';
import type { EngineWish } from '../../vm/engine-choice.ts';
import type { TerminalSize } from '../../vm/guest-session.ts';
import { type KernelFiles, type VmConfig, VirtualMachine, type VmPorts } from '../../vm.ts';
import { clockOrigin, createClock } from './clock.ts';
import { nodeDecompressor } from './decompressor.ts';
import type { GdbListener } from './gdb-listener.ts';
import { type PrepareOptions, prepareBusybox } from './prepare.ts';
import { loadInterpreter } from './interp.ts';
import { freeEndedMachines, machineHasEnded } from './old-machines.ts';
import type { GuestSymbols, ProfileReport } from './profile-report.ts';
import { random } from './random.ts';
import { openRawDisk, type RawDisk } from './raw-disk.ts';
import { workerFile, workerThreads } from './threads.ts';
import { timer } from './timer.ts';

/**
 * Bytes, a path, or a function called at each start and reset, whose result is handed over: its buffer is freed when
 * the guest has it. With the latter two nobody keeps a kernel in memory.
 */
export type FileSource = Uint8Array | string | (() => Promise<Uint8Array>);

export interface VmOptions {
  /** Gives kernel and initial RAM disk; they are prepared first when they are not in the cache. */
  readonly image?: 'busybox';
  /** How to prepare the image. */
  readonly prepare?: PrepareOptions;
  /** vmlinux or bzImage; needed without an image. */
  readonly kernel?: FileSource;
  readonly initrd?: FileSource;
  /** Words added to the kernel command line. */
  readonly append?: string;
  /** False: all kernel messages on the serial console. Default true. */
  readonly quiet?: boolean;
  /** Bytes, or a size such as '512m' or '2g'. Default 256 MiB. */
  readonly memory?: number | string;
  readonly engine?: EngineWish;
  /** How guest code is translated. Default: not at all. */
  readonly translate?: TranslateOptions;
  /** Raw disk files: vda, vdb … in this order. */
  readonly disks?: readonly (string | { readonly path: string; readonly readOnly?: boolean })[];
  /** End the machine when the guest restarts or crashes, instead of booting again. */
  readonly noReboot?: boolean;
  /** Needs an initial RAM disk whose init speaks the guest protocol (docs/guest-protocol.md). */
  readonly command?: {
    readonly argv: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
    /** With a terminal of this size. */
    readonly tty?: TerminalSize;
  };
  /**
   * Serve gdb on this port of 127.0.0.1 (0: a free one) or unix socket. The guest waits before its first
   * instruction until gdb lets it run.
   */
  readonly gdb?: number | string;
  /** The guest waits before its first instruction until `resume` or `trace`. */
  readonly paused?: boolean;
  /** Sample where the guest is; `profileReport` tells. */
  readonly profile?: {
    /** Guest instructions between two samples, on average. Default 200,000. */
    readonly interval?: number;
    /** Programs that may run in the guest, or folders of such: their functions are named. */
    readonly symbols?: readonly string[];
  };
  /**
   * Counts instructions: the same inputs give the same run, instruction by instruction. Time passes only as the guest
   * executes, and skips what it sleeps; random numbers come from a seed, so nothing in such a guest is secret.
   */
  readonly deterministic?: boolean | DeterministicOptions;
  /** Ends the machine when aborted. */
  readonly signal?: AbortSignal;
}

const DEFAULT_MEMORY = 256 * 2 ** 20;
/** Instructions between samples: some thousand samples a second. */
const DEFAULT_INTERVAL = 200_000;
const DEFAULT_TRANSLATE: TranslateOptions = { tier: 'auto' };

/** A virtual machine on this host. */
export class VM extends VirtualMachine {
  #gdb: GdbListener | undefined;
  #symbols: GuestSymbols | undefined;

  /**
   * Boots a machine; resolves when its first instruction runs (or, with `gdb`, waits).
   * @throws VmError KERNEL_NOT_A_KERNEL, KERNEL_CORRUPT, MEMORY_TOO_LARGE, MEMORY_TOO_SMALL, DISK_OPEN_FAILED,
   *   FILE_NOT_FOUND, ENGINE_UNAVAILABLE, USAGE
   */
  static async start(wanted: VmOptions): Promise<VM> {
    wanted.signal?.throwIfAborted();
    const options = wanted.image === undefined ? wanted : await withImage(wanted);
    const disks: RawDisk[] = [];
    try {
      for (const disk of options.disks ?? []) {
        const { path, readOnly = false } = typeof disk === 'string' ? { path: disk } : disk;
        disks.push(await openRawDisk(path, readOnly));
      }
      const symbols = await guestSymbols(options);
      freeEndedMachines();
      const ports = await nodePorts(options.translate ?? DEFAULT_TRANSLATE);
      const vm = new VM(vmConfig(options, disks, symbols), ports);
      vm.#symbols = symbols;
      void vm.exited.then(() => {
        machineHasEnded();
        return closeAll(disks);
      });
      await vm.#begin(options);
      return vm;
    } catch (error) {
      await closeAll(disks);
      throw error;
    }
  }

  /** What to type into gdb after `target remote`; undefined without the option `gdb`. */
  get gdbAddress(): string | undefined {
    return this.#gdb?.address;
  }

  /** Where the guest spent its time (option `profile`), up to the last pause or exit. */
  profileReport(): ProfileReport | undefined {
    const { profile } = this;
    return profile === undefined ? undefined : this.#symbols?.report(profile);
  }

  async #begin({ gdb, paused = false, signal }: VmOptions): Promise<void> {
    const abort = (): void => void this.powerOff();
    signal?.addEventListener('abort', abort, { once: true });
    void this.exited.then(() => signal?.removeEventListener('abort', abort));
    try {
      await this.start({ paused: paused || gdb !== undefined });
      if (gdb === undefined) return;
      const { listenForGdb } = await import('./gdb-listener.ts');
      const listener = await listenForGdb(this.debugTarget(), gdb);
      this.#gdb = listener;
      void this.exited.then(() => listener.close());
    } catch (error) {
      await this.powerOff();
      throw error;
    }
  }
}

async function withImage(options: VmOptions): Promise<VmOptions> {
  const { kernel, initrd } = await prepareBusybox(options.prepare);
  return { kernel, initrd, ...options };
}

/** May be called twice: a machine that fails to start has ended too. */
async function closeAll(disks: RawDisk[]): Promise<void> {
  await Promise.all(disks.splice(0).map((disk) => disk.close()));
}

async function guestSymbols(options: VmOptions): Promise<GuestSymbols | undefined> {
  if (options.profile === undefined) return undefined;
  if (options.deterministic !== undefined && options.deterministic !== false) {
    throw new VmError('USAGE', {
      message: 'A deterministic machine cannot be profiled: samples would end its budgets elsewhere',
      remedy: 'Leave one of the options `profile` and `deterministic` out',
    });
  }
  const { GuestSymbols } = await import('./profile-report.ts');
  const { kernel, initrd } = await readKernelFiles(options);
  return GuestSymbols.read({ kernel, initrd, paths: options.profile.symbols ?? [] });
}

function vmConfig(options: VmOptions, disks: readonly RawDisk[], symbols?: GuestSymbols): VmConfig {
  const { memory = DEFAULT_MEMORY, command, profile } = options;
  return {
    engine: options.engine ?? 'auto',
    memoryBytes: typeof memory === 'string' ? parseSize(memory, 'memory') : memory,
    kernelFiles: () => readKernelFiles(options),
    quiet: options.quiet ?? true,
    append: options.append,
    disks,
    noReboot: options.noReboot ?? false,
    command: command === undefined ? undefined : { ...command, tty: command.tty !== undefined },
    terminal: command?.tty,
    profile:
      profile === undefined
        ? undefined
        : { interval: profile.interval ?? DEFAULT_INTERVAL, task: symbols?.kernel?.task },
    ...deterministicConfig(options.deterministic ?? false),
  };
}

async function nodePorts(translate: TranslateOptions): Promise<VmPorts> {
  const module = await loadInterpreter();
  const origin = clockOrigin();
  return {
    clock: createClock(origin),
    randomness: random,
    timer,
    decompressor: nodeDecompressor,
    threads: (shared) =>
      workerThreads(workerFile('vcpu-worker', import.meta.url), (index) => ({
        ...shared,
        index,
        module,
        clockOrigin: origin,
        translate,
      })),
  };
}

async function readKernelFiles({ kernel, initrd }: VmOptions): Promise<KernelFiles> {
  if (kernel === undefined) {
    throw new VmError('USAGE', {
      message: 'The machine has neither an image nor a kernel',
      remedy: "For example: VM.start({ image: 'busybox' })",
    });
  }
  return {
    handOver: !(kernel instanceof Uint8Array),
    kernel: await readSource(kernel, 'kernel'),
    initrd: initrd === undefined ? undefined : await readSource(initrd, 'initial RAM disk'),
  };
}

async function readSource(source: FileSource, what: string): Promise<Uint8Array> {
  if (typeof source === 'function') return source();
  if (typeof source !== 'string') return source;
  try {
    return await readAtOnce(source);
  } catch (cause) {
    throw new VmError('FILE_NOT_FOUND', {
      message: `The ${what} ${source} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'Check the path',
      cause,
    });
  }
}

/** In one piece: `readFile` takes a hundred turns for a kernel, and twice the time. */
async function readAtOnce(path: string): Promise<Uint8Array> {
  await using file = await open(path);
  const stat = await file.stat();
  // pipes and the like do not know their size
  if (!stat.isFile()) return file.readFile();
  const { size } = stat;
  const bytes = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const { bytesRead } = await file.read(bytes, at, size - at, at);
    if (bytesRead === 0) return bytes.slice(0, at);
    at += bytesRead;
  }
  return bytes;
}
