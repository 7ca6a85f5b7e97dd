/**
 * A machine that runs: guest memory with a kernel in it, vCPU threads, devices' back ends, and the lifecycle that
 * holds them together. It knows nothing of the guest's user space.
 */
import { assert, VmError } from '../base/errors.ts';
import type { Timer } from '../base/ports.ts';
import type { BootImage } from '../firmware/loaders/boot-memory.ts';
import { Lifecycle, type MachineState } from '../machine/lifecycle.ts';
import type { VcpuMailbox } from '../machine/mailbox.ts';
import { Request } from '../machine/mailbox.ts';
import type { GuestMemory } from '../machine/memory.ts';
import type { Backends, GuestRequest } from '../machine/platform.ts';
import type { DebugControl, RegionReport, TranslationStats, VcpuExit } from '../machine/vcpu.ts';
import { resetVcpu } from '../machine/vcpu-reset.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';
import type { Profile } from './profile/profile.ts';
import type { Trace, TraceRequest } from './trace.ts';
import type { VcpuThread } from './vcpu-thread.ts';

export interface MachineExit {
  /**
   * 'poweroff': the guest switched itself off. 'reset': it asked for a restart and `noReboot` forbids one.
   * 'stopped': the host pulled the plug. 'crashed': triple fault with `noReboot`. 'failed': a fault of ours.
   */
  readonly reason: 'poweroff' | 'reset' | 'stopped' | 'crashed' | 'failed';
  readonly error?: VmError;
}

export interface MachineParts {
  readonly memory: GuestMemory;
  readonly mailboxes: readonly VcpuMailbox[];
  readonly backends: Backends;
  readonly threads: readonly VcpuThread[];
  /** The kernel and all that goes with it, made anew for each start. */
  readonly boot: () => Promise<BootImage>;
  readonly timer: Timer;
  /** End the machine instead of restarting it. */
  readonly noReboot: boolean;
  /** The guest is about to begin from nothing (start and every reset). */
  readonly onBoot: () => void;
}

/** A vCPU looks at its mailbox every millisecond; only a defect of ours makes it deaf. */
const HALT_TIMEOUT_MS = 10_000;

export type DebugExit = Extract<VcpuExit, { kind: 'debug' }>;

export class Machine {
  /** Gone with the machine: whoever still holds this object must not hold the guest's memory. */
  #existing: MachineParts | undefined;
  #retired = 0n;
  #profile: Profile | undefined;
  #translation: TranslationStats | undefined;
  readonly #lifecycle: Lifecycle = new Lifecycle();
  readonly #exited: PromiseWithResolvers<MachineExit> = Promise.withResolvers<MachineExit>();
  /** The runs under way, one per vCPU; empty while stopped. */
  #runs: Promise<VcpuExit | undefined>[] = [];
  #halting = false;
  #paused: VcpuRecord[] | undefined;
  /** Told of debug exits; the machine is paused by then. */
  onDebugExit: (exit: DebugExit) => void = () => undefined;

  constructor(parts: MachineParts) {
    this.#existing = parts;
    parts.backends.onRequest((request) => this.#guestRequest(request));
  }

  get state(): MachineState {
    return this.#lifecycle.state;
  }

  /** Resolves once, when the machine has ended and everything of it is gone. Never rejects. */
  get exited(): Promise<MachineExit> {
    return this.#exited.promise;
  }

  get memory(): GuestMemory {
    return this.#parts.memory;
  }

  get #parts(): MachineParts {
    assert(this.#existing !== undefined, 'the machine has ended');
    return this.#existing;
  }

  /** Guest instructions executed by all vCPUs, up to their last exits. */
  get retired(): bigint {
    const threads = this.#existing?.threads ?? [];
    return threads.reduce((sum, thread) => sum + thread.retired, this.#retired);
  }

  /** What was sampled of the first vCPU, up to its last exit. */
  get profile(): Profile | undefined {
    return this.#existing === undefined ? this.#profile : this.#existing.threads[0]?.profile;
  }

  /** What translating did for the first vCPU, up to its last exit. */
  get translation(): TranslationStats | undefined {
    return this.#existing?.threads[0]?.translation ?? this.#translation;
  }

  /** Boots the guest; with `paused` its first instruction waits for `resume`. */
  async start(options: { readonly paused?: boolean } = {}): Promise<void> {
    await this.#lifecycle.perform('start', async () => {
      await this.#loadGuest();
      return this.#begin(options.paused === true);
    });
  }

