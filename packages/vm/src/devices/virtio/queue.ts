/**
 * A split virtqueue (virtio 1.2, 2.7) from the device's side, and the one seam where guest-provided descriptors
 * are checked: every field is read once, then checked, then used. Neither INDIRECT nor PACKED exists here.
 *
 *   descriptor table  16 × size    {u64 address, u32 length, u16 flags, u16 next}
 *   available ring    6 + 2 × size {u16 flags, u16 index, u16 head[size], u16 used_event}
 *   used ring         6 + 8 × size {u16 flags, u16 index, {u32 head, u32 length}[size], u16 avail_event}
 *
 * What the driver got wrong is in `fault`; from then on the queue gives nothing more.
 */
import type { Hva } from '../../base/brand.ts';
import type { GuestMemory } from '../../machine/memory.ts';
import { Chain, type Segment } from './chain.ts';

const F_NEXT = 1;
const F_WRITE = 2;
const F_INDIRECT = 4;
const NO_INTERRUPT = 1;
/** A chain describes at most this many bytes (2.7.5). */
const MAX_CHAIN_BYTES = 0xffffffff;

export interface QueueAddresses {
  readonly size: number;
  readonly sizeMax: number;
  readonly desc: number;
  readonly driver: number;
  readonly device: number;
}

export interface QueuePosition {
  readonly nextAvailable: number;
  readonly nextUsed: number;
  readonly signalled: number;
}

export class SplitQueue {
  readonly size: number;
  readonly #memory: GuestMemory;
  readonly #eventIdx: boolean;
  readonly #desc: Hva;
  readonly #available: Hva;
  readonly #used: Hva;
  #nextAvailable = 0;
  #nextUsed = 0;
  #signalled = 0;
  #inFlight = 0;
  /** What the driver did wrong, or empty. */
  fault = '';

  private constructor(
    memory: GuestMemory,
    size: number,
    rings: { desc: Hva; available: Hva; used: Hva },
    eventIdx: boolean,
  ) {
    this.#memory = memory;
    this.size = size;
    this.#desc = rings.desc;
    this.#available = rings.available;
    this.#used = rings.used;
    this.#eventIdx = eventIdx;
  }

  /** The queue at these guest addresses, or what is wrong with them. */
  static open(memory: GuestMemory, at: QueueAddresses, eventIdx: boolean): SplitQueue | string {
    const size = at.size;
    if (size < 1 || size > at.sizeMax || (size & (size - 1)) !== 0) return `queue size ${size}`;
    if (at.desc % 16 !== 0 || at.driver % 2 !== 0 || at.device % 4 !== 0) return 'unaligned ring';
    const desc = memory.offsetOf(at.desc, 16 * size);
    const available = memory.offsetOf(at.driver, 6 + 2 * size);
    const used = memory.offsetOf(at.device, 6 + 8 * size);
    if (desc < 0 || available < 0 || used < 0) return 'ring outside of RAM';
    return new SplitQueue(memory, size, { desc, available, used }, eventIdx);
  }

  /**
   * Takes the next request. A bad chain is returned to the driver unused, so that its memory is not lost, and sets
   * `fault`.
   */
  pop(): Chain | undefined {
    if (this.fault !== '') return undefined;
    const index = this.#memory.loadUint16At(this.#available + 2);
    const waiting = (index - this.#nextAvailable) & 0xffff;
    if (waiting === 0) return undefined;
    if (waiting > this.size) return this.#fail(`available index jumps by ${waiting}`);
    if (this.#inFlight >= this.size) return this.#fail('more requests than descriptors');
    const slot = this.#nextAvailable & (this.size - 1);
    const head = this.#memory.uint16At(this.#available + 4 + 2 * slot);
    if (head >= this.size) return this.#fail(`head ${head} of ${this.size}`);
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    this.#inFlight++;
    const chain = this.#walk(head);
    if (chain === undefined) this.push(head, 0);
    return chain;
  }

  /** Puts the last request back: the next `pop` takes it again. */
  unpop(): void {
    this.#nextAvailable = (this.#nextAvailable - 1) & 0xffff;
    this.#inFlight--;
  }

  #walk(head: number): Chain | undefined {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let total = 0;
    let index = head;
    for (let count = 0; count < this.size; count++) {
      const at = this.#desc + 16 * index;
      const address = this.#memory.uint64At(at);
      const length = this.#memory.uint32At(at + 8);
      const flags = this.#memory.uint16At(at + 12);
      const next = this.#memory.uint16At(at + 14);
      if ((flags & F_INDIRECT) !== 0) return this.#fail('indirect descriptor');
      const write = (flags & F_WRITE) !== 0;
      if (!write && writable.length > 0) return this.#fail('readable descriptor after a writable one');
      const offset = this.#memory.offsetOf(address, length);
      if (offset < 0) return this.#fail('buffer outside of RAM');
      total += length;
      if (total > MAX_CHAIN_BYTES) return this.#fail('chain longer than 4 GiB');
      (write ? writable : readable).push({ offset, length });
      if ((flags & F_NEXT) === 0) return new Chain(this.#memory, head, readable, writable);
      if (next >= this.size) return this.#fail(`next ${next} of ${this.size}`);
      index = next;
    }
    return this.#fail('descriptor chain does not end');
  }

  #fail(fault: string): undefined {
    this.fault = fault;
    return undefined;
  }

  /** Returns the request with that head; the device wrote `length` bytes into it. */
  push(head: number, length: number): void {
    const at = this.#used + 4 + 8 * (this.#nextUsed & (this.size - 1));
    this.#memory.setUint32At(at, head);
    this.#memory.setUint32At(at + 4, length);
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    this.#memory.storeUint16At(this.#used + 2, this.#nextUsed);
    this.#memory.touch(at, 8);
    this.#memory.touch(this.#used, 4);
    this.#inFlight--;
  }

  /** True when something was returned since the last call and the driver wants an interrupt for it. */
  takeInterrupt(): boolean {
    const before = this.#signalled;
    const now = this.#nextUsed;
    if (before === now) return false;
    this.#signalled = now;
    if (!this.#eventIdx) return (this.#memory.loadUint16At(this.#available) & NO_INTERRUPT) === 0;
    const wanted = this.#memory.loadUint16At(this.#available + 4 + 2 * this.size);
    return ((now - wanted - 1) & 0xffff) < ((now - before) & 0xffff);
  }

  /** Asks for a notification of the next request; true when one is already there. */
  armNotification(): boolean {
    if (this.fault !== '') return false;
    if (this.#eventIdx) {
      const at = this.#used + 4 + 8 * this.size;
      this.#memory.storeUint16At(at, this.#nextAvailable);
      this.#memory.touch(at, 2);
    }
    return this.#memory.loadUint16At(this.#available + 2) !== this.#nextAvailable;
  }

  position(): QueuePosition {
    return { nextAvailable: this.#nextAvailable, nextUsed: this.#nextUsed, signalled: this.#signalled };
  }

  /** Goes on where a saved queue was. */
  resumeAt(position: QueuePosition): void {
    this.#nextAvailable = position.nextAvailable & 0xffff;
    this.#nextUsed = position.nextUsed & 0xffff;
    this.#signalled = position.signalled & 0xffff;
  }
}
