/** The hardware-reduced ACPI registers: power-off, reset, and the event register with its interrupt. */
import type { InterruptLines } from '../ioapic/device.ts';
import {
  ACPI_PORT,
  Event,
  EVENT_PORT,
  GED_IRQ,
  RESET_VALUE,
  S5_SLEEP_TYPE,
  SLEEP_CONTROL_PORT,
  SLEEP_ENABLE,
  SLEEP_STATUS_PORT,
} from './regs.ts';
import type { AcpiState } from './state.ts';

/** What the guest can do to the whole machine. Both take effect at once, from the vCPU's thread. */
export interface MachineRequests {
  reset(): void;
  powerOff(): void;
}

export class AcpiRegisters {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #lines: InterruptLines;
  readonly #machine: MachineRequests;

  constructor(
    buffer: SharedArrayBuffer,
    byteOffset: number,
    lines: InterruptLines,
    machine: MachineRequests,
  ) {
    this.#words = new Int32Array(buffer, byteOffset, 1);
    this.#lines = lines;
    this.#machine = machine;
  }

  reset(): void {
    Atomics.store(this.#words, 0, 0);
    this.#lines.set(GED_IRQ, false);
  }

  /** @param offset from ACPI_PORT */
  read(offset: number): number {
    const port = ACPI_PORT + offset;
    if (port === EVENT_PORT) {
      const events = Atomics.exchange(this.#words, 0, 0);
      this.#lines.set(GED_IRQ, false);
      return events;
    }
    return port === SLEEP_CONTROL_PORT || port === SLEEP_STATUS_PORT ? 0 : 0xff;
  }

  write(offset: number, value: number): void {
    if (ACPI_PORT + offset !== SLEEP_CONTROL_PORT) return;
    const sleepType = (value >> 2) & 7;
    if ((value & SLEEP_ENABLE) !== 0) {
      if (sleepType === S5_SLEEP_TYPE) this.#machine.powerOff();
    } else if (value === RESET_VALUE) {
      this.#machine.reset();
    }
  }

  /** Main thread: somebody pressed the power button. */
  pressPowerButton(): void {
    Atomics.or(this.#words, 0, Event.POWER_BUTTON);
    this.#lines.pulse(GED_IRQ);
  }

  save(): AcpiState {
    return { kind: 'acpi', version: 1, events: Atomics.load(this.#words, 0) };
  }

  load(state: AcpiState): void {
    this.reset();
    Atomics.store(this.#words, 0, state.events & 0xff);
    if (state.events !== 0) this.#lines.set(GED_IRQ, true);
  }
}
