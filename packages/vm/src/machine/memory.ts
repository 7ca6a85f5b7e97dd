/**
 * Guest RAM as devices see it: regions of shared bytes, checked once per access. Every write marks the touched
 * pages dirty and, where a vCPU holds decoded code of a page, tells every vCPU to drop it. A guest address that
 * is not wholly inside one region is a returned `false` or -1, never an exception.
 */
import type { Gpa, Hva } from '../base/brand.ts';
import { GUEST_PAGE, type MemoryLayout, PageFlag, type RamRegion } from './layout.ts';
import type { VcpuMailbox } from './mailbox.ts';

export class GuestMemory {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly #view: DataView<SharedArrayBuffer>;
  readonly #halves: Uint16Array<SharedArrayBuffer>;
  readonly #flags: Uint8Array<SharedArrayBuffer>;
  readonly #regions: readonly RamRegion[];
  readonly #ramOffset: number;
  readonly #mailboxes: readonly VcpuMailbox[];

  constructor(buffer: SharedArrayBuffer, layout: MemoryLayout, mailboxes: readonly VcpuMailbox[]) {
    this.bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.#halves = new Uint16Array(buffer);
    this.#flags = new Uint8Array(buffer, layout.pageFlags, layout.ramBytes / GUEST_PAGE);
    this.#regions = layout.regions;
    this.#ramOffset = layout.ramOffset;
    this.#mailboxes = mailboxes;
  }

  /** Offset in `bytes` of the `length` guest bytes at `gpa`, or -1 when they are not all RAM of one region. */
  offsetOf(gpa: Gpa, length: number): Hva {
    for (const region of this.#regions) {
      const inside = gpa - region.gpa;
      if (inside >= 0 && inside + length <= region.size) return region.offset + inside;
    }
    return -1;
  }

  /** Copies guest bytes out; false (and `target` untouched) when the range is not RAM. */
  read(gpa: Gpa, target: Uint8Array): boolean {
    const offset = this.offsetOf(gpa, target.length);
    if (offset < 0) return false;
    target.set(this.bytes.subarray(offset, offset + target.length));
    return true;
  }

  /** Copies bytes into the guest; false (and nothing written) when the range is not RAM. */
  write(gpa: Gpa, source: Uint8Array): boolean {
    const offset = this.offsetOf(gpa, source.length);
    if (offset < 0) return false;
    this.bytes.set(source, offset);
    this.touch(offset, source.length);
    return true;
  }

  /** Unsigned little-endian value of `size` bytes, or -1 outside RAM. */
  readUint(gpa: Gpa, size: 1 | 2 | 4): number {
    const offset = this.offsetOf(gpa, size);
    if (offset < 0) return -1;
    if (size === 1) return this.#view.getUint8(offset);
    return size === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint32(offset, true);
  }

  /** Writes the low `size` bytes of `value`, little-endian; false outside RAM. */
  writeUint(gpa: Gpa, size: 1 | 2 | 4, value: number): boolean {
    const offset = this.offsetOf(gpa, size);
    if (offset < 0) return false;
    if (size === 1) this.#view.setUint8(offset, value);
    else if (size === 2) this.#view.setUint16(offset, value, true);
    else this.#view.setUint32(offset, value, true);
    this.touch(offset, size);
    return true;
  }

  // ---- by offset, for ranges that offsetOf has checked ----

  uint16At(offset: Hva): number {
    return this.#view.getUint16(offset, true);
  }

  uint32At(offset: Hva): number {
    return this.#view.getUint32(offset, true);
  }

  /** A 64-bit guest value; beyond 2^53 it is only roughly right, which every bounds check refuses. */
  uint64At(offset: Hva): number {
    return this.#view.getUint32(offset + 4, true) * 0x1_0000_0000 + this.#view.getUint32(offset, true);
  }

  setUint32At(offset: Hva, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  /** Sequentially consistent load of an aligned half word (a ring index). */
  loadUint16At(offset: Hva): number {
    return Atomics.load(this.#halves, offset >>> 1);
  }

  /** One single store of an aligned half word, with a full fence. */
  storeUint16At(offset: Hva, value: number): void {
    Atomics.store(this.#halves, offset >>> 1, value);
  }

  /**
   * Marks `length` bytes at `offset` written. Call it *after* the bytes: a vCPU that decodes sets CODE before it
   * reads, so whoever read old bytes is seen here (the atomic OR is the fence between).
   */
  touch(offset: Hva, length: number): void {
    if (length === 0) return;
    const last = Math.floor((offset + length - 1 - this.#ramOffset) / GUEST_PAGE);
    for (let page = Math.floor((offset - this.#ramOffset) / GUEST_PAGE); page <= last; page++) {
      const before = Atomics.or(this.#flags, page, PageFlag.DIRTY);
      if ((before & PageFlag.CODE) !== 0) this.#invalidate(page);
    }
  }

  #invalidate(page: number): void {
    const offset = this.#ramOffset + page * GUEST_PAGE;
    for (const region of this.#regions) {
      const inside = offset - region.offset;
      if (inside < 0 || inside >= region.size) continue;
      for (const mailbox of this.#mailboxes) mailbox.invalidateCode((region.gpa + inside) / GUEST_PAGE);
    }
  }
}
