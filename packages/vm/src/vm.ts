/**
 * The composition root: from a configuration and the host's ports to a machine with its devices, firmware, vCPU
 * threads and the session with the guest's init.
 */
import { VmError } from './base/errors.ts';
import type { BlockFile, Clock, Decompressor, Randomness, Timer } from './base/ports.ts';
import type { DebugTarget } from './debug/debug-target.ts';
import type { ConsolePort } from './devices/virtio/console/port.ts';
import { acpiTables } from './firmware/acpi/acpi.ts';
import { extractVmlinux } from './firmware/kernel/vmlinux.ts';
import { ACPI_TABLES, type BootImage, WAKEUP_MAILBOX } from './firmware/loaders/boot-memory.ts';
import { loadLinux } from './firmware/loaders/linux.ts';
import {
  GUEST_PAGE,
  layoutMemory,
  type MemoryLayout,
  PageFlag,
  VCPU_BASE,
  VCPU_STRIDE,
} from './machine/layout.ts';
import {
  CountedClock,
  type CountedEvent,
  type DeterministicSettings,
  seededRandomness,
} from './machine/deterministic.ts';
import type { MachineState } from './machine/lifecycle.ts';
import { VcpuMailbox } from './machine/mailbox.ts';
import { GuestMemory } from './machine/memory.ts';
import {
  type Backends,
  createBackends,
  describeDevices,
  type PlatformConfig,
  VIRTIO_PINS,
  type VirtioConfig,
} from './machine/platform.ts';
import type { CpuModel, RegionReport, TranslationStats } from './machine/vcpu.ts';
import { chooseEngine, type EngineChoice, type EngineWish } from './vm/engine-choice.ts';
import { type GuestPort, readableOf } from './vm/guest-port.ts';
import type { GuestCommandLine } from './vm/guest-protocol.ts';
import { type GuestPorts, type GuestProcess, GuestSession, type TerminalSize } from './vm/guest-session.ts';
import { kernelCommandLine } from './vm/kernel-command-line.ts';
import { Machine, type MachineExit } from './vm/machine.ts';
import { MachineDebugTarget } from './vm/machine-debug.ts';
import type { Profile, ProfileRequest } from './vm/profile/profile.ts';
import type { Trace, TraceRequest } from './vm/trace.ts';
import { type ThreadStarter, VcpuThread } from './vm/vcpu-thread.ts';
import { wasm, type WasmMemory } from './wasm/api.ts';
import { portableModel } from './x86/cpuid.ts';

export interface KernelFiles {
  /** vmlinux or bzImage. */
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array | undefined;
  /** The kernel's bytes are handed over: they are freed as soon as guest memory has them. */
  readonly handOver: boolean;
}

export interface DiskConfig {
  readonly file: BlockFile;
  readonly readOnly: boolean;
}

export interface VmConfig {
  readonly engine: EngineWish;
  readonly memoryBytes: number;
  /** Asked at each start and reset, so that nobody has to keep a kernel in memory. */
  readonly kernelFiles: () => Promise<KernelFiles>;
  /** Fewer kernel messages. */
  readonly quiet: boolean;
  /** Words added to the kernel command line. */
  readonly append?: string | undefined;
  readonly disks: readonly DiskConfig[];
  /** End the machine when the guest restarts or crashes. */
  readonly noReboot: boolean;
  /** Run when the guest is up; its end ends every process in the guest. */
  readonly command?: GuestCommandLine | undefined;
  readonly terminal?: TerminalSize | undefined;
  /** Sample where the guest is. */
  readonly profile?: ProfileRequest | undefined;
  /** Counts instructions: the same inputs give the same run. */
  readonly deterministic?: DeterministicSettings | undefined;
  /** Told what happens in such a run, in order. */
  readonly onEvent?: ((event: CountedEvent) => void) | undefined;
}

/** What a vCPU's thread needs besides the engine's module. Can be sent to it. */
export interface SharedParts {
  readonly memory: WasmMemory;
  readonly layout: MemoryLayout;
  readonly platform: PlatformConfig;
  readonly model: CpuModel;
  readonly profile?: ProfileRequest | undefined;
  readonly deterministic?: DeterministicSettings | undefined;
}

