/**
 * Port and memory-mapped I/O on a vCPU's thread: a flat table from port to device and a switch by page, without
 * allocation. A wide access to byte-wide ports is that many byte accesses, as an ISA bus makes them; what nobody
 * claims reads all ones.
 */
import { ACPI_PORT, ACPI_PORTS } from '../devices/acpi/regs.ts';
import { DATA_PORT as CMOS_DATA, INDEX_PORT as CMOS_INDEX } from '../devices/cmos/regs.ts';
import { COMMAND_PORT, DATA_PORT, SYSTEM_CONTROL_PORT } from '../devices/i8042/regs.ts';
import { IOAPIC_BASE } from '../devices/ioapic/regs.ts';
import { COM1_PORT, COM1_PORTS } from '../devices/serial/regs.ts';
import type { IoBus, IoHandler } from './bus.ts';
import type { LegacyDevices } from './legacy-devices.ts';
import { VIRTIO_MMIO_BASE, VIRTIO_MMIO_STEP } from './platform-config.ts';

const Owner = { NONE: 0, SERIAL: 1, I8042: 2, CMOS: 3, ACPI: 4 } as const;

/** Unsigned all ones of 1, 2 or 4 bytes. */
function allOnes(size: number): number {
  return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
}

export class FrontBus implements IoBus {
  readonly #owners: Uint8Array = new Uint8Array(0x10000);
  readonly #devices: LegacyDevices;
  readonly #virtio: readonly IoHandler[];
  readonly #virtioEnd: number;

  constructor(devices: LegacyDevices, virtio: readonly IoHandler[]) {
    this.#devices = devices;
    this.#virtio = virtio;
    this.#virtioEnd = VIRTIO_MMIO_BASE + virtio.length * VIRTIO_MMIO_STEP;
    this.#owners.fill(Owner.SERIAL, COM1_PORT, COM1_PORT + COM1_PORTS);
    for (const port of [DATA_PORT, SYSTEM_CONTROL_PORT, COMMAND_PORT]) this.#owners[port] = Owner.I8042;
    for (const port of [CMOS_INDEX, CMOS_DATA]) this.#owners[port] = Owner.CMOS;
    this.#owners.fill(Owner.ACPI, ACPI_PORT, ACPI_PORT + ACPI_PORTS);
  }

  readPort(port: number, size: 1 | 2 | 4): number {
    if (size === 1) return this.#readByte(port);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 0x100 + this.#readByte((port + i) & 0xffff);
    return value;
  }

  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    for (let i = 0; i < size; i++) this.#writeByte((port + i) & 0xffff, (value >>> (8 * i)) & 0xff);
  }

  #readByte(port: number): number {
    const devices = this.#devices;
    switch (this.#owners[port] as number) {
      case Owner.SERIAL:
        return devices.serial.read(port - COM1_PORT, 1);
      case Owner.I8042:
        return devices.i8042.read(port);
      case Owner.CMOS:
        return devices.cmos.read(port);
      case Owner.ACPI:
        return devices.acpi.read(port - ACPI_PORT);
      default:
        return 0xff;
    }
  }

  #writeByte(port: number, value: number): void {
    const devices = this.#devices;
    switch (this.#owners[port] as number) {
      case Owner.SERIAL:
        devices.serial.write(port - COM1_PORT, 1, value);
        break;
      case Owner.I8042:
        devices.i8042.write(port, value);
        break;
      case Owner.CMOS:
        devices.cmos.write(port, value);
        break;
      case Owner.ACPI:
        devices.acpi.write(port - ACPI_PORT, value);
        break;
      default:
      // Nobody's port: the write vanishes.
    }
  }

  readMmio(gpa: number, size: 1 | 2 | 4): number {
    if (gpa >= VIRTIO_MMIO_BASE && gpa + size <= this.#virtioEnd) {
      const inside = gpa - VIRTIO_MMIO_BASE;
      const offset = inside & (VIRTIO_MMIO_STEP - 1);
      if (offset + size > VIRTIO_MMIO_STEP) return allOnes(size);
      return (this.#virtio[inside >>> 12] as IoHandler).read(offset, size);
    }
    const offset = gpa - IOAPIC_BASE;
    if (offset >= 0 && offset + size <= 0x1000) return this.#devices.ioapic.read(offset, size);
    return allOnes(size);
  }

  writeMmio(gpa: number, size: 1 | 2 | 4, value: number): void {
    if (gpa >= VIRTIO_MMIO_BASE && gpa + size <= this.#virtioEnd) {
      const inside = gpa - VIRTIO_MMIO_BASE;
      const offset = inside & (VIRTIO_MMIO_STEP - 1);
      if (offset + size > VIRTIO_MMIO_STEP) return;
      (this.#virtio[inside >>> 12] as IoHandler).write(offset, size, value);
      return;
    }
    const offset = gpa - IOAPIC_BASE;
    if (offset >= 0 && offset + size <= 0x1000) this.#devices.ioapic.write(offset, size, value);
  }

  endOfInterrupt(vector: number): void {
    this.#devices.ioapic.endOfInterrupt(vector);
  }
}
