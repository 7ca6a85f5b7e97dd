/**
 * What other threads may tell a vCPU: a few shared words at the start of its area, in the manner of a
 * posted-interrupt descriptor. The vCPU polls word 0 at block boundaries and sleeps on it when halted.
 *
 *   word 0      attention: non-zero = look at the rest (poll word; Atomics.wait address)
 *   words 1-8   PIR: 256 bits of posted edge interrupt vectors
 *   words 9-16  level: which posted vectors are level-triggered (goes to the APIC's TMR)
 *   word 17     requests: Request bits
 *   word 18     acknowledged generation of STOP requests (vCPU writes)
 *   word 19     number of code pages in the invalidation ring, words 32.. the ring (guest page numbers)
 *   word 20     spin lock of the ring (held for a few instructions only)
 */
export const MAILBOX_BYTES: number = 0x1000;
const ATTENTION = 0;
const PIR = 1;
const LEVEL = 9;
const REQUESTS = 17;
const INVALIDATE_COUNT = 19;
const RING_LOCK = 20;
const INVALIDATE_RING = 32;
const INVALIDATE_MAX = MAILBOX_BYTES / 4 - INVALIDATE_RING;

export const Request = {
  /** Leave the run loop at the next instruction boundary with exact state. */
  STOP: 1,
  NMI: 2,
  INIT: 4,
  SIPI: 8,
  /** Drop all decoded code (the invalidation ring overflowed). */
  FLUSH_CODE: 16,
  RESET: 32,
} as const;

export class VcpuMailbox {
  readonly words: Int32Array<SharedArrayBuffer>;

  /** @param byteOffset start of the vCPU's area in the shared memory */
  constructor(buffer: SharedArrayBuffer, byteOffset: number) {
    this.words = new Int32Array(buffer, byteOffset, MAILBOX_BYTES / 4);
  }

  /** Makes the vCPU look, and wakes it when it sleeps. */
  kick(): void {
    Atomics.store(this.words, ATTENTION, 1);
    Atomics.notify(this.words, ATTENTION);
  }

  /** Posts interrupt `vector` (16..255). */
  post(vector: number, level = false): void {
    if (level) Atomics.or(this.words, LEVEL + (vector >> 5), 1 << (vector & 31));
    else Atomics.and(this.words, LEVEL + (vector >> 5), ~(1 << (vector & 31)));
    Atomics.or(this.words, PIR + (vector >> 5), 1 << (vector & 31));
    this.kick();
  }

  request(bits: number): void {
    Atomics.or(this.words, REQUESTS, bits);
    this.kick();
  }

  /** Takes back requests that the vCPU has not seen; only while it does not run. */
  withdraw(bits: number): void {
    Atomics.and(this.words, REQUESTS, ~bits);
  }

  /** Forgets everything; only while the vCPU does not run and no device posts. */
  reset(): void {
    this.words.fill(0);
  }

  /** Tells the vCPU that a device wrote to guest page `pageNumber`, which holds decoded code. */
  invalidateCode(pageNumber: number): void {
    this.#lockRing();
    const slot = Atomics.load(this.words, INVALIDATE_COUNT);
    if (slot < INVALIDATE_MAX) {
      Atomics.store(this.words, INVALIDATE_RING + slot, pageNumber);
      Atomics.store(this.words, INVALIDATE_COUNT, slot + 1);
    } else {
      Atomics.or(this.words, REQUESTS, Request.FLUSH_CODE);
    }
    Atomics.store(this.words, RING_LOCK, 0);
    this.kick();
  }

  // ---- the vCPU's own side ----

  /** As `takeAttention`, without clearing anything. */
  get wantsAttention(): boolean {
    return Atomics.load(this.words, ATTENTION) !== 0;
  }

  /** True when somebody wants something; clears the poll word first, so nothing is lost. */
  takeAttention(): boolean {
    return Atomics.exchange(this.words, ATTENTION, 0) !== 0;
  }

  /** Takes the posted vectors: 8 words of 32 bits each, ORed into `irr`; level bits copied into `tmr`. */
  takePosted(irr: Int32Array, tmr: Int32Array): boolean {
    let any = false;
    for (let i = 0; i < 8; i++) {
      const bits = Atomics.exchange(this.words, PIR + i, 0);
      if (bits === 0) continue;
      const level = Atomics.load(this.words, LEVEL + i);
      irr[i] = (irr[i] ?? 0) | bits;
      tmr[i] = ((tmr[i] ?? 0) & ~bits) | (level & bits);
      any = true;
    }
    return any;
  }

  takeRequests(): number {
    return Atomics.exchange(this.words, REQUESTS, 0);
  }

  /** Takes the guest page numbers whose code a device overwrote. */
  takeInvalidations(): number[] {
    const pages: number[] = [];
    if (Atomics.load(this.words, INVALIDATE_COUNT) === 0) return pages;
    this.#lockRing();
    const count = Atomics.exchange(this.words, INVALIDATE_COUNT, 0);
    for (let i = 0; i < count; i++) pages.push(Atomics.load(this.words, INVALIDATE_RING + i));
    Atomics.store(this.words, RING_LOCK, 0);
    return pages;
  }

  #lockRing(): void {
    while (Atomics.compareExchange(this.words, RING_LOCK, 0, 1) !== 0);
  }

  /** Sleeps until a kick, at most `timeoutMs` (Infinity allowed). */
  sleep(timeoutMs: number): void {
    Atomics.wait(this.words, ATTENTION, 0, timeoutMs);
  }
}