export interface VmPorts {
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly timer: Timer;
  readonly decompressor: Decompressor;
  readonly threads: (shared: SharedParts) => ThreadStarter;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How long a guest may take to shut down before the plug is pulled. */
const STOP_TIMEOUT_MS = 10_000;

const CONSOLE_PORTS = ['terminal', 'viv.stdin', 'viv.stdout', 'viv.stderr', 'viv.control'] as const;

/** A virtual machine. `VM.start` of the entry points makes one. */
export class VirtualMachine implements AsyncDisposable {
  readonly engine: EngineChoice;
  /** The command given at start. */
  readonly command: GuestProcess | undefined;
  /** The serial console's output; unread, the newest 64 KiB are kept. */
  readonly serial: ReadableStream<Uint8Array>;
  readonly #machine: Machine;
  readonly #session: GuestSession;
  /** Gone with the machine, so that this object does not keep the guest's memory. */
  #backends: Backends | undefined;
  /** Not a closure of the constructor, whose variables it would keep. */
  readonly #existing: () => Backends | undefined = () => this.#backends;
  readonly #timer: Timer;

  constructor(config: VmConfig, ports: VmPorts) {
    this.engine = chooseEngine(config.engine);
    const platform = platformConfig(config.disks);
    const layout = layoutMemory(config.memoryBytes);
    const memory = allocate(layout);
    const disks = Object.fromEntries(config.disks.map(({ file }, i) => [diskName(i), file]));
    const { deterministic, onEvent } = config;
    const backends = createBackends(memory.buffer, layout, platform, {
      ...ports,
      ...(deterministic === undefined ? {} : countedPorts(deterministic)),
      disks,
    });
    this.#backends = backends;
    this.#session = new GuestSession(guestPorts(this.#existing, backends));
    this.command =
      config.command === undefined ? undefined : this.#session.start('run', config.command, config.terminal);
    const mailboxes = Array.from(
      { length: layout.vcpus },
      (_, i) => new VcpuMailbox(memory.buffer, VCPU_BASE + i * VCPU_STRIDE),
    );
    const startThread = ports.threads({
      memory,
      layout,
      platform,
      model: portableModel(layout.vcpus),
      profile: config.profile,
      deterministic,
    });
    this.#machine = new Machine({
      memory: new GuestMemory(memory.buffer, layout, mailboxes),
      mailboxes,
      backends,
      threads: mailboxes.map(
        (_, i) => new VcpuThread(startThread, i, (events) => events.forEach((event) => onEvent?.(event))),
      ),
      boot: () => bootImage(config, platform, layout, ports.decompressor),
      timer: ports.timer,
      noReboot: config.noReboot,
      onBoot: () => this.#session.begin(),
    });
    this.#timer = ports.timer;
    this.serial = readableOf(backends.serial.output);
    void this.#machine.exited.then((exit) => {
      this.#backends = undefined;
      this.#session.end(endError(exit));
    });
  }

  get state(): MachineState {
    return this.#machine.state;
  }

  /** Resolves when the machine has ended and everything of it is gone. Never rejects. */
  get exited(): Promise<MachineExit> {
    return this.#machine.exited;
  }

  /** The guest's kernel release, when its init is up (again, after a reset). Rejects when the machine ends before. */
  get ready(): Promise<string> {
    return this.#session.ready;
  }

  /** Guest instructions executed, up to the last pause or exit. */
  get retired(): bigint {
    return this.#machine.retired;
  }

  /** What was sampled (option `profile`), up to the last pause or exit. */
  get profile(): Profile | undefined {
    return this.#machine.profile;
  }

  /** What translating did for the first vCPU, up to the last pause or exit; undefined when it is off. */
  get translation(): TranslationStats | undefined {
    return this.#machine.translation;
  }

  /** Starts the guest; with `paused` its first instruction waits for `resume` or a debugger. */
  start(options: { readonly paused?: boolean } = {}): Promise<void> {
    return this.#machine.start(options);
  }

  pause(): Promise<void> {
    return this.#machine.pause();
  }

  resume(): Promise<void> {
    return this.#machine.resume();
  }

  reset(): Promise<void> {
    return this.#machine.reset();
  }

  powerButton(): Promise<void> {
    return this.#machine.powerButton();
  }

  /** Pulls the plug. */
  powerOff(): Promise<void> {
    return this.#machine.powerOff();
  }

  /** Asks the guest to shut down, and pulls the plug when it does not within `timeoutMs`. */
  async stop(timeoutMs: number = STOP_TIMEOUT_MS): Promise<void> {
    if (this.state === 'paused') await this.resume();
    if (this.state === 'running' && this.#session.powerOff()) {
      const timeout = Promise.withResolvers<void>();
      const cancel = this.#timer.after(timeoutMs, timeout.resolve);
      await Promise.race([this.exited, timeout.promise]);
      cancel();
    }
    await this.powerOff();
  }

  /** Types into the serial console. */
  async writeSerial(bytes: Uint8Array): Promise<void> {
    await this.#backends?.serial.write(bytes);
  }

  /** Starts a command beside what runs; it begins when the commands before it have ended. */
  spawn(command: GuestCommandLine, size?: TerminalSize): GuestProcess {
    return this.#session.start('exec', command, size);
  }

  /** Runs a command to its end, without input, and collects what it writes. */
  async exec(argv: readonly string[], options: Partial<GuestCommandLine> = {}): Promise<ExecResult> {
    const process = this.spawn({ ...options, argv, tty: false });
    const [exitCode, stdout, stderr] = await Promise.all([
      process.exitCode,
      collect(process.stdout),
      collect(process.stderr),
      process.stdin.close(),
    ]);
    return { exitCode, stdout, stderr };
  }

  /** The machine for a debugger; taking it does not stop the machine. */
  debugTarget(): DebugTarget {
    return new MachineDebugTarget(this.#machine);
  }

  /** Steps the first vCPU and gives what it executed; the machine is paused afterwards. */
  trace(request: TraceRequest): Promise<Trace> {
    return this.#machine.debugTrace(request);
  }

  /**
   * Translated regions that contain linear address `address`, or all, if the machine was started to keep them
   * (option `translate`). It is paused afterwards.
   */
  regions(address?: bigint): Promise<readonly RegionReport[]> {
    return this.#machine.debugRegions(address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.powerOff();
  }
}

