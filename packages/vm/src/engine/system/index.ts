/**
 * The cold part of the soft engine: everything about a vCPU that is not worth generated code. One `SystemUnit`
 * per vCPU, used by its run loop (engine/vcpu.ts) on its thread:
 *
 *   poll → run (budget ≤ instructionLimit and the time to nextDeadlineNs) → fault? deliverException → poll …
 *   `operation` is the interpreter's import `system`. HLT empties the budget: the poll then says so.
 *   While `stepping`: beforeInstruction (true: deliverException) → one instruction → afterInstruction → poll.
 */
import type { Clock, Randomness } from '../../base/ports.ts';
import type { IoBus } from '../../machine/bus.ts';
import type { VcpuMailbox } from '../../machine/mailbox.ts';
import type { VcpuRecord } from '../../machine/vcpu-state.ts';
import type { CpuModel } from '../../machine/vcpu.ts';
import { SYSTEM_NAMES } from '../../x86/system-names.ts';
import type { MemoryUnit } from '../unit.ts';
import { Apic } from './apic.ts';
import { ApicTimer } from './apic-timer.ts';
import { Control } from './control.ts';
import type { Cpu } from './cpu.ts';
import { Debug } from './debug.ts';
import { Delivery } from './delivery.ts';
import { DescriptorTables } from './descriptors.ts';
import { EventState } from './event-state.ts';
import { Identity } from './identity.ts';
import { type Delivered, Interrupts } from './interrupts.ts';
import { PortIo } from './io.ts';
import { KvmClock } from './kvmclock.ts';
import { LinearMemory } from './linear.ts';
import { Msrs } from './msr.ts';
import type { Operation, Operations } from './operation.ts';
import { PhysicalMemory } from './physical.ts';
import { EventPoll, type Next } from './poll.ts';
import { loadRecord, saveRecord, type StateParts } from './record.ts';
import { Returns } from './returns.ts';
import { Segments } from './segments.ts';
import { Stack } from './stack.ts';
import { SystemCalls } from './syscall.ts';
import { Transfers } from './transfers.ts';
import { TimeStampCounter } from './tsc.ts';

export type { Delivered, Next };
export { Cpu } from './cpu.ts';

export interface SystemEnvironment {
  readonly bus: IoBus;
  readonly clock: Clock;
  readonly random: Randomness;
  /** Of every vCPU of the machine, by index. */
  readonly mailboxes: readonly VcpuMailbox[];
  readonly model: CpuModel;
  /** Told of every interrupt, NMI and debug trap that is delivered. */
  readonly onInterrupt?: ((vector: number) => void) | undefined;
}

export interface SystemUnit {
  /** Runs cold operation `id` (x86/system-names.ts) for the record at `record`: STATUS. */
  operation(id: number, record: number): number;
  /** Delivers the fault in FAULT, RIP being the faulting instruction's. */
  deliverException(): Delivered;
  deliverInterrupt(vector: number): Delivered;
  /** Takes the mailbox and the timer into account, delivers what is due. */
  pollEvents(): Next;
  /** Clock time of the next timer event, Infinity for none: bounds budgets and sleeps. */
  nextDeadlineNs(): number;
  /** Clock time at which the timer next does anything at all, seen by the guest or not. */
  timerDeadlineNs(): number;
  /** Budget until the next poll: 1 (one block) while stepping or in a shadow, else Infinity. */
  instructionLimit(): number;
  stepping(): boolean;
  /** True: an instruction breakpoint is now a fault in FAULT. */
  beforeInstruction(): boolean;
  afterInstruction(): void;
  /** A data access while data breakpoints are armed: they trap after the instruction. */
  matchData(va: bigint, bytes: number, write: boolean): void;
  /** The APIC's page: -1 = not here. */
  mmioRead(gpa: number, size: number): number;
  /** False = not here. */
  mmioWrite(gpa: number, size: number, value: number): boolean;
  /** True once after other threads asked to drop all decoded code. */
  takeCodeFlush(): boolean;
  /** Which exceptions led to 'shutdown'. */
  shutdownReason(): string;
  load(record: VcpuRecord): void;
  save(): VcpuRecord;
}

