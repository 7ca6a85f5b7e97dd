/**
 * What happens between instructions, in the order of SDM 3A, table 6-2: requests from other threads, debug
 * traps, NMI, interrupts. The run loop asks at block boundaries when the mailbox or the budget says so.
 */
import type { Clock } from '../../base/ports.ts';
import { Request, type VcpuMailbox } from '../../machine/mailbox.ts';
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import type { Apic } from './apic.ts';
import type { Cpu } from './cpu.ts';
import type { Debug } from './debug.ts';
import type { EventState } from './event-state.ts';
import type { Delivered, Interrupts } from './interrupts.ts';

/** `run` at RIP; sleep on the mailbox until `nextDeadlineNs` (`halt`); or leave the vCPU's loop. */
export type Next = 'run' | 'halt' | 'stop' | 'reset' | 'shutdown';

export class EventPoll {
  readonly #cpu: Cpu;
  readonly #apic: Apic;
  readonly #interrupts: Interrupts;
  readonly #debug: Debug;
  readonly #events: EventState;
  readonly #mailbox: VcpuMailbox;
  readonly #clock: Clock;

  constructor(
    cpu: Cpu,
    apic: Apic,
    interrupts: Interrupts,
    debug: Debug,
    events: EventState,
    mailbox: VcpuMailbox,
    clock: Clock,
  ) {
    this.#cpu = cpu;
    this.#apic = apic;
    this.#interrupts = interrupts;
    this.#debug = debug;
    this.#events = events;
    this.#mailbox = mailbox;
    this.#clock = clock;
  }

  poll(): Next {
    const events = this.#events;
    if (this.#mailbox.takeAttention()) {
      const end = this.#takeMail();
      if (end !== null) return end;
    }
    if (events.activity === 'shutdown') return 'shutdown';
    if (events.activity === 'wait-for-sipi') return 'halt';
    this.#apic.expire(this.#clock.nowNs());
    if (this.#deliver() === 'shutdown') return 'shutdown';
    this.#cpu.set32(S.INTERRUPT_WINDOW, this.#apic.pending() >= 0 ? 1 : 0);
    return this.#halted() ? 'halt' : 'run';
  }

  /** What others left: whoever leaves something calls for attention after it. */
  #takeMail(): Next | null {
    const requests = this.#mailbox.takeRequests();
    if ((requests & Request.FLUSH_CODE) !== 0) this.#events.flushCode = true;
    if ((requests & Request.NMI) !== 0) this.#events.nmiPending = true;
    this.#apic.takePosted();
    if ((requests & Request.RESET) !== 0) return 'reset';
    return (requests & Request.STOP) !== 0 ? 'stop' : null;
  }

  #halted(): boolean {
    return this.#events.activity === 'halted';
  }

  #deliver(): Delivered {
    const cpu = this.#cpu;
    const events = this.#events;
    if (cpu.get32(S.FAULT) !== 0 && this.#interrupts.deliverException() === 'shutdown') return 'shutdown';
    if (events.acknowledged !== null) {
      const vector = events.acknowledged;
      events.acknowledged = null;
      return this.#interrupts.deliverInterrupt(vector);
    }
    const { shadow } = events;
    if (shadow !== 2 && this.#debug.takeTraps()) {
      if (this.#interrupts.deliverInterrupt(VECTOR.DB) === 'shutdown') return 'shutdown';
    }
    if (shadow !== 0) return 'delivered';
    if (events.nmiPending && !events.nmiBlocked) {
      events.nmiPending = false;
      events.nmiBlocked = true;
      return this.#interrupts.deliverInterrupt(VECTOR.NMI);
    }
    if ((cpu.systemFlags & S.FLAG.IF) === 0) return 'delivered';
    const vector = this.#apic.pending();
    if (vector < 0) return 'delivered';
    this.#apic.acknowledge(vector);
    return this.#interrupts.deliverInterrupt(vector);
  }

  /** How many instructions may run before the next poll: 1 while a shadow holds something back. */
  get limit(): number {
    const events = this.#events;
    if (this.#debug.stepping) return 1;
    if (events.shadow === 0) return Infinity;
    const waiting = events.nmiPending || this.#apic.pending() >= 0 || this.#cpu.get32(S.DEBUG_PENDING) !== 0;
    return waiting ? 1 : Infinity;
  }
}
