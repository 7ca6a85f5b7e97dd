/**
 * How a vCPU runs when it counts instructions (ADR 0031). Interrupts are taken at exact counts, however code was cut
 * into blocks and regions and whichever tier ran them:
 *
 *   up to BUDGET_SLACK before the next counted point         whole blocks, whose last cannot pass it
 *   from there to the point                                  one instruction per block
 *   an instruction that meets device memory                  alone
 *   a cold operation after which somebody wants attention    ends its block
 */
import type { Clock } from '../base/ports.ts';
import type { CountedEvent } from '../machine/deterministic.ts';
import type { MemoryLayout } from '../machine/layout.ts';
import type { VcpuMailbox } from '../machine/mailbox.ts';
import type { CountedParts, VcpuSampler } from '../machine/vcpu.ts';
import * as S from '../x86/state.ts';
import type { Interpreter } from './interpreter.ts';
import type { Cpu, SystemUnit } from './system/index.ts';
import { hashRam, hashRecord } from './state-hash.ts';
import { BUDGET_SLACK, STATUS } from './unit.ts';

/** Whole blocks at a time: V8's optimised code takes over when the run loop is entered again. */
const MAX_BUDGET = 1_000_000;
const EVENTS_PER_REPORT = 512;
/** So long a guest's sleep costs nothing; then, until the next input, it takes as long as on a real machine. */
const FREE_IDLE_NS = 600e9;

/** What of the vCPU it works with. */
export interface CountedMachine {
  readonly cpu: Cpu;
  readonly interpreter: Interpreter;
  readonly system: SystemUnit;
  readonly mailbox: VcpuMailbox;
  readonly layout: MemoryLayout;
  readonly sampler: VcpuSampler | undefined;
}

export class CountedRun {
  readonly #parts: CountedParts;
  readonly #m: CountedMachine;
  readonly #log: boolean;
  /** Retired before the run under way, and the budget that run began with. */
  #base = 0;
  #budget = 0;
  /** Instructions of the block under way that are retired but not taken off BUDGET yet. */
  #inBlock = 0;
  /** The next instruction meets a device. */
  #alone = false;
  /** The timer's deadline that the run under way knows of. */
  #deadlineNs = Infinity;
  #nextCheckpoint: number;
  #events: CountedEvent[] = [];
  /** Time skipped before the last input. */
  #idleFromNs = 0;

  constructor(parts: CountedParts, machine: CountedMachine) {
    this.#parts = parts;
    this.#m = machine;
    this.#log = parts.settings.log;
    this.#nextCheckpoint = parts.settings.checkpointEvery || Infinity;
    parts.clock.count = () => this.count;
  }

  /** Instructions retired: exact whenever TypeScript runs. */
  get count(): number {
    return this.#base + this.#budget - this.#m.interpreter.budget + this.#inBlock;
  }

  /** Between runs, before events are polled: what others have to say is said here. */
  between(): void {
    const { meeting, clock } = this.#parts;
    meeting.attend();
    const call = meeting.takeCall();
    if (call !== 'none') {
      if (call === 'input') this.#note({ count: this.count, kind: 'input' });
      this.#idleFromNs = clock.skippedNs;
      meeting.ask(0);
      meeting.attend();
    }
    if (this.count >= this.#nextCheckpoint) this.#checkpoint();
  }

  #checkpoint(): void {
    const { interpreter, system, layout, cpu } = this.#m;
    this.#nextCheckpoint += this.#parts.settings.checkpointEvery;
    this.#note({
      count: this.count,
      kind: 'checkpoint',
      ram: hashRam(cpu.memory.buffer, layout),
      vcpu: hashRecord(system.save()),
    });
    interpreter.budget = 0;
  }

  interrupted(vector: number): void {
    if (this.#log) this.#note({ count: this.count, kind: 'interrupt', vector });
  }

  #note(event: CountedEvent): void {
    if (!this.#log) return;
    this.#events.push(event);
    if (this.#events.length >= EVENTS_PER_REPORT) this.flush();
  }

  /** Reports what has not been reported. */
  flush(): void {
    if (this.#events.length > 0) this.#parts.report(this.#events);
    this.#events = [];
  }

  /** Halted: time goes on to the next timer event, at once unless the guest has been idle for long. */
  sleep(): void {
    const { clock, meeting } = this.#parts;
    const { mailbox, system } = this.#m;
    const deadline = system.timerDeadlineNs();
    if (deadline === Infinity || clock.skippedNs - this.#idleFromNs > FREE_IDLE_NS) {
      this.flush();
      // who calls after this line wakes the mailbox
      if (meeting.isCalled) return;
      mailbox.sleep((deadline - clock.nowNs()) / 1e6);
      if (mailbox.wantsAttention) return;
    }
    clock.skipTo(deadline);
  }

  /** Must the next run go one instruction per block? @param wanted it must for another reason */
  single(wanted: boolean): boolean {
    this.#deadlineNs = this.#m.system.timerDeadlineNs();
    return wanted || this.#alone || this.#left() <= BUDGET_SLACK;
  }

  /** Instructions to the next counted point: at least 1 after a poll. */
  #left(): number {
    return Math.min(
      this.#parts.clock.instructionsUntil(this.#deadlineNs),
      this.#nextCheckpoint - this.count,
      this.#m.sampler?.left() ?? Infinity,
    );
  }

  /** Begins a run. @param one a single block is wanted */
  begin(single: boolean, one: boolean): void {
    const { interpreter } = this.#m;
    const left = this.#left();
    const budget =
      one || this.#alone
        ? 1
        : single
          ? Math.min(left, BUDGET_SLACK)
          : Math.min(left - BUDGET_SLACK, MAX_BUDGET);
    interpreter.devicesLeave = !single;
    this.#alone = false;
    this.#budget = budget;
    interpreter.budget = budget;
  }

  /** Ends it. True: it ended before an instruction that meets a device and runs alone next; no fault. */
  finish(): boolean {
    const { interpreter, sampler } = this.#m;
    const done = this.#budget - interpreter.budget;
    this.#base += done;
    this.#budget = 0;
    interpreter.budget = 0;
    this.#alone = interpreter.takeDeviceLeave();
    sampler?.ran(done, done * this.#parts.settings.nsPerInstruction);
    return this.#alone;
  }

  /** The cold operation of a record; whatever it caused is seen before the next instruction. */
  operation(id: number, record: number): number {
    const { cpu, interpreter, system } = this.#m;
    this.#inBlock = cpu.memory.getUint16(record + S.REC.COUNT, true);
    const status = system.operation(id, record);
    this.#inBlock = 0;
    if (status === STATUS.EXIT || !this.#wantsAttention()) return status;
    interpreter.leaveSoon();
    if (status === STATUS.NEXT) cpu.rip = cpu.nextRip(record);
    return STATUS.JUMP;
  }

  /** The time inside a block, for an instruction `before` instructions from where the budget was last counted. */
  clockNs(clock: Clock, before: number): number {
    this.#inBlock = before;
    const ns = clock.nowNs();
    this.#inBlock = 0;
    return ns;
  }

  #wantsAttention(): boolean {
    const { cpu, system, mailbox } = this.#m;
    return (
      cpu.leaving ||
      mailbox.wantsAttention ||
      this.#parts.meeting.isDue ||
      system.timerDeadlineNs() !== this.#deadlineNs
    );
  }
}
