/** The main thread's view of a vCPU's thread, whatever the host makes threads of. */
import { VmError } from '../base/errors.ts';
import type { CountedEvent } from '../machine/deterministic.ts';
import type { DebugControl, RegionReport, TranslationStats, VcpuExit } from '../machine/vcpu.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';
import type { Profile } from './profile/profile.ts';
import type { Trace, TraceRequest } from './trace.ts';
import type { VcpuCommand, VcpuReply } from './vcpu-messages.ts';

/** A started thread as the host port gives it. */
export interface ThreadLink {
  post(command: VcpuCommand): void;
  /** Ends the thread at once, also while it runs guest code; resolves when it is gone. */
  terminate(): Promise<void>;
}

export interface ThreadEvents {
  reply(reply: VcpuReply): void;
  /** The thread died by an error of ours or of the JavaScript engine (such as no memory). */
  failed(error: unknown): void;
}

/** Starts the thread of vCPU `index`. */
export type ThreadStarter = (index: number, events: ThreadEvents) => ThreadLink;

interface Waiter {
  resolve(reply: VcpuReply): void;
  reject(error: unknown): void;
}

export class VcpuThread {
  readonly #link: ThreadLink;
  readonly #waiters: Waiter[] = [];
  #failure: VmError | undefined;
  #retired = 0n;
  #profile: Profile | undefined;
  #translation: TranslationStats | undefined;

  /** @param onEvents told what happens in a run of a machine that counts instructions */
  constructor(
    start: ThreadStarter,
    index: number,
    onEvents: (events: readonly CountedEvent[]) => void = () => undefined,
  ) {
    this.#link = start(index, {
      reply: (reply) => {
        if (reply.events !== undefined) onEvents(reply.events);
        else this.#waiters.shift()?.resolve(reply);
      },
      failed: (error) => this.#fail(error),
    });
  }

  /** Guest instructions executed up to the last exit. */
  get retired(): bigint {
    return this.#retired;
  }

  /** What was sampled up to the last exit. */
  get profile(): Profile | undefined {
    return this.#profile;
  }

  /** What translating did, up to the last exit. */
  get translation(): TranslationStats | undefined {
    return this.#translation;
  }

  /** @param resumes the record is what `save` gave, perhaps with changes, and memory was not replaced since */
  async load(record: VcpuRecord, resumes: boolean): Promise<void> {
    await this.#ask({ op: 'load', record, resumes });
  }

  async save(): Promise<VcpuRecord> {
    const { record } = await this.#ask({ op: 'save' });
    if (record === undefined) throw new Error('invariant broken: a vCPU saved nothing');
    return record;
  }

  async setDebug(control: DebugControl): Promise<void> {
    await this.#ask({ op: 'debug', control });
  }

  /** Resolves with the exit; STOP is requested through the mailbox. */
  async run(): Promise<VcpuExit> {
    const { exit, retired, profile, translation } = await this.#ask({ op: 'run' });
    if (exit === undefined) throw new Error('invariant broken: a vCPU returned without an exit');
    this.#retired = retired ?? this.#retired;
    this.#profile = profile;
    this.#translation = translation;
    return exit;
  }

  /** Steps the vCPU, noting what it executes. */
  async trace(request: TraceRequest): Promise<Trace> {
    const { trace, retired } = await this.#ask({ op: 'trace', request });
    if (trace === undefined) throw new Error('invariant broken: a vCPU traced nothing');
    this.#retired = retired ?? this.#retired;
    return trace;
  }

  /** Translated regions that contain linear address `address`, or all. */
  async regions(address: bigint | undefined): Promise<readonly RegionReport[]> {
    return (await this.#ask({ op: 'regions', address })).regions ?? [];
  }

  /** Ends the thread. What is still awaited is rejected. */
  async terminate(): Promise<void> {
    this.#fail(new Error('the machine is being taken down'));
    await this.#link.terminate();
  }

  #ask(command: VcpuCommand): Promise<VcpuReply> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#waiters.push({ resolve, reject });
      this.#link.post(command);
    });
  }

  #fail(cause: unknown): void {
    this.#failure ??= new VmError('ENGINE_FAILED', {
      message: `The virtual CPU's thread ended: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'This is a defect of Vivarium, or the host is out of memory; the machine is lost',
      cause,
    });
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#failure);
  }
}