/** What back ends of a deterministic machine get instead of the host's clock and randomness. */
function countedPorts(settings: DeterministicSettings): {
  readonly meets: true;
  readonly clock: Clock;
  readonly randomness: Randomness;
} {
  return {
    meets: true,
    clock: new CountedClock(settings),
    randomness: seededRandomness(settings.seed),
  };
}

function diskName(index: number): string {
  return `disk${index}`;
}

/** Slot order: console and rng first, then the disks. */
function platformConfig(disks: readonly DiskConfig[]): PlatformConfig {
  const most = VIRTIO_PINS.length - 2;
  if (disks.length > most) {
    throw new VmError('USAGE', {
      message: `${disks.length} disks were asked for; a machine has at most ${most}`,
      remedy: 'Attach fewer disks',
    });
  }
  const blk = disks.map(
    ({ readOnly }, i): VirtioConfig => ({ type: 'blk', disk: diskName(i), readOnly, serial: diskName(i) }),
  );
  const ports = CONSOLE_PORTS.map((name, i) => (i === 0 ? { name, console: true } : { name }));
  return { virtio: [{ type: 'console', ports }, { type: 'rng' }, ...blk] };
}

function allocate(layout: MemoryLayout): WasmMemory {
  let memory: WasmMemory;
  try {
    memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
  } catch (cause) {
    throw new VmError('MEMORY_TOO_LARGE', {
      message: `The host does not give ${Math.ceil(layout.ramBytes / 2 ** 20)} MiB of memory for the guest`,
      remedy: 'Ask for less with -m, or end other programs',
      cause,
    });
  }
  new Uint8Array(memory.buffer, layout.pageFlags, layout.ramBytes / GUEST_PAGE).fill(PageFlag.PRESENT);
  return memory;
}

type ConsolePortName = (typeof CONSOLE_PORTS)[number];

