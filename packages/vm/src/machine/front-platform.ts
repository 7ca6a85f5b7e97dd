/** The vCPU's half of the platform: registers in shared memory. It loads nothing of the back ends. */
import type { Clock } from '../base/ports.ts';
import { VirtioMmio } from '../devices/virtio/mmio/device.ts';
import type { IoBus } from './bus.ts';
import { FrontBus } from './front-bus.ts';
import type { MemoryLayout } from './layout.ts';
import {
  Bell,
  createDoorbell,
  createLegacyDevices,
  MEETING,
  VIRTIO_SLOT_BYTES,
  VIRTIO_SLOTS,
} from './legacy-devices.ts';
import { MeetingAttendee } from './meeting.ts';
import { describeDevices, type PlatformConfig } from './platform-config.ts';

/** What the vCPU's thread lends its devices. */
export interface FrontPorts {
  readonly clock: Clock;
  /** Of a vCPU that counts instructions. */
  readonly meeting?: MeetingAttendee | undefined;
}

/** The bus of one vCPU's thread. `createBackends` must have run first: it puts the devices in their reset state. */
export function createFrontBus(
  memory: { readonly buffer: SharedArrayBuffer },
  layout: MemoryLayout,
  config: PlatformConfig,
  ports: FrontPorts,
): IoBus {
  const { clock, meeting } = ports;
  const devices = createLegacyDevices(memory.buffer, layout, clock, meeting);
  const virtio = describeDevices(config).virtio.map(
    ({ irq }, slot) =>
      new VirtioMmio(memory.buffer, slotOffset(slot), irq, devices.ioapic, () => {
        if (meeting === undefined) devices.doorbell.ring(slotBell(slot));
        else meeting.ask(slotBell(slot));
      }),
  );
  return new FrontBus(devices, virtio);
}

/** What a vCPU that counts instructions meets the main thread with. */
export function createMeetingAttendee(memory: { readonly buffer: SharedArrayBuffer }): MeetingAttendee {
  return new MeetingAttendee(memory.buffer, MEETING, createDoorbell(memory.buffer), Bell.MEETING);
}

export function slotOffset(slot: number): number {
  return VIRTIO_SLOTS + slot * VIRTIO_SLOT_BYTES;
}

export function slotBell(slot: number): number {
  return 1 << (Bell.VIRTIO_SHIFT + slot);
}
