/**
 * Software interrupts, and the delivery of faults, traps and interrupts with what follows from faults on the way:
 * serial handling, double fault, shutdown (SDM 3A, table 6-5).
 */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import type { Cpu } from './cpu.ts';
import type { Delivery } from './delivery.ts';
import type { EventState } from './event-state.ts';
import type { Operations } from './operation.ts';

export type Delivered = 'delivered' | 'shutdown';

const CONTRIBUTORY: ReadonlySet<number> = new Set([VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP]);
/** DR7: general detect, cleared when its exception is delivered. */
const DR7_GD = 0x2000;

/** Does `next`, met while delivering `first`, make a double fault? */
function isDouble(first: number, next: number): boolean {
  if (first === VECTOR.PF) return next === VECTOR.PF || CONTRIBUTORY.has(next);
  return CONTRIBUTORY.has(first) && CONTRIBUTORY.has(next);
}

export class Interrupts {
  /** Vectors met on the way to a shutdown, for its report. */
  readonly trail: number[] = [];
  readonly #cpu: Cpu;
  readonly #delivery: Delivery;
  readonly #events: EventState;
  readonly #onInterrupt: (vector: number) => void;

  constructor(
    cpu: Cpu,
    delivery: Delivery,
    events: EventState,
    onInterrupt: (vector: number) => void = () => undefined,
  ) {
    this.#cpu = cpu;
    this.#delivery = delivery;
    this.#events = events;
    this.#onInterrupt = onInterrupt;
  }

  operations(): Operations {
    const cpu = this.#cpu;
    return {
      INT: (record) => this.#software(record, Number(cpu.get64(S.ARG0) & 0xffn), true),
      INT3: (record) => this.#software(record, VECTOR.BP, true),
      INTO: (record) => this.#software(record, VECTOR.OF, true),
      INT1: (record) => this.#software(record, VECTOR.DB, false),
    };
  }

  #software(record: number, vector: number, software: boolean): number {
    const cpu = this.#cpu;
    const rip = cpu.nextRip(record);
    if (!this.#delivery.deliver({ vector, errorCode: null, software, rip, flags: cpu.rflags }))
      return STATUS.EXIT;
    this.#events.skipTrap = true;
    return STATUS.JUMP;
  }

  /** Delivers the fault in FAULT for the instruction at RIP. */
  deliverException(): Delivered {
    const cpu = this.#cpu;
    this.trail.length = 0;
    this.#events.activity = 'running';
    let fault = cpu.get32(S.FAULT);
    for (;;) {
      const vector = fault & 0xff;
      this.trail.push(vector);
      const errorCode = (fault & 0x100) === 0 ? null : cpu.get32(S.FAULT_CODE);
      cpu.set32(S.FAULT, 0);
      if (vector === VECTOR.PF) cpu.set64(S.CR2, cpu.get64(S.FAULT_ADDRESS));
      const flags = cpu.rflags | (vector === VECTOR.DB ? 0 : S.FLAG.RF);
      if (vector === VECTOR.DB) cpu.set32(S.DR + 56, cpu.get32(S.DR + 56) & ~DR7_GD);
      if (this.#delivery.deliver({ vector, errorCode, software: false, rip: cpu.rip, flags })) {
        this.#events.skipTrap = true;
        return 'delivered';
      }
      const next = cpu.get32(S.FAULT);
      if (vector === VECTOR.DF && isDouble(VECTOR.PF, next & 0xff)) {
        this.trail.push(next & 0xff);
        cpu.set32(S.FAULT, 0);
        this.#events.activity = 'shutdown';
        return 'shutdown';
      }
      if (isDouble(vector, next & 0xff)) {
        this.trail.push(next & 0xff);
        cpu.set32(S.FAULT_CODE, 0);
        fault = VECTOR.DF | 0x100;
      } else fault = next;
    }
  }

  /** Delivers an interrupt, NMI or debug trap at the boundary before RIP. */
  deliverInterrupt(vector: number): Delivered {
    const cpu = this.#cpu;
    this.#events.activity = 'running';
    this.#onInterrupt(vector);
    if (vector === VECTOR.DB) cpu.set32(S.DR + 56, cpu.get32(S.DR + 56) & ~DR7_GD);
    const event = { vector, errorCode: null, software: false, rip: cpu.rip, flags: cpu.rflags };
    return this.#delivery.deliver(event) ? 'delivered' : this.deliverException();
  }
}