/** Closures that hold the queue of output, which may outlive the machine, and nothing else of it. */
function guestPort(
  existing: () => Backends | undefined,
  name: ConsolePortName,
  output: ConsolePort['output'],
): GuestPort {
  return {
    read: () => output.read(),
    write: async (bytes) => existing()?.consolePorts.get(name)?.write(bytes),
    close: () => existing()?.consolePorts.get(name)?.endInput(),
    open: () => existing()?.consolePorts.get(name)?.openInput(),
  };
}

/** @param existing the back ends as long as the machine exists */
function guestPorts(existing: () => Backends | undefined, { consolePorts }: Backends): GuestPorts {
  const port = (name: ConsolePortName): GuestPort => {
    const found = consolePorts.get(name);
    if (found === undefined) throw new Error(`invariant broken: no console port ${name}`);
    return guestPort(existing, name, found.output);
  };
  return {
    terminal: port('terminal'),
    stdin: port('viv.stdin'),
    stdout: port('viv.stdout'),
    stderr: port('viv.stderr'),
    control: port('viv.control'),
  };
}

async function bootImage(
  config: VmConfig,
  platform: PlatformConfig,
  layout: MemoryLayout,
  decompressor: Decompressor,
): Promise<BootImage> {
  const { kernel, initrd, handOver } = await config.kernelFiles();
  const vmlinux = await unpacked(kernel, decompressor);
  const cmdline = kernelCommandLine(config.quiet, config.append);
  const image = loadLinux({ kernel: vmlinux, initrd, cmdline, layout });
  const release = (): void => {
    if (vmlinux !== kernel) free(vmlinux);
    if (handOver) free(kernel);
  };
  const { ioapic, serial, i8042, cmos, acpi, virtio } = describeDevices(platform);
  const tables = acpiTables(
    {
      vcpus: layout.vcpus,
      localApicAddress: 0xfee00000,
      ioApic: { id: ioapic.id, address: ioapic.gpa, gsiBase: ioapic.gsiBase },
      ...(layout.vcpus > 1 ? { wakeupMailbox: WAKEUP_MAILBOX } : {}),
      resetPort: acpi.resetPort,
      sleepControlPort: acpi.sleepControlPort,
      sleepStatusPort: acpi.sleepStatusPort,
      serial: { port: serial.port, gsi: serial.irq },
      keyboard: { gsi: i8042.irq },
      clock: { port: cmos.port, gsi: cmos.irq },
      events: { gsi: acpi.gedIrq, port: acpi.eventPort, powerButtonBit: acpi.powerButtonBit },
      virtio: virtio.map(({ gpa, length, irq }) => ({ base: gpa, size: length, gsi: irq })),
    },
    ACPI_TABLES,
  );
  return { ...image, pieces: [...image.pieces, { gpa: ACPI_TABLES, bytes: tables }], release };
}

/**
 * Gives memory back now: 50 MB of an idle process would otherwise wait for a garbage collection that does not come.
 * Bytes that are only part of a buffer are left alone.
 */
function free(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && !buffer.detached && buffer.byteLength === bytes.byteLength)
    buffer.transfer(0);
}

/** A kernel compressed in a way the host does not know is left to unpack itself, slowly, in the guest. */
async function unpacked(kernel: Uint8Array, decompressor: Decompressor): Promise<Uint8Array> {
  try {
    return await extractVmlinux(kernel, decompressor);
  } catch (error) {
    if (error instanceof VmError && error.data['compression'] === 'unknown') return kernel;
    throw error;
  }
}

/** What a machine's end means to those who wait for its guest; undefined when the guest ended it. */
function endError(exit: MachineExit): VmError | undefined {
  switch (exit.reason) {
    case 'poweroff':
      return undefined;
    case 'stopped':
      return new VmError('VM_STATE', { message: 'The machine was switched off', remedy: 'Start a new one' });
    case 'reset':
      return new VmError('GUEST_CRASHED', {
        message: 'The guest restarted before its command ended, by itself or after a kernel panic',
        remedy: "Look at the kernel's messages: viv run --console",
      });
    case 'crashed':
    case 'failed':
      return exit.error;
  }
}

async function collect(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of stream) text += decoder.decode(bytes, { stream: true });
  return text + decoder.decode();
}
