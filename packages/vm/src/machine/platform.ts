/**
 * The platform: every device of a machine and its two halves. `createFrontBus` makes the half on a vCPU's thread
 * (registers, in shared memory only), `createBackends` the half on the main thread (rings, files, consoles).
 * This module puts the devices together, so it is the one place in machine/ that imports them.
 */
import type { Clock, Randomness } from '../base/ports.ts';
import type { AcpiState } from '../devices/acpi/state.ts';
import type { CmosState } from '../devices/cmos/state.ts';
import type { I8042State } from '../devices/i8042/state.ts';
import type { IoApicState } from '../devices/ioapic/state.ts';
import { SerialPort } from '../devices/serial/port.ts';
import type { SerialState } from '../devices/serial/state.ts';
import type { IoBus } from './bus.ts';
import { FrontBus } from './front-bus.ts';
import type { MemoryLayout } from './layout.ts';
import { Bell, createLegacyDevices, type LegacyDevices, MachineRequest } from './legacy-devices.ts';
import type { PlatformConfig } from './platform-config.ts';

export * from './platform-config.ts';

/** What the vCPU's thread lends its devices. */
export interface FrontPorts {
  readonly clock: Clock;
}

/** What the main thread lends the devices. */
export interface BackendPorts {
  readonly clock: Clock;
  readonly randomness: Randomness;
}

/** Why the guest wants the whole machine's attention. Its vCPUs have left, or are leaving, their run loops. */
export type GuestRequest = 'reset' | 'poweroff';

/** Plain record of all devices, in a fixed shape. */
export interface PlatformState {
  readonly kind: 'platform';
  readonly version: 1;
  readonly ioapic: IoApicState;
  readonly serial: SerialState;
  readonly i8042: I8042State;
  readonly cmos: CmosState;
  readonly acpi: AcpiState;
}

/** The bus of one vCPU's thread. `createBackends` must have run first: it puts the devices in their reset state. */
export function createFrontBus(
  memory: { readonly buffer: SharedArrayBuffer },
  layout: MemoryLayout,
  _config: PlatformConfig,
  ports: FrontPorts,
): IoBus {
  return new FrontBus(createLegacyDevices(memory.buffer, layout, ports.clock), []);
}

/**
 * The main thread's half. Lifecycle: created stopped, with every device in its reset state; `start` serves the
 * guest; `pause` returns when no I/O is in flight; `save`, `load` and `reset` want stopped vCPUs and paused (or not
 * started) back ends; `stop` ends everything.
 */
export class Backends {
  readonly serial: SerialPort;
  readonly #devices: LegacyDevices;
  readonly #requestListeners: Set<(request: GuestRequest) => void> = new Set();
  #running = false;

  constructor(buffer: SharedArrayBuffer, layout: MemoryLayout, _config: PlatformConfig, ports: BackendPorts) {
    this.#devices = createLegacyDevices(buffer, layout, ports.clock);
    this.serial = new SerialPort(this.#devices.serial);
    this.reset();
  }

  /** Calls `listener` when the guest resets the machine or switches it off. Returns the way to stop. */
  onRequest(listener: (request: GuestRequest) => void): () => void {
    this.#requestListeners.add(listener);
    return () => this.#requestListeners.delete(listener);
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#devices.doorbell.listen((bits) => this.#serve(bits));
  }

  /** Stops serving and waits for I/O in flight. What the guest rings meanwhile stays pending. */
  async pause(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#devices.doorbell.stop();
  }

  resume(): void {
    this.start();
  }

  /** Ends: last output is delivered, readers see the end. */
  async stop(): Promise<void> {
    await this.pause();
    this.serial.pump();
    this.serial.output.end();
    this.serial.discardInput();
  }

  /** Puts every device in its power-on state; output already made is delivered first. */
  reset(): void {
    this.serial.pump();
    this.#devices.doorbell.take();
    Atomics.store(this.#devices.machineRequest, 0, 0);
    this.#devices.ioapic.reset();
    this.#devices.serial.reset();
    this.#devices.i8042.reset();
    this.#devices.cmos.reset();
    this.#devices.acpi.reset();
  }

  pressPowerButton(): void {
    this.#devices.acpi.pressPowerButton();
  }

  pressCtrlAltDel(): void {
    this.#devices.i8042.pressCtrlAltDel();
  }

  save(): PlatformState {
    this.serial.pump();
    return {
      kind: 'platform',
      version: 1,
      ioapic: this.#devices.ioapic.save(),
      serial: this.#devices.serial.save(),
      i8042: this.#devices.i8042.save(),
      cmos: this.#devices.cmos.save(),
      acpi: this.#devices.acpi.save(),
    };
  }

  /** Restores a record; load the vCPUs first, since a device may raise its interrupt again. */
  load(state: PlatformState): void {
    this.reset();
    this.#devices.ioapic.load(state.ioapic);
    this.#devices.serial.load(state.serial);
    this.#devices.i8042.load(state.i8042);
    this.#devices.cmos.load(state.cmos);
    this.#devices.acpi.load(state.acpi);
  }

  #serve(bits: number): void {
    if ((bits & Bell.SERIAL) !== 0) this.serial.pump();
    if ((bits & Bell.MACHINE) !== 0) this.#announce();
  }

  #announce(): void {
    const asked = Atomics.exchange(this.#devices.machineRequest, 0, 0);
    this.serial.pump();
    const request: GuestRequest = (asked & MachineRequest.POWER_OFF) !== 0 ? 'poweroff' : 'reset';
    if (asked !== 0) for (const listener of this.#requestListeners) listener(request);
  }
}

export function createBackends(
  buffer: SharedArrayBuffer,
  layout: MemoryLayout,
  config: PlatformConfig,
  ports: BackendPorts,
): Backends {
  return new Backends(buffer, layout, config, ports);
}