  /** Stops the vCPUs and waits for I/O in flight. The guest's clock stands still too. */
  pause(): Promise<void> {
    return this.#lifecycle.perform('pause', async () => {
      await this.#halt();
      await this.#parts.backends.pause();
      this.#paused = await this.#saveVcpus();
      return 'paused';
    });
  }

  resume(): Promise<void> {
    return this.#lifecycle.perform('resume', async () => {
      await this.#each(async (thread) => thread.setDebug({ singleStep: false, breakpoints: [] }));
      await this.#loadVcpus(this.#paused ?? [], true);
      this.#paused = undefined;
      this.#run();
      return 'running';
    });
  }

  /** Restarts the guest as its reset button would; a paused machine stays paused. */
  reset(): Promise<void> {
    return this.#lifecycle.perform('reset', async () => {
      const wasPaused = this.state === 'paused';
      await this.#halt();
      await this.#parts.backends.pause();
      await this.#loadGuest();
      return this.#begin(wasPaused);
    });
  }

  /** Presses the power button; what the guest makes of it is its own affair. */
  powerButton(): Promise<void> {
    return this.#lifecycle.perform('powerButton', async () => {
      this.#parts.backends.pressPowerButton();
      return 'running';
    });
  }

  /** Pulls the plug. Resolves when the machine is gone. */
  powerOff(): Promise<void> {
    return this.#end({ reason: 'stopped' });
  }

  // ---- for a debugger: vCPUs stop without the rest of the machine ----

  /** Stops the vCPUs, if they run, and gives their states. */
  async debugStop(): Promise<void> {
    await this.#lifecycle.perform('debug', async () => {
      if (this.state === 'running') {
        await this.#halt();
        this.#paused = await this.#saveVcpus();
      }
      return 'paused';
    });
  }

  async debugRun(control: DebugControl): Promise<void> {
    await this.#lifecycle.perform('resume', async () => {
      await this.#each(async (thread) => thread.setDebug(control));
      this.#paused = undefined;
      this.#run();
      return 'running';
    });
  }

  /** The stopped vCPUs' states, to read or, followed by `debugWrite`, to change. */
  debugRecords(): readonly VcpuRecord[] {
    return this.#paused ?? [];
  }

  async debugWrite(records: readonly VcpuRecord[]): Promise<void> {
    await this.#lifecycle.perform('resume', async () => {
      await this.#loadVcpus(records, true);
      this.#paused = [...records];
      return 'paused';
    });
  }

  /** Stops the machine if it runs, steps its first vCPU, and leaves the machine paused. */
  async debugTrace(request: TraceRequest): Promise<Trace> {
    let trace: Trace = { entries: [] };
    await this.#lifecycle.perform('debug', async () => {
      const { mailboxes, backends, threads } = this.#parts;
      if (this.state === 'running') await this.#halt();
      for (const mailbox of mailboxes) mailbox.withdraw(Request.STOP);
      backends.start();
      trace = (await threads[0]?.trace(request)) ?? trace;
      this.#paused = await this.#saveVcpus();
      return 'paused';
    });
    return trace;
  }

  /** Translated regions of the first vCPU that contain `address`, or all; the machine is paused afterwards. */
  async debugRegions(address: bigint | undefined): Promise<readonly RegionReport[]> {
    await this.debugStop();
    return (await this.#parts.threads[0]?.regions(address)) ?? [];
  }

  // ---- inside ----

  /** A machine whose kernel cannot be loaded ends, with the loader's error. */
  async #loadGuest(): Promise<void> {
    try {
      await this.#place(await this.#parts.boot());
    } catch (error) {
      void this.#end({ reason: 'failed', error: asVmError(error) });
      throw error;
    }
  }

  async #place(image: BootImage): Promise<void> {
    const { backends, mailboxes, memory, onBoot } = this.#parts;
    backends.reset();
    for (const mailbox of mailboxes) mailbox.reset();
    for (const { gpa, bytes, zeros = 0 } of image.pieces) {
      const placed =
        memory.write(gpa, bytes) && (zeros === 0 || memory.write(gpa + bytes.length, new Uint8Array(zeros)));
      if (!placed) throw new Error(`invariant broken: boot data at 0x${gpa.toString(16)} is outside RAM`);
    }
    image.release?.();
    onBoot();
    const records = this.#parts.threads.map((_, i) => (i === 0 ? image.vcpu : resetVcpu(i)));
    await this.#loadVcpus(records, false);
  }

  async #begin(paused: boolean): Promise<MachineState> {
    if (!paused) this.#run();
    else this.#paused = await this.#saveVcpus();
    return paused ? 'paused' : 'running';
  }

  #each<T>(work: (thread: VcpuThread, index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#parts.threads.map(work));
  }

  #saveVcpus(): Promise<VcpuRecord[]> {
    return this.#each((thread) => thread.save());
  }

  async #loadVcpus(records: readonly VcpuRecord[], resumes: boolean): Promise<void> {
    await this.#each(async (thread, i) => {
      const record = records[i];
      if (record !== undefined) await thread.load(record, resumes);
    });
  }

  #run(): void {
    for (const mailbox of this.#parts.mailboxes) mailbox.withdraw(Request.STOP);
    this.#parts.backends.start();
    this.#runs = this.#parts.threads.map((thread) =>
      thread.run().then(
        (exit) => {
          this.#vcpuExited(exit);
          return exit;
        },
        (error: unknown) => {
          void this.#end({ reason: 'failed', error: asVmError(error) });
          return undefined;
        },
      ),
    );
  }

  /** Makes every vCPU leave its run loop. A thread that does not obey is ended, and with it the machine. */
  async #halt(): Promise<void> {
    this.#halting = true;
    this.#parts.backends.hurry();
    for (const mailbox of this.#parts.mailboxes) mailbox.request(Request.STOP);
    const cancel = this.#parts.timer.after(HALT_TIMEOUT_MS, () => {
      void this.#each((thread) => thread.terminate());
    });
    await Promise.all(this.#runs);
    cancel();
    this.#runs = [];
    this.#halting = false;
  }

  /** 'stopped' and 'reset' need nothing here: whoever asked for them goes on from there. */
  #vcpuExited(exit: VcpuExit): void {
    switch (exit.kind) {
      case 'shutdown':
        this.#restart('crashed', exit.why);
        break;
      case 'debug':
        // A stop by the host at the same moment comes first; it is a stop all the same.
        if (!this.#halting) void this.debugStop().then(() => this.onDebugExit(exit), ignoreEnded);
        break;
      case 'stopped':
      case 'reset':
        break;
    }
  }

  #guestRequest(request: GuestRequest): void {
    if (request === 'poweroff') void this.#end({ reason: 'poweroff' });
    else this.#restart('reset', 'the guest asked for a reset');
  }

  #restart(reason: 'reset' | 'crashed', why: string): void {
    if (!this.#parts.noReboot) {
      this.reset().catch(ignoreEnded);
      return;
    }
    if (reason === 'reset') {
      void this.#end({ reason });
      return;
    }
    const error = new VmError('GUEST_CRASHED', {
      message: `The guest's processor shut down: ${why}`,
      remedy: 'Look at the end of the serial console: viv run --console',
    });
    void this.#end({ reason, error });
  }

  #end(exit: MachineExit): Promise<void> {
    return this.#lifecycle.end(async () => {
      await this.#halt();
      await this.#each((thread) => thread.terminate());
      await this.#parts.backends.stop();
      this.#retired = this.retired;
      this.#profile = this.profile;
      this.#translation = this.translation;
      this.#existing = undefined;
      this.#paused = undefined;
      this.#exited.resolve(exit);
    });
  }
}

/** An operation that came too late, or ended the machine: `exited` tells. */
function ignoreEnded(): void {}

function asVmError(error: unknown): VmError {
  if (error instanceof VmError) return error;
  return new VmError('ENGINE_FAILED', {
    message: error instanceof Error ? error.message : String(error),
    remedy: 'This is a defect of Vivarium: please report it',
    cause: error,
  });
}
