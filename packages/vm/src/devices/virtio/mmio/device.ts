/**
 * The guest's half of a virtio device, on the vCPU's thread: the registers, in shared memory. What the main
 * thread must do arrives there as bits and one doorbell ring.
 *
 * The status machine is strict: 0 → 1 → 3 → 11 → 15, FAILED at any time, no bit cleared except by a reset; features
 * change only between DRIVER and FEATURES_OK, queues only between FEATURES_OK and DRIVER_OK. A reset takes
 * effect before the write returns: it waits for the device's lock, so the main thread is out of guest memory.
 */
import type { IoHandler } from '../../../machine/bus.ts';
import { SpinLock } from '../../../machine/spin-lock.ts';
import type { InterruptLines } from '../../ioapic/device.ts';
import {
  CONFIG_OFFSET,
  F_VERSION_1_HIGH,
  MAGIC,
  MAX_CONFIG_BYTES,
  MAX_QUEUES,
  QUEUE_STRIDE,
  QueueWord,
  Reg,
  Status,
  TRANSPORT_VERSION,
  VENDOR,
  Word,
} from './regs.ts';

export class VirtioMmio implements IoHandler {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #config: Uint8Array<SharedArrayBuffer>;
  readonly #lock: SpinLock;
  readonly #pin: number;
  readonly #lines: InterruptLines;
  readonly #ring: () => void;

  /** @param ring tells the main thread to look at this slot */
  constructor(
    buffer: SharedArrayBuffer,
    byteOffset: number,
    pin: number,
    lines: InterruptLines,
    ring: () => void,
  ) {
    this.#words = new Int32Array(buffer, byteOffset, CONFIG_OFFSET / 4);
    this.#config = new Uint8Array(buffer, byteOffset + CONFIG_OFFSET, MAX_CONFIG_BYTES);
    this.#lock = new SpinLock(this.#words, Word.LOCK);
    this.#pin = pin;
    this.#lines = lines;
    this.#ring = ring;
  }

  read(offset: number, size: number): number {
    if (offset >= Reg.CONFIG) return this.#readConfig(offset - Reg.CONFIG, size);
    if (size !== 4) return size === 1 ? 0xff : 0xffff;
    return this.#readRegister(offset) >>> 0;
  }

  write(offset: number, size: number, value: number): void {
    if (size !== 4 || offset >= Reg.CONFIG) return;
    switch (offset) {
      case Reg.QUEUE_NOTIFY:
        this.#notify(value >>> 0);
        break;
      case Reg.INTERRUPT_ACK:
        this.#acknowledge(value);
        break;
      case Reg.DEVICE_FEATURES_SEL:
        this.#put(Word.DEVICE_FEATURES_SEL, value);
        break;
      case Reg.DRIVER_FEATURES_SEL:
        this.#put(Word.DRIVER_FEATURES_SEL, value);
        break;
      case Reg.QUEUE_SEL:
        this.#put(Word.QUEUE_SEL, value);
        break;
      case Reg.DRIVER_FEATURES:
        this.#acceptFeatures(value);
        break;
      case Reg.STATUS:
        this.#lock.lock();
        this.#setStatus(value & 0xff);
        this.#lock.unlock();
        break;
      default:
        this.#configureQueue(offset, value);
    }
  }

