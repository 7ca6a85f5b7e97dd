/** What a machine consists of, as plain data that can be sent to a worker; and where each device sits. */
import {
  ACPI_PORT,
  ACPI_PORTS,
  Event,
  EVENT_PORT,
  GED_IRQ,
  RESET_PORT,
  RESET_VALUE,
  S5_SLEEP_TYPE,
  SLEEP_CONTROL_PORT,
  SLEEP_STATUS_PORT,
} from '../devices/acpi/regs.ts';
import { RTC_IRQ } from '../devices/cmos/regs.ts';
import { KEYBOARD_IRQ } from '../devices/i8042/regs.ts';
import { IOAPIC_BASE, IOAPIC_ID, IOAPIC_PINS } from '../devices/ioapic/regs.ts';
import { COM1_IRQ, COM1_PORT, COM1_PORTS } from '../devices/serial/regs.ts';
import { assert } from '../base/errors.ts';

/** One port of a virtio console. Port 0 is a console (hvc0); the others appear by name in the guest. */
export interface ConsolePortConfig {
  /** Name as in /dev/virtio-ports/NAME: 1 to 63 bytes. */
  readonly name: string;
  /** True for a terminal (hvcN) instead of a named character device. */
  readonly console?: boolean;
}

export interface VirtioConsoleConfig {
  readonly type: 'console';
  readonly ports: readonly ConsolePortConfig[];
  readonly columns?: number;
  readonly rows?: number;
}

export interface VirtioBlkConfig {
  readonly type: 'blk';
  /** Key of the disk in `BackendPorts.disks`. */
  readonly disk: string;
  readonly readOnly?: boolean;
  /** What the guest reads as the disk's serial number: at most 20 bytes. */
  readonly serial?: string;
}

export interface VirtioRngConfig {
  readonly type: 'rng';
}

export type VirtioConfig = VirtioConsoleConfig | VirtioBlkConfig | VirtioRngConfig;

export interface PlatformConfig {
  /** Devices in slot order; the guest names disks (vda, vdb) in this order. */
  readonly virtio: readonly VirtioConfig[];
}

export const VIRTIO_MMIO_BASE: number = 0xc0001000;
export const VIRTIO_MMIO_STEP: number = 0x1000;
/** Interrupt pin of each virtio slot: from 5 up, without the clock's (8) and the GED's (9). */
export const VIRTIO_PINS: readonly number[] = [
  5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
];

export interface VirtioDescription {
  readonly type: VirtioConfig['type'];
  /** `_UID` in the DSDT. */
  readonly uid: number;
  readonly gpa: number;
  readonly length: number;
  /** GSI: edge-triggered, active high, exclusive. */
  readonly irq: number;
}

/** Everything the ACPI tables have to say about the platform. Port and memory ranges in bytes. */
export interface PlatformDescription {
  readonly ioapic: {
    readonly id: number;
    readonly gpa: number;
    readonly gsiBase: number;
    readonly pins: number;
  };
  readonly serial: { readonly port: number; readonly length: number; readonly irq: number };
  readonly i8042: { readonly dataPort: number; readonly commandPort: number; readonly irq: number };
  readonly cmos: { readonly port: number; readonly length: number; readonly irq: number };
  readonly acpi: {
    readonly port: number;
    readonly length: number;
    /** FADT sleep control and status registers (8-bit I/O ports) and the `_S5_` sleep type. */
    readonly sleepControlPort: number;
    readonly sleepStatusPort: number;
    readonly s5SleepType: number;
    /** FADT reset register (8-bit I/O port) and value. */
    readonly resetPort: number;
    readonly resetValue: number;
    /** GED: reading this 8-bit I/O port takes the events; its interrupt is edge, active high. */
    readonly eventPort: number;
    readonly gedIrq: number;
    readonly powerButtonBit: number;
  };
  readonly virtio: readonly VirtioDescription[];
}

export function describeDevices(config: PlatformConfig): PlatformDescription {
  assert(config.virtio.length <= VIRTIO_PINS.length, 'more virtio devices than interrupt pins');
  return {
    ioapic: { id: IOAPIC_ID, gpa: IOAPIC_BASE, gsiBase: 0, pins: IOAPIC_PINS },
    serial: { port: COM1_PORT, length: COM1_PORTS, irq: COM1_IRQ },
    i8042: { dataPort: 0x60, commandPort: 0x64, irq: KEYBOARD_IRQ },
    cmos: { port: 0x70, length: 2, irq: RTC_IRQ },
    acpi: {
      port: ACPI_PORT,
      length: ACPI_PORTS,
      sleepControlPort: SLEEP_CONTROL_PORT,
      sleepStatusPort: SLEEP_STATUS_PORT,
      s5SleepType: S5_SLEEP_TYPE,
      resetPort: RESET_PORT,
      resetValue: RESET_VALUE,
      eventPort: EVENT_PORT,
      gedIrq: GED_IRQ,
      powerButtonBit: Event.POWER_BUTTON,
    },
    virtio: config.virtio.map((device, slot) => ({
      type: device.type,
      uid: slot,
      gpa: VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_STEP,
      length: VIRTIO_MMIO_STEP,
      irq: VIRTIO_PINS[slot] as number,
    })),
  };
}
