/**
 * QEMU's fw_cfg as far as the suite uses it: a device that writes guest memory by DMA while the vCPU runs. Port 0x514
 * takes the high half of the address of a request, 0x518 the low half, which starts it; everything is big-endian.
 *
 *   request   u32 control: item << 16 | select 8 | read 2; the device stores 0 when done · u32 length · u64 address
 *   items     0: "QEMU"   1: the number 3, little-endian
 */
import type { Gpa } from '../../packages/vm/src/base/brand.ts';
import type { GuestMemory } from '../../packages/vm/src/machine/memory.ts';

const ITEMS = [Buffer.from('QEMU'), Uint8Array.of(3, 0, 0, 0)];
const SELECT_AND_READ = 8 | 2;

export class FirmwareDma {
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  writePort(port: number, value: number): void {
    if (port !== 0x518) return;
    const request = new Uint8Array(16);
    const gpa = swap(value) as Gpa;
    if (!this.#memory.read(gpa, request)) return;
    const view = new DataView(request.buffer);
    const control = view.getUint32(0);
    if ((control & 0xffff) !== SELECT_AND_READ) return;
    const item = ITEMS[control >>> 16]?.subarray(0, view.getUint32(4));
    if (item !== undefined) this.#memory.write(Number(view.getBigUint64(8)) as Gpa, item);
    this.#memory.writeUint(gpa, 4, 0);
  }
}

function swap(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return view.getUint32(0, true);
}
