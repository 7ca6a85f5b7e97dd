/**
 * A machine without a CPU, and a virtio driver that does whatever a test wants: both go through the public front bus
 * and the shared memory, as a guest would.
 */
import type { BlockFile, Clock, Randomness } from '../../packages/vm/src/base/ports.ts';
import type { IoBus } from '../../packages/vm/src/machine/bus.ts';
import {
  layoutMemory,
  type MemoryLayout,
  VCPU_BASE,
  VCPU_STRIDE,
} from '../../packages/vm/src/machine/layout.ts';
import { VcpuMailbox } from '../../packages/vm/src/machine/mailbox.ts';
import {
  type Backends,
  createBackends,
  createFrontBus,
  type PlatformConfig,
} from '../../packages/vm/src/machine/platform.ts';
import { IOAPIC_BASE } from '../../packages/vm/src/devices/ioapic/regs.ts';
import { Reg } from '../../packages/vm/src/devices/virtio/mmio/regs.ts';
import { VIRTIO_MMIO_BASE, VIRTIO_PINS } from '../../packages/vm/src/machine/platform-config.ts';

export const RAM_BYTES: number = 0x400000;
export const F_VERSION_1: bigint = 1n << 32n;
export const F_EVENT_IDX: bigint = 1n << 29n;

const clock: Clock = { nowNs: () => 0, realtimeNs: () => 1_700_000_000n * 1_000_000_000n };
const randomness: Randomness = { fill: (target) => void target.fill(0x5a) };

export class TestMachine {
  readonly layout: MemoryLayout;
  readonly buffer: SharedArrayBuffer;
  readonly config: PlatformConfig;
  readonly backends: Backends;
  readonly bus: IoBus;
  readonly mailboxes: VcpuMailbox[];
  readonly ram: DataView;
  readonly bytes: Uint8Array;

  constructor(
    config: PlatformConfig,
    disks: Record<string, BlockFile> = {},
    vcpus: number = 1,
    ramBytes: number = RAM_BYTES,
  ) {
    this.layout = layoutMemory(ramBytes, vcpus);
    this.buffer = new SharedArrayBuffer(this.layout.wasmPages * 0x10000);
    this.config = config;
    this.backends = createBackends(this.buffer, this.layout, config, { clock, randomness, disks });
    this.bus = createFrontBus({ buffer: this.buffer }, this.layout, config, { clock });
    this.mailboxes = Array.from(
      { length: vcpus },
      (_, index) => new VcpuMailbox(this.buffer, VCPU_BASE + index * VCPU_STRIDE),
    );
    this.ram = new DataView(this.buffer, this.layout.ramOffset, ramBytes);
    this.bytes = new Uint8Array(this.buffer, this.layout.ramOffset, ramBytes);
  }

  /** Programs an I/O APIC pin. */
  route(pin: number, low: number, high = 0): void {
    for (const [register, value] of [
      [0x11 + 2 * pin, high],
      [0x10 + 2 * pin, low],
    ] as const) {
      this.bus.writeMmio(IOAPIC_BASE, 4, register);
      this.bus.writeMmio(IOAPIC_BASE + 0x10, 4, value);
    }
  }

  /** Takes the vectors posted to a vCPU since the last call. */
  vectors(vcpu = 0): number[] {
    const irr = new Int32Array(8);
    this.mailboxes[vcpu]?.takePosted(irr, new Int32Array(8));
    const vectors: number[] = [];
    for (let vector = 0; vector < 256; vector++) {
      if ((((irr[vector >> 5] ?? 0) >>> (vector & 31)) & 1) !== 0) vectors.push(vector);
    }
    return vectors;
  }
}

/** Lets the event loop turn until `condition` holds; a test that waits forever fails by its time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

export interface Buffer {
  readonly gpa: number;
  readonly length: number;
  readonly write?: boolean;
}

const Layout = { AVAILABLE: 0x1000, USED: 0x2000, BYTES: 0x4000 } as const;

/** A driver of the device in one slot. Queue rings lie at 0x10000 + 0x4000 × index unless told otherwise. */
export class Driver {
  readonly machine: TestMachine;
  readonly base: number;
  readonly pin: number;
  readonly sizes: number[] = [];
  readonly #free: number[] = [];
  #seen: number[] = [];
  eventIdx = false;

  constructor(machine: TestMachine, slot = 0) {
    this.machine = machine;
    this.base = VIRTIO_MMIO_BASE + slot * 0x1000;
    this.pin = VIRTIO_PINS[slot] as number;
  }

  read(offset: number): number {
    return this.machine.bus.readMmio(this.base + offset, 4);
  }

  write(offset: number, value: number): void {
    this.machine.bus.writeMmio(this.base + offset, 4, value >>> 0);
  }

  get status(): number {
    return this.read(Reg.STATUS);
  }

  features(): bigint {
    this.write(Reg.DEVICE_FEATURES_SEL, 0);
    const low = BigInt(this.read(Reg.DEVICE_FEATURES));
    this.write(Reg.DEVICE_FEATURES_SEL, 1);
    return low | (BigInt(this.read(Reg.DEVICE_FEATURES)) << 32n);
  }

