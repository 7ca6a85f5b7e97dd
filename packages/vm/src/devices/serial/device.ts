/**
 * A 16550A at COM1. The guest's half (registers) runs on the vCPU's thread, the host's half on the main thread;
 * between them two bounded rings in shared memory.
 *
 * Output policy: when the ring is full, THR is busy (LSR bit 5 clear) until the main thread takes it; a byte
 * written all the same overwrites, as on hardware, that is, it is lost. The main thread takes the ring whenever
 * its event loop turns, so a reader that never drains costs nothing here (see SerialPort for what is kept).
 */
import type { IoHandler } from '../../machine/bus.ts';
import { SpinLock } from '../../machine/spin-lock.ts';
import type { InterruptLines } from '../ioapic/device.ts';
import {
  COM1_IRQ,
  Fcr,
  Ier,
  Iir,
  INPUT_BYTES,
  LCR_DLAB,
  Lsr,
  Mcr,
  Msr,
  OUTPUT_BYTES,
  Reg,
  Word,
  WORDS_BYTES,
} from './regs.ts';
import type { SerialState } from './state.ts';

export class Serial implements IoHandler {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #input: Uint8Array<SharedArrayBuffer>;
  readonly #output: Uint8Array<SharedArrayBuffer>;
  readonly #lock: SpinLock;
  readonly #lines: InterruptLines;
  readonly #ring: (waits: boolean) => void;

  /**
   * @param offsets of the words, the input ring and the output ring in the shared memory
   * @param ring tells the main thread that output or room for input has appeared; `waits`: the guest may see what
   *   comes of it
   */
  constructor(
    buffer: SharedArrayBuffer,
    offsets: { words: number; input: number; output: number },
    lines: InterruptLines,
    ring: (waits: boolean) => void,
  ) {
    this.#words = new Int32Array(buffer, offsets.words, WORDS_BYTES / 4);
    this.#input = new Uint8Array(buffer, offsets.input, INPUT_BYTES);
    this.#output = new Uint8Array(buffer, offsets.output, OUTPUT_BYTES);
    this.#lock = new SpinLock(this.#words, Word.LOCK);
    this.#lines = lines;
    this.#ring = ring;
  }

  reset(): void {
    this.#words.fill(0);
    this.#words[Word.LCR] = 0x03;
    this.#words[Word.MCR] = Mcr.OUT2;
    this.#words[Word.DIVISOR] = 12;
    this.#lines.set(COM1_IRQ, false);
  }

  // ---- the guest's half ----

  read(offset: number, _size: number): number {
    switch (offset) {
      case Reg.DATA:
        return this.#dlab() ? this.#get(Word.DIVISOR) & 0xff : this.#receive();
      case Reg.IER:
        return this.#dlab() ? this.#get(Word.DIVISOR) >> 8 : this.#get(Word.IER);
      case Reg.IIR_FCR:
        return this.#identify();
      case Reg.LCR:
        return this.#get(Word.LCR);
      case Reg.MCR:
        return this.#get(Word.MCR);
      case Reg.LSR:
        return this.#lineStatus();
      case Reg.MSR:
        return this.#modemStatus();
      case Reg.SCR:
        return this.#get(Word.SCR);
      default:
        return 0xff;
    }
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    if (offset === Reg.DATA && !this.#dlab()) {
      this.#transmit(byte);
      return;
    }
    this.#lock.lock();
    this.#configure(offset, byte);
    this.#updateLine();
    this.#lock.unlock();
  }

  #configure(offset: number, byte: number): void {
    const divisor = this.#get(Word.DIVISOR);
    switch (offset) {
      case Reg.DATA:
        this.#put(Word.DIVISOR, (divisor & 0xff00) | byte);
        break;
      case Reg.IER:
        if (this.#dlab()) this.#put(Word.DIVISOR, (divisor & 0xff) | (byte << 8));
        else this.#enable(byte & 0x0f);
        break;
      case Reg.IIR_FCR:
        this.#put(Word.FIFO, byte & Fcr.ENABLE);
        if ((byte & Fcr.CLEAR_RX) !== 0) this.#put(Word.INPUT_TAIL, this.#get(Word.INPUT_HEAD));
        break;
      case Reg.LCR:
        this.#put(Word.LCR, byte);
        break;
      case Reg.MCR:
        this.#put(Word.MCR, byte & 0x1f);
        break;
      case Reg.SCR:
        this.#put(Word.SCR, byte);
        break;
    }
  }