/** Operations in the order of SYSTEM_NAMES. */
function order(parts: readonly Operations[]): Operation[] {
  const all: Operations = Object.assign({}, ...parts);
  return SYSTEM_NAMES.map((name) => {
    const operation = all[name];
    if (operation === undefined) throw new Error(`no operation ${name}`);
    return operation;
  });
}

export function createSystem(cpu: Cpu, unit: MemoryUnit, environment: SystemEnvironment): SystemUnit {
  const { bus, clock, random, mailboxes, model } = environment;
  const mailbox = mailboxes[cpu.index];
  if (mailbox === undefined) throw new Error(`no mailbox ${cpu.index}`);
  const { physicalBits } = model;
  const events = new EventState(cpu);
  const linear = new LinearMemory(cpu, unit, bus);
  const physical = new PhysicalMemory(cpu, unit);
  const tables = new DescriptorTables(cpu, linear);
  const segments = new Segments(cpu, linear, tables, unit);
  const stack = new Stack(cpu, linear);
  const delivery = new Delivery(cpu, linear, tables, segments, unit);
  const transfers = new Transfers(cpu, linear, tables, segments, stack, delivery, unit);
  const returns = new Returns(cpu, linear, tables, segments, stack, transfers, events);
  const interrupts = new Interrupts(cpu, delivery, events, environment.onInterrupt);
  const tsc = new TimeStampCounter(cpu, clock, model.tscKhz);
  const timer = new ApicTimer(clock, tsc);
  const apic = new Apic(cpu, timer, events, mailboxes, (vector) => bus.endOfInterrupt(vector));
  const kvmClock = new KvmClock(cpu, clock, tsc, physical);
  const msrs = new Msrs(cpu, unit, apic, tsc, kvmClock, physicalBits);
  const debug = new Debug(cpu, unit, events);
  const poll = new EventPoll(cpu, apic, interrupts, debug, events, mailbox, clock);
  const parts: StateParts = { cpu, unit, apic, tsc, clock: kvmClock, msrs, events };
  const operations = order([
    transfers.operations(),
    returns.operations(),
    interrupts.operations(),
    new SystemCalls(cpu, unit, events).operations(),
    segments.operations(),
    new Control(cpu, unit, apic, events, physicalBits).operations(),
    debug.operations(),
    msrs.operations(),
    new Identity(cpu, apic, tsc, clock, random, physical, model).operations(),
    new PortIo(cpu, linear, bus, debug).operations(),
  ]);
  return {
    operation: (id, record) => (operations[id] as Operation)(record),
    deliverException: () => interrupts.deliverException(),
    deliverInterrupt: (vector) => interrupts.deliverInterrupt(vector),
    pollEvents: () => poll.poll(),
    nextDeadlineNs: () => apic.deadlineNs,
    timerDeadlineNs: () => timer.deadlineNs,
    instructionLimit: () => poll.limit,
    stepping: () => debug.stepping,
    beforeInstruction: () => debug.beforeInstruction(),
    afterInstruction: () => debug.afterInstruction(),
    matchData: (va, bytes, write) => debug.matchData(va, bytes, write),
    mmioRead: (gpa, size) => (apic.owns(gpa) ? apic.readPage(gpa, size) : -1),
    mmioWrite: (gpa, size, value) => {
      if (!apic.owns(gpa)) return false;
      apic.writePage(gpa, size, value);
      return true;
    },
    takeCodeFlush: () => {
      const { flushCode } = events;
      events.flushCode = false;
      return flushCode;
    },
    shutdownReason: () => `exceptions ${interrupts.trail.join(', ')} while delivering one another`,
    load: (record) => loadRecord(parts, record),
    save: () => saveRecord(parts),
  };
}