  /** Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK. */
  negotiate(features: bigint = F_VERSION_1): void {
    this.write(Reg.STATUS, 0);
    this.write(Reg.STATUS, 1);
    this.write(Reg.STATUS, 3);
    this.write(Reg.DRIVER_FEATURES_SEL, 0);
    this.write(Reg.DRIVER_FEATURES, Number(features & 0xffffffffn));
    this.write(Reg.DRIVER_FEATURES_SEL, 1);
    this.write(Reg.DRIVER_FEATURES, Number(features >> 32n));
    this.write(Reg.STATUS, 11);
    this.eventIdx = (features & F_EVENT_IDX) !== 0n;
    this.#seen = [];
  }

  ringBase(index: number): number {
    return 0x10000 + index * Layout.BYTES;
  }

  setQueue(
    index: number,
    size: number,
    at: { desc?: number; driver?: number; device?: number; high?: number } = {},
  ): void {
    const base = this.ringBase(index);
    if (at.desc === undefined) this.machine.bytes.fill(0, base, base + Layout.BYTES);
    this.sizes[index] = size;
    this.#free[index] = 0;
    this.#seen[index] = 0;
    this.write(Reg.QUEUE_SEL, index);
    this.write(Reg.QUEUE_SIZE, size);
    this.write(Reg.QUEUE_DESC_LOW, at.desc ?? base);
    this.write(Reg.QUEUE_DESC_HIGH, at.high ?? 0);
    this.write(Reg.QUEUE_DRIVER_LOW, at.driver ?? base + Layout.AVAILABLE);
    this.write(Reg.QUEUE_DRIVER_HIGH, at.high ?? 0);
    this.write(Reg.QUEUE_DEVICE_LOW, at.device ?? base + Layout.USED);
    this.write(Reg.QUEUE_DEVICE_HIGH, at.high ?? 0);
    this.write(Reg.QUEUE_READY, 1);
  }

  /** The whole way to DRIVER_OK with `queues` queues of 16. */
  start(queues: number, features: bigint = F_VERSION_1, size = 16): void {
    this.negotiate(features);
    for (let index = 0; index < queues; index++) this.setQueue(index, size);
    this.write(Reg.STATUS, 15);
  }

  setDescriptor(
    queue: number,
    index: number,
    address: bigint,
    length: number,
    flags: number,
    next: number,
  ): void {
    const at = this.ringBase(queue) + 16 * index;
    const { ram } = this.machine;
    ram.setBigUint64(at, address, true);
    ram.setUint32(at + 8, length, true);
    ram.setUint16(at + 12, flags, true);
    ram.setUint16(at + 14, next, true);
  }

  /** Puts `head` into the available ring without a notification. */
  makeAvailable(queue: number, head: number): void {
    const { ram } = this.machine;
    const at = this.ringBase(queue) + Layout.AVAILABLE;
    const index = ram.getUint16(at + 2, true);
    ram.setUint16(at + 4 + 2 * (index % (this.sizes[queue] as number)), head, true);
    ram.setUint16(at + 2, (index + 1) & 0xffff, true);
  }

  setAvailableIndex(queue: number, index: number): void {
    this.machine.ram.setUint16(this.ringBase(queue) + Layout.AVAILABLE + 2, index, true);
  }

  /** Adds a chain of buffers (descriptors are used round robin) and returns its head. */
  add(queue: number, buffers: readonly Buffer[]): number {
    const size = this.sizes[queue] as number;
    const first = this.#free[queue] as number;
    buffers.forEach((buffer, i) => {
      const more = i + 1 < buffers.length;
      const flags = (more ? 1 : 0) | (buffer.write === true ? 2 : 0);
      this.setDescriptor(
        queue,
        (first + i) % size,
        BigInt(buffer.gpa),
        buffer.length,
        flags,
        (first + i + 1) % size,
      );
    });
    this.#free[queue] = (first + buffers.length) % size;
    this.makeAvailable(queue, first);
    return first;
  }

  notify(queue: number): void {
    this.write(Reg.QUEUE_NOTIFY, queue);
  }

  usedIndex(queue: number): number {
    return this.machine.ram.getUint16(this.ringBase(queue) + Layout.USED + 2, true);
  }

  setUsedEvent(queue: number, index: number): void {
    const at = this.ringBase(queue) + Layout.AVAILABLE + 4 + 2 * (this.sizes[queue] as number);
    this.machine.ram.setUint16(at, index, true);
  }

  setNoInterrupt(queue: number, on: boolean): void {
    this.machine.ram.setUint16(this.ringBase(queue) + Layout.AVAILABLE, on ? 1 : 0, true);
  }

  availableEvent(queue: number): number {
    const at = this.ringBase(queue) + Layout.USED + 4 + 8 * (this.sizes[queue] as number);
    return this.machine.ram.getUint16(at, true);
  }

  /** Waits for the next returned request. */
  async takeUsed(queue: number): Promise<{ head: number; length: number }> {
    const seen = this.#seen[queue] as number;
    await until(() => this.usedIndex(queue) !== seen);
    const at = this.ringBase(queue) + Layout.USED + 4 + 8 * (seen % (this.sizes[queue] as number));
    this.#seen[queue] = (seen + 1) & 0xffff;
    return { head: this.machine.ram.getUint32(at, true), length: this.machine.ram.getUint32(at + 4, true) };
  }

  /** Adds a request, notifies, waits for its return. */
  async request(queue: number, buffers: readonly Buffer[]): Promise<{ head: number; length: number }> {
    this.add(queue, buffers);
    this.notify(queue);
    return await this.takeUsed(queue);
  }

  /** Waits until the device asks for a reset. */
  async needsReset(): Promise<void> {
    await until(() => (this.status & 64) !== 0);
  }
}