  /** Enabling the THR-empty interrupt while THR is empty raises it (drivers test for that). */
  #enable(bits: number): void {
    const before = this.#get(Word.IER);
    this.#put(Word.IER, bits);
    if ((bits & ~before & Ier.THR_EMPTY) !== 0 && this.#get(Word.STALLED) === 0)
      this.#put(Word.THR_PENDING, 1);
  }

  #transmit(byte: number): void {
    if ((this.#get(Word.MCR) & Mcr.LOOP) !== 0) {
      this.offer(Uint8Array.of(byte));
      return;
    }
    this.#lock.lock();
    const head = this.#get(Word.OUTPUT_HEAD);
    const used = (head - this.#get(Word.OUTPUT_TAIL)) | 0;
    if (used < OUTPUT_BYTES) {
      this.#output[head & (OUTPUT_BYTES - 1)] = byte;
      this.#put(Word.OUTPUT_HEAD, (head + 1) | 0);
      this.#put(Word.STALLED, used === OUTPUT_BYTES - 1 ? 1 : 0);
    } else {
      this.#put(Word.OVERWRITTEN, this.#get(Word.OVERWRITTEN) + 1);
    }
    if ((this.#get(Word.IER) & Ier.THR_EMPTY) !== 0) {
      // The write clears the interrupt, the empty register raises it again: an edge.
      this.#put(Word.THR_PENDING, 0);
      this.#updateLine();
      this.#put(Word.THR_PENDING, this.#get(Word.STALLED) ^ 1);
      this.#updateLine();
    }
    this.#lock.unlock();
    const stalls = used === OUTPUT_BYTES - 1;
    if (used === 0 || stalls) this.#ring(stalls);
  }

  #receive(): number {
    this.#lock.lock();
    const tail = this.#get(Word.INPUT_TAIL);
    let left = (this.#get(Word.INPUT_HEAD) - tail) | 0;
    let byte = 0;
    if (left > 0) {
      byte = this.#input[tail & (INPUT_BYTES - 1)] as number;
      this.#put(Word.INPUT_TAIL, (tail + 1) | 0);
      left--;
      // A FIFO that holds more keeps the line high; drivers read until it is empty.
      this.#updateLine();
    }
    const feed = left === 0 && this.#get(Word.HUNGRY) !== 0;
    if (feed) this.#put(Word.HUNGRY, 0);
    this.#lock.unlock();
    if (feed) this.#ring(true);
    return byte;
  }

  #identify(): number {
    this.#lock.lock();
    const fifo = this.#get(Word.FIFO) !== 0 ? Iir.FIFO_ENABLED : 0;
    const pending = this.#pending();
    if (pending === Iir.THR_EMPTY) {
      this.#put(Word.THR_PENDING, 0);
      this.#updateLine();
    }
    this.#lock.unlock();
    return fifo | pending;
  }

  #lineStatus(): number {
    const ready = this.#get(Word.INPUT_HEAD) !== this.#get(Word.INPUT_TAIL) ? Lsr.DATA_READY : 0;
    return ready | (this.#get(Word.STALLED) === 0 ? Lsr.THR_EMPTY | Lsr.IDLE : 0);
  }

  #modemStatus(): number {
    const mcr = this.#get(Word.MCR);
    if ((mcr & Mcr.LOOP) === 0) return Msr.DCD | Msr.DSR | Msr.CTS;
    return (
      ((mcr & Mcr.DTR) !== 0 ? Msr.DSR : 0) |
      ((mcr & Mcr.RTS) !== 0 ? Msr.CTS : 0) |
      ((mcr & Mcr.OUT1) !== 0 ? Msr.RI : 0) |
      ((mcr & Mcr.OUT2) !== 0 ? Msr.DCD : 0)
    );
  }