  #readRegister(offset: number): number {
    switch (offset) {
      case Reg.MAGIC:
        return MAGIC;
      case Reg.VERSION:
        return TRANSPORT_VERSION;
      case Reg.DEVICE_ID:
        return this.#get(Word.DEVICE_ID);
      case Reg.VENDOR_ID:
        return VENDOR;
      case Reg.DEVICE_FEATURES: {
        const half = this.#get(Word.DEVICE_FEATURES_SEL) >>> 0;
        return half < 2 ? this.#get(Word.DEVICE_FEATURES + half) : 0;
      }
      case Reg.QUEUE_SIZE_MAX:
        return this.#readQueue(QueueWord.SIZE_MAX);
      case Reg.QUEUE_READY:
        return this.#readQueue(QueueWord.READY);
      case Reg.INTERRUPT_STATUS:
        return this.#get(Word.INTERRUPT_STATUS);
      case Reg.STATUS:
        return this.#get(Word.STATUS);
      case Reg.CONFIG_GENERATION:
        return this.#get(Word.CONFIG_GENERATION);
      default:
        // No shared memory regions: a length of all ones. Write-only and unknown registers read 0.
        return offset >= Reg.SHM_LEN_LOW && offset <= Reg.SHM_BASE_HIGH ? -1 : 0;
    }
  }

  #readConfig(offset: number, size: number): number {
    if (offset + size > this.#get(Word.CONFIG_LENGTH))
      return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 0x100 + (this.#config[offset + i] as number);
    return value;
  }

  #notify(index: number): void {
    if (index >= this.#get(Word.QUEUE_COUNT) || (this.#get(Word.STATUS) & Status.DRIVER_OK) === 0) return;
    Atomics.or(this.#words, Word.NOTIFIED + (index >> 5), 1 << (index & 31));
    this.#ring();
  }

  #acknowledge(bits: number): void {
    const before = Atomics.and(this.#words, Word.INTERRUPT_STATUS, ~bits);
    if ((before & ~bits) !== 0) return;
    this.#lines.set(this.#pin, false);
    // The main thread may have raised it again in between.
    if (this.#get(Word.INTERRUPT_STATUS) !== 0) this.#lines.set(this.#pin, true);
  }

  #acceptFeatures(value: number): void {
    const status = this.#get(Word.STATUS);
    const half = this.#get(Word.DRIVER_FEATURES_SEL) >>> 0;
    if ((status & Status.DRIVER) === 0 || (status & Status.FEATURES_OK) !== 0 || half > 1) return;
    this.#put(Word.DRIVER_FEATURES + half, value);
  }

  #setStatus(value: number): void {
    const status = this.#get(Word.STATUS);
    const own = status & Status.NEEDS_RESET;
    const before = status & ~Status.NEEDS_RESET;
    const wanted = value & ~Status.NEEDS_RESET;
    if (value === 0) this.#reset();
    else if ((before & ~wanted) !== 0) return;
    else if ((wanted & ~before) === Status.FAILED) this.#put(Word.STATUS, status | Status.FAILED);
    else if (before === 0 && wanted === 1) this.#put(Word.STATUS, 1 | own);
    else if (before === 1 && wanted === 3) this.#put(Word.STATUS, 3 | own);
    else if (before === 3 && wanted === 11 && this.#featuresFit()) this.#put(Word.STATUS, 11 | own);
    else if (before === 11 && wanted === 15 && own === 0) {
      this.#put(Word.STATUS, 15);
      this.#ring();
    }
  }

  #featuresFit(): boolean {
    const low = this.#get(Word.DRIVER_FEATURES);
    const high = this.#get(Word.DRIVER_FEATURES + 1);
    return (
      (low & ~this.#get(Word.DEVICE_FEATURES)) === 0 &&
      (high & ~this.#get(Word.DEVICE_FEATURES + 1)) === 0 &&
      (high & F_VERSION_1_HIGH) !== 0
    );
  }

  #reset(): void {
    resetSlot(this.#words);
    this.#lines.set(this.#pin, false);
    this.#ring();
  }

  #readQueue(word: number): number {
    const index = this.#get(Word.QUEUE_SEL) >>> 0;
    return index < this.#get(Word.QUEUE_COUNT) ? this.#get(Word.QUEUES + index * QUEUE_STRIDE + word) : 0;
  }

  #configureQueue(offset: number, value: number): void {
    const word = queueWord(offset);
    const index = this.#get(Word.QUEUE_SEL) >>> 0;
    if (word < 0 || index >= this.#get(Word.QUEUE_COUNT)) return;
    const status = this.#get(Word.STATUS);
    if ((status & Status.FEATURES_OK) === 0 || (status & Status.DRIVER_OK) !== 0) return;
    const base = Word.QUEUES + index * QUEUE_STRIDE;
    if (word === QueueWord.READY) this.#put(base + word, value & 1);
    else if (this.#get(base + QueueWord.READY) === 0) this.#put(base + word, value);
  }

  #get(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #put(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}

/** Puts the registers of a slot in their reset state; identity, features offered and configuration stay. */
export function resetSlot(words: Int32Array<SharedArrayBuffer>): void {
  for (const word of [
    Word.STATUS,
    Word.DEVICE_FEATURES_SEL,
    Word.DRIVER_FEATURES_SEL,
    Word.QUEUE_SEL,
    Word.INTERRUPT_STATUS,
    Word.DRIVER_FEATURES,
    Word.DRIVER_FEATURES + 1,
    Word.NOTIFIED,
    Word.NOTIFIED + 1,
  ]) {
    Atomics.store(words, word, 0);
  }
  for (let index = 0; index < MAX_QUEUES; index++) {
    for (let word = QueueWord.SIZE; word < QUEUE_STRIDE; word++) {
      Atomics.store(words, Word.QUEUES + index * QUEUE_STRIDE + word, 0);
    }
  }
  Atomics.add(words, Word.RESETS, 1);
}

/** The queue word behind a register, or -1. */
function queueWord(offset: number): number {
  switch (offset) {
    case Reg.QUEUE_SIZE:
      return QueueWord.SIZE;
    case Reg.QUEUE_READY:
      return QueueWord.READY;
    case Reg.QUEUE_DESC_LOW:
      return QueueWord.DESC;
    case Reg.QUEUE_DESC_HIGH:
      return QueueWord.DESC + 1;
    case Reg.QUEUE_DRIVER_LOW:
      return QueueWord.DRIVER;
    case Reg.QUEUE_DRIVER_HIGH:
      return QueueWord.DRIVER + 1;
    case Reg.QUEUE_DEVICE_LOW:
      return QueueWord.DEVICE;
    case Reg.QUEUE_DEVICE_HIGH:
      return QueueWord.DEVICE + 1;
    default:
      return -1;
  }
}
