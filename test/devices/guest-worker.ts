/** The guest of threads.test.ts: drives the entropy device through the front bus of its own thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { IOAPIC_BASE } from '../../packages/vm/src/devices/ioapic/regs.ts';
import { Reg } from '../../packages/vm/src/devices/virtio/mmio/regs.ts';
import { type MemoryLayout, VCPU_BASE } from '../../packages/vm/src/machine/layout.ts';
import { VcpuMailbox } from '../../packages/vm/src/machine/mailbox.ts';
import {
  createFrontBus,
  type PlatformConfig,
  VIRTIO_MMIO_BASE,
  VIRTIO_PINS,
} from '../../packages/vm/src/machine/platform.ts';

interface Task {
  readonly buffer: SharedArrayBuffer;
  readonly layout: MemoryLayout;
  readonly config: PlatformConfig;
  readonly requests: number;
  readonly resetEvery: number;
}

const { buffer, layout, config, requests, resetEvery } = workerData as Task;
const bus = createFrontBus({ buffer }, layout, config, { clock: { nowNs: () => 0, realtimeNs: () => 0n } });
const mailbox = new VcpuMailbox(buffer, VCPU_BASE);
const halves = new Uint16Array(buffer, layout.ramOffset);
const words = new Uint32Array(buffer, layout.ramOffset);
const DESC = 0x10000;
const AVAILABLE = 0x11000;
const USED = 0x12000;

function write(offset: number, value: number): void {
  bus.writeMmio(VIRTIO_MMIO_BASE + offset, 4, value);
}

function start(): void {
  for (const status of [0, 1, 3]) write(Reg.STATUS, status);
  write(Reg.DRIVER_FEATURES_SEL, 0);
  write(Reg.DRIVER_FEATURES, 1 << 29);
  write(Reg.DRIVER_FEATURES_SEL, 1);
  write(Reg.DRIVER_FEATURES, 1);
  write(Reg.STATUS, 11);
  halves.fill(0, DESC / 2, (DESC + 0x4000) / 2);
  write(Reg.QUEUE_SEL, 0);
  write(Reg.QUEUE_SIZE, 4);
  write(Reg.QUEUE_DESC_LOW, DESC);
  write(Reg.QUEUE_DRIVER_LOW, AVAILABLE);
  write(Reg.QUEUE_DEVICE_LOW, USED);
  write(Reg.QUEUE_READY, 1);
  write(Reg.STATUS, 15);
}

/** A driver with EVENT_IDX: notifies only when asked to, sleeps until the interrupt. */
function request(index: number): void {
  const at = DESC + 16 * (index & 3);
  words[at / 4] = 0x3000;
  words[at / 4 + 2] = 8;
  words[at / 4 + 3] = 2;
  halves[AVAILABLE / 2 + 2 + (index & 3)] = index & 3;
  // used_event: interrupt for this request.
  Atomics.store(halves, AVAILABLE / 2 + 2 + 4, index & 0xffff);
  const next = (index + 1) & 0xffff;
  Atomics.store(halves, AVAILABLE / 2 + 1, next);
  const wanted = Atomics.load(halves, (USED + 4 + 8 * 4) / 2);
  if (((next - wanted - 1) & 0xffff) < 1) write(Reg.QUEUE_NOTIFY, 0);
  while (Atomics.load(halves, USED / 2 + 1) !== next) {
    mailbox.sleep(Number.POSITIVE_INFINITY);
    mailbox.takeAttention();
    write(Reg.INTERRUPT_ACK, bus.readMmio(VIRTIO_MMIO_BASE + Reg.INTERRUPT_STATUS, 4));
  }
}

bus.writeMmio(IOAPIC_BASE, 4, 0x10 + 2 * (VIRTIO_PINS[0] as number));
bus.writeMmio(IOAPIC_BASE + 0x10, 4, 0x41);
let index = 0;
for (let served = 0; served < requests; served++) {
  if (served % resetEvery === 0) {
    start();
    index = 0;
  }
  request(index++);
}
parentPort?.postMessage({ served: requests });
