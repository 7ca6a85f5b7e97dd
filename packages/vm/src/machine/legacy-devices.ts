/**
 * The devices every machine has, over their slices of the shared memory. Each thread makes its own set of objects;
 * the state is shared. Offsets from DEVICES_BASE:
 *
 *   0x00000  doorbell, request word, meetings 0x04000  serial input ring
 *   0x01000  I/O APIC                         0x10000  serial output ring
 *   0x02000  i8042, CMOS, ACPI                0x40000  virtio slots, 0x1000 each
 *   0x03000  serial registers
 */
import type { Clock } from '../base/ports.ts';
import { AcpiRegisters } from '../devices/acpi/device.ts';
import { Cmos } from '../devices/cmos/device.ts';
import { I8042 } from '../devices/i8042/device.ts';
import { IoApic } from '../devices/ioapic/device.ts';
import { Serial } from '../devices/serial/device.ts';
import { Doorbell } from './doorbell.ts';
import { DEVICES_BASE, type MemoryLayout, VCPU_BASE, VCPU_STRIDE } from './layout.ts';
import { Request, VcpuMailbox } from './mailbox.ts';
import type { MeetingAttendee } from './meeting.ts';

const DOORBELL = DEVICES_BASE;
const MACHINE_REQUEST = DEVICES_BASE + 0x100;
export const MEETING: number = DEVICES_BASE + 0x200;
const IOAPIC = DEVICES_BASE + 0x1000;
const KEYBOARD = DEVICES_BASE + 0x2000;
const CMOS = DEVICES_BASE + 0x2400;
const ACPI = DEVICES_BASE + 0x2800;
const SERIAL = { words: DEVICES_BASE + 0x3000, input: DEVICES_BASE + 0x4000, output: DEVICES_BASE + 0x10000 };
export const VIRTIO_SLOTS: number = DEVICES_BASE + 0x40000;
export const VIRTIO_SLOT_BYTES: number = 0x1000;

/** Doorbell bits; virtio slot n has bit VIRTIO_SHIFT + n. */
export const Bell = { SERIAL: 1, MACHINE: 2, MEETING: 4, VIRTIO_SHIFT: 8 } as const;
export const MachineRequest = { RESET: 1, POWER_OFF: 2 } as const;

export interface LegacyDevices {
  readonly mailboxes: readonly VcpuMailbox[];
  readonly doorbell: Doorbell;
  /** Bits of MachineRequest that the guest has asked for. */
  readonly machineRequest: Int32Array<SharedArrayBuffer>;
  readonly ioapic: IoApic;
  readonly serial: Serial;
  readonly i8042: I8042;
  readonly cmos: Cmos;
  readonly acpi: AcpiRegisters;
}

export function createDoorbell(buffer: SharedArrayBuffer): Doorbell {
  return new Doorbell(buffer, DOORBELL);
}

/** @param meeting of a vCPU that counts: a guest that waits for the main thread meets it */
export function createLegacyDevices(
  buffer: SharedArrayBuffer,
  layout: MemoryLayout,
  clock: Clock,
  meeting?: MeetingAttendee,
): LegacyDevices {
  const mailboxes: VcpuMailbox[] = [];
  for (let i = 0; i < layout.vcpus; i++) mailboxes.push(new VcpuMailbox(buffer, VCPU_BASE + i * VCPU_STRIDE));
  const doorbell = createDoorbell(buffer);
  const machineRequest = new Int32Array(buffer, MACHINE_REQUEST, 1);
  // The vCPU that asks leaves its run loop before the next instruction; the main thread learns why.
  const ask = (request: number, leave: number): void => {
    Atomics.or(machineRequest, 0, request);
    for (const mailbox of mailboxes) mailbox.request(leave);
    doorbell.ring(Bell.MACHINE);
  };
  const reset = (): void => ask(MachineRequest.RESET, Request.RESET);
  const powerOff = (): void => ask(MachineRequest.POWER_OFF, Request.STOP);
  const ioapic = new IoApic(buffer, IOAPIC, mailboxes);
  return {
    mailboxes,
    doorbell,
    machineRequest,
    ioapic,
    serial: new Serial(buffer, SERIAL, ioapic, (waits) => {
      if (waits && meeting !== undefined) meeting.ask(Bell.SERIAL);
      else doorbell.ring(Bell.SERIAL);
    }),
    i8042: new I8042(buffer, KEYBOARD, ioapic, reset),
    cmos: new Cmos(buffer, CMOS, clock),
    acpi: new AcpiRegisters(buffer, ACPI, ioapic, { reset, powerOff }),
  };
}