  #pending(): number {
    const enabled = this.#get(Word.IER);
    const ready = this.#get(Word.INPUT_HEAD) !== this.#get(Word.INPUT_TAIL);
    if ((enabled & Ier.RECEIVED) !== 0 && ready) return Iir.RECEIVED;
    if ((enabled & Ier.THR_EMPTY) !== 0 && this.#get(Word.THR_PENDING) !== 0) return Iir.THR_EMPTY;
    return Iir.NONE;
  }

  /** OUT2 gates the interrupt on PCs. */
  #updateLine(): void {
    const gate = (this.#get(Word.MCR) & Mcr.OUT2) !== 0;
    this.#lines.set(COM1_IRQ, gate && this.#pending() !== Iir.NONE);
  }

  // ---- the host's half ----

  /** Takes all output; THR becomes empty again if it was busy. */
  take(): Uint8Array {
    this.#lock.lock();
    const tail = this.#get(Word.OUTPUT_TAIL);
    const length = (this.#get(Word.OUTPUT_HEAD) - tail) | 0;
    const taken = new Uint8Array(length);
    const start = tail & (OUTPUT_BYTES - 1);
    const first = Math.min(length, OUTPUT_BYTES - start);
    taken.set(this.#output.subarray(start, start + first));
    taken.set(this.#output.subarray(0, length - first), first);
    this.#put(Word.OUTPUT_TAIL, (tail + length) | 0);
    if (this.#get(Word.STALLED) !== 0) {
      this.#put(Word.STALLED, 0);
      this.#put(Word.THR_PENDING, 1);
      this.#updateLine();
    }
    this.#lock.unlock();
    return taken;
  }

  /** Gives the guest as much input as fits; the rest is the caller's until the doorbell rings again. */
  offer(bytes: Uint8Array): number {
    this.#lock.lock();
    const head = this.#get(Word.INPUT_HEAD);
    const free = INPUT_BYTES - ((head - this.#get(Word.INPUT_TAIL)) | 0);
    const count = Math.min(free, bytes.length);
    for (let i = 0; i < count; i++) this.#input[(head + i) & (INPUT_BYTES - 1)] = bytes[i] as number;
    this.#put(Word.INPUT_HEAD, (head + count) | 0);
    if (count < bytes.length) this.#put(Word.HUNGRY, 1);
    this.#updateLine();
    this.#lock.unlock();
    return count;
  }

  /** Bytes lost because the guest wrote while THR was busy. */
  get overwritten(): number {
    return this.#get(Word.OVERWRITTEN);
  }

  save(): SerialState {
    const input: number[] = [];
    for (let at = this.#get(Word.INPUT_TAIL); at !== this.#get(Word.INPUT_HEAD); at = (at + 1) | 0) {
      input.push(this.#input[at & (INPUT_BYTES - 1)] as number);
    }
    return {
      kind: 'serial',
      version: 1,
      interruptEnable: this.#get(Word.IER),
      lineControl: this.#get(Word.LCR),
      modemControl: this.#get(Word.MCR),
      scratch: this.#get(Word.SCR),
      divisor: this.#get(Word.DIVISOR),
      fifoEnabled: this.#get(Word.FIFO) !== 0,
      thrEmptyPending: this.#get(Word.THR_PENDING) !== 0,
      input,
    };
  }

  /** After a load THR is empty, and the interrupt is raised again: a lost one would leave the driver stuck. */
  load(state: SerialState): void {
    this.reset();
    this.#put(Word.IER, state.interruptEnable);
    this.#put(Word.LCR, state.lineControl);
    this.#put(Word.MCR, state.modemControl);
    this.#put(Word.SCR, state.scratch);
    this.#put(Word.DIVISOR, state.divisor);
    this.#put(Word.FIFO, state.fifoEnabled ? 1 : 0);
    const raised = state.thrEmptyPending || (state.interruptEnable & Ier.THR_EMPTY) !== 0;
    this.#put(Word.THR_PENDING, raised ? 1 : 0);
    this.offer(Uint8Array.from(state.input));
  }

  #dlab(): boolean {
    return (this.#get(Word.LCR) & LCR_DLAB) !== 0;
  }

  #get(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #put(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}
