/**
 * The platform: every device of a machine and its two halves. `createFrontBus` (front-platform.ts) makes the half on a
 * vCPU's thread (registers, in shared memory only), `createBackends` the half on the main thread (rings, files,
 * consoles). These modules put the devices together, so they are the place in machine/ that imports them.
 */
import { assert } from '../base/errors.ts';
import type { BlockFile, Clock, Randomness } from '../base/ports.ts';
import type { AcpiState } from '../devices/acpi/state.ts';
import type { CmosState } from '../devices/cmos/state.ts';
import type { I8042State } from '../devices/i8042/state.ts';
import type { IoApicState } from '../devices/ioapic/state.ts';
import { SerialPort } from '../devices/serial/port.ts';
import type { SerialState } from '../devices/serial/state.ts';
import { Blk } from '../devices/virtio/blk/device.ts';
import { Console } from '../devices/virtio/console/device.ts';
import type { ConsolePort } from '../devices/virtio/console/port.ts';
import { VirtioHost } from '../devices/virtio/mmio/host.ts';
import type { VirtioState } from '../devices/virtio/mmio/state.ts';
import type { VirtioModel } from '../devices/virtio/model.ts';
import { Rng } from '../devices/virtio/rng/device.ts';
import { slotBell, slotOffset } from './front-platform.ts';
import type { MemoryLayout } from './layout.ts';
import { Bell, createLegacyDevices, type LegacyDevices, MachineRequest, MEETING } from './legacy-devices.ts';
import { MeetingHost, type MeetingWork } from './meeting.ts';
import { GuestMemory } from './memory.ts';
import { describeDevices, type PlatformConfig, type VirtioConfig } from './platform-config.ts';

export * from './platform-config.ts';
export { createFrontBus, createMeetingAttendee, type FrontPorts } from './front-platform.ts';

/** What the main thread lends the devices. */
export interface BackendPorts {
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** The machine is deterministic: devices serve its guest at meetings only. */
  readonly meets?: boolean;
  /** Disk files by the name that the configuration uses. */
  readonly disks?: Readonly<Record<string, BlockFile>>;
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
  readonly virtio: readonly VirtioState[];
}

function createModel(config: VirtioConfig, ports: BackendPorts): VirtioModel {
  switch (config.type) {
    case 'console':
      return new Console(config);
    case 'rng':
      return new Rng(ports.randomness);
    case 'blk': {
      const file = ports.disks?.[config.disk];
      assert(file !== undefined, `disk ${config.disk} has no file`);
      return new Blk({
        file,
        readOnly: config.readOnly === true,
        serial: config.serial ?? config.disk,
        ...(ports.meets === true ? { inFlight: 1 } : {}),
      });
    }
  }
}

/**
 * The main thread's half. Lifecycle: created stopped, with every device in its reset state; `start` serves the
 * guest; `pause` returns when no I/O is in flight; `save`, `load` and `reset` want stopped vCPUs and paused (or not
 * started) back ends; `stop` ends everything.
 */
export class Backends {
  readonly serial: SerialPort;
  /** Ports of all virtio consoles, by name. */
  readonly consolePorts: ReadonlyMap<string, ConsolePort>;
  readonly #virtio: readonly VirtioHost[];
  readonly #devices: LegacyDevices;
  readonly #meeting: MeetingHost | undefined;
  readonly #requestListeners: Set<(request: GuestRequest) => void> = new Set();
  #running = false;

  constructor(buffer: SharedArrayBuffer, layout: MemoryLayout, config: PlatformConfig, ports: BackendPorts) {
    const devices = createLegacyDevices(buffer, layout, ports.clock);
    const memory = new GuestMemory(buffer, layout, devices.mailboxes);
    this.#devices = devices;
    const [mailbox] = devices.mailboxes;
    if (ports.meets === true && mailbox !== undefined)
      this.#meeting = new MeetingHost(buffer, MEETING, mailbox, this.#meetingWork());
    this.serial = new SerialPort(devices.serial, (work) => this.#enter(work));
    const pins = describeDevices(config).virtio;
    this.#virtio = config.virtio.map(
      (device, slot) =>
        new VirtioHost(createModel(device, ports), {
          buffer,
          byteOffset: slotOffset(slot),
          pin: pins[slot]?.irq as number,
          lines: devices.ioapic,
          memory,
          ring: () => devices.doorbell.ring(slotBell(slot)),
          enter: this.#meeting === undefined ? undefined : (work) => this.#enter(work),
        }),
    );
    this.consolePorts = new Map(
      this.#consoles().flatMap(({ ports }) => ports.map((port) => [port.name, port])),
    );
    this.reset();
  }

  #meetingWork(): MeetingWork {
    const { doorbell } = this.#devices;
    return {
      turn: (rest) => doorbell.turn(rest),
      idle: async () => void (await Promise.all(this.#virtio.map(({ model }) => model.quiesce()))),
      busy: () => this.#running && doorbell.isPending,
      held: () => this.serial.output.full || this.#consoles().some((console) => console.held),
    };
  }

  /** Does what the guest may see, when it may. */
  #enter(work: () => void): void {
    if (this.#meeting === undefined) work();
    else this.#meeting.enter(work);
  }

  /** Somebody waits for the vCPUs to stop. */
  hurry(): void {
    this.#meeting?.hurry();
  }

  /** Calls `listener` when the guest resets the machine or switches it off. Returns the way to stop. */
  onRequest(listener: (request: GuestRequest) => void): () => void {
    this.#requestListeners.add(listener);
    return () => this.#requestListeners.delete(listener);
  }

  start(): void {
    this.#meeting?.begin();
    if (this.#running) return;
    this.#running = true;
    for (const device of this.#virtio) device.resume();
    void this.#devices.doorbell.listen((bits) => this.#serve(bits));
  }

  /** Stops serving and waits for I/O in flight. What the guest rings meanwhile stays pending. */
  async pause(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#meeting?.stopped();
    this.#devices.doorbell.stop();
    await Promise.all(this.#virtio.map((device) => device.pause()));
  }

  resume(): void {
    this.start();
  }

  /** Ends: last output is delivered, readers see the end. */
  async stop(): Promise<void> {
    await this.pause();
    this.serial.pump();
    this.serial.output.close();
    this.serial.discardInput();
    for (const console of this.#consoles()) console.close();
  }

  /** The terminal's size, for guests that read it from the device. */
  resize(columns: number, rows: number): void {
    for (const console of this.#consoles()) console.resize(columns, rows);
  }

  #consoles(): Console[] {
    return this.#virtio.flatMap(({ model }) => (model instanceof Console ? [model] : []));
  }

  /** What drivers have done wrong since their device's last reset, by slot; for diagnosis. */
  get faults(): readonly string[] {
    return this.#virtio.map((device) => device.fault);
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
    for (const device of this.#virtio) device.powerOn();
  }

  pressPowerButton(): void {
    this.#enter(() => this.#devices.acpi.pressPowerButton());
  }

  pressCtrlAltDel(): void {
    this.#enter(() => this.#devices.i8042.pressCtrlAltDel());
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
      virtio: this.#virtio.map((device) => device.save()),
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
    this.#virtio.forEach((device, slot) => {
      const saved = state.virtio[slot];
      if (saved !== undefined) device.load(saved);
    });
  }

  #serve(bits: number): void {
    if ((bits & Bell.MEETING) !== 0) this.#meeting?.arrived();
    if ((bits & Bell.SERIAL) !== 0) this.serial.pump();
    for (const [slot, device] of this.#virtio.entries()) if ((bits & slotBell(slot)) !== 0) device.serve();
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
