/**
 * The I/O APIC: turns interrupt lines into messages for the vCPUs' mailboxes. Its registers are shared words
 * under a spin lock, because devices on the main thread and the vCPU threads both raise lines.
 *
 * An edge on a masked pin is lost, as the datasheet says. A level pin sends once, sets remote IRR, and sends again
 * after the end of interrupt while its line is still asserted.
 */
import { type VcpuMailbox, Request } from '../../machine/mailbox.ts';
import { SpinLock } from '../../machine/spin-lock.ts';
import {
  DeliveryMode,
  IOAPIC_ID,
  IOAPIC_PINS,
  IOAPIC_VERSION_VALUE,
  IOAPIC_WORDS,
  IOAPICARB,
  IOAPICID,
  IOAPICVER,
  IOREDTBL,
  IOREGSEL,
  IOWIN,
  Redirection,
  Word,
} from './regs.ts';
import type { IoApicState } from './state.ts';

/** What a device may do with its interrupt pin. */
export interface InterruptLines {
  /** Drives the line of `pin`; an edge pin fires on the change from low to high. */
  set(pin: number, asserted: boolean): void;
  /** A new event on a line that may still be high: an edge pin fires again, a level pin stays asserted. */
  pulse(pin: number): void;
}

export class IoApic implements InterruptLines {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #lock: SpinLock;
  readonly #vcpus: readonly VcpuMailbox[];

  /** @param mailboxes of the vCPUs; a vCPU's APIC id is its index */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, mailboxes: readonly VcpuMailbox[]) {
    this.#words = new Int32Array(buffer, byteOffset, IOAPIC_WORDS);
    this.#lock = new SpinLock(this.#words, Word.LOCK);
    this.#vcpus = mailboxes;
  }

  reset(): void {
    this.#words.fill(0);
    this.#words[Word.ID] = IOAPIC_ID;
    for (let pin = 0; pin < IOAPIC_PINS; pin++) this.#words[Word.TABLE + 2 * pin] = Redirection.MASKED;
  }

  set(pin: number, asserted: boolean): void {
    this.#lock.lock();
    const lines = this.#word(Word.LINES);
    const bit = 1 << pin;
    if (asserted !== ((lines & bit) !== 0)) {
      this.#words[Word.LINES] = lines ^ bit;
      if (asserted) this.#service(pin);
    }
    this.#lock.unlock();
  }

  pulse(pin: number): void {
    this.#lock.lock();
    this.#words[Word.LINES] = this.#word(Word.LINES) | (1 << pin);
    this.#service(pin);
    this.#lock.unlock();
  }

  /** A vCPU ended the level-triggered interrupt `vector`. */
  endOfInterrupt(vector: number): void {
    this.#lock.lock();
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      const low = this.#word(Word.TABLE + 2 * pin);
      if ((low & Redirection.VECTOR) !== vector || (low & Redirection.REMOTE_IRR) === 0) continue;
      this.#words[Word.TABLE + 2 * pin] = low & ~Redirection.REMOTE_IRR;
      if ((this.#word(Word.LINES) & (1 << pin)) !== 0) this.#service(pin);
    }
    this.#lock.unlock();
  }

  /** Registers are 32 bits wide; anything else reads all ones and writes nothing. */
  read(offset: number, size: number): number {
    if (size !== 4) return size === 1 ? 0xff : 0xffff;
    if (offset === IOREGSEL) return this.#word(Word.SELECT);
    if (offset !== IOWIN) return 0;
    const select = this.#word(Word.SELECT);
    if (select === IOAPICID || select === IOAPICARB) return (this.#word(Word.ID) << 24) >>> 0;
    if (select === IOAPICVER) return IOAPIC_VERSION_VALUE;
    const entry = select - IOREDTBL;
    return entry >= 0 && entry < 2 * IOAPIC_PINS ? this.#word(Word.TABLE + entry) >>> 0 : 0;
  }

  write(offset: number, size: number, value: number): void {
    if (size !== 4) return;
    if (offset === IOREGSEL) {
      Atomics.store(this.#words, Word.SELECT, value & 0xff);
      return;
    }
    if (offset !== IOWIN) return;
    this.#lock.lock();
    this.#writeRegister(this.#word(Word.SELECT), value);
    this.#lock.unlock();
  }

  #writeRegister(select: number, value: number): void {
    if (select === IOAPICID) {
      this.#words[Word.ID] = (value >>> 24) & 0xf;
      return;
    }
    const entry = select - IOREDTBL;
    if (entry < 0 || entry >= 2 * IOAPIC_PINS) return;
    if ((entry & 1) !== 0) {
      this.#words[Word.TABLE + entry] = value & 0xff000000;
      return;
    }
    // An edge entry has no remote IRR: software clears a stuck one by switching to edge and back.
    const kept =
      (value & Redirection.LEVEL) !== 0 ? this.#word(Word.TABLE + entry) & Redirection.REMOTE_IRR : 0;
    this.#words[Word.TABLE + entry] = (value & Redirection.WRITABLE) | kept;
    const pin = entry >> 1;
    const asserted = (this.#word(Word.LINES) & (1 << pin)) !== 0;
    if (asserted && (value & Redirection.LEVEL) !== 0) this.#service(pin);
  }

  /** Sends the message of an asserted pin, when its entry lets it. */
  #service(pin: number): void {
    const low = this.#word(Word.TABLE + 2 * pin);
    if ((low & Redirection.MASKED) !== 0) return;
    const mode = (low >> Redirection.DELIVERY_MODE_SHIFT) & 7;
    // NMI and INIT are edge-triggered whatever the entry says.
    const level = (low & Redirection.LEVEL) !== 0 && mode <= DeliveryMode.LOWEST;
    if (level && (low & Redirection.REMOTE_IRR) !== 0) return;
    const destination = this.#word(Word.TABLE + 2 * pin + 1) >>> 24;
    const logical = (low & Redirection.DESTINATION_LOGICAL) !== 0;
    if (this.#deliver(mode, low & Redirection.VECTOR, level, destination, logical) && level) {
      this.#words[Word.TABLE + 2 * pin] = low | Redirection.REMOTE_IRR;
    }
  }

  /** True when some vCPU took the message. */
  #deliver(mode: number, vector: number, level: boolean, destination: number, logical: boolean): boolean {
    const fixed = mode === DeliveryMode.FIXED || mode === DeliveryMode.LOWEST;
    if (fixed && vector < 16) return false;
    if (!fixed && mode !== DeliveryMode.NMI && mode !== DeliveryMode.INIT) return false;
    let delivered = false;
    for (let index = 0; index < this.#vcpus.length; index++) {
      if (!addresses(destination, logical, index)) continue;
      const vcpu = this.#vcpus[index] as VcpuMailbox;
      if (fixed) vcpu.post(vector, level);
      else vcpu.request(mode === DeliveryMode.NMI ? Request.NMI : Request.INIT);
      delivered = true;
      if (mode === DeliveryMode.LOWEST) break;
    }
    return delivered;
  }

  save(): IoApicState {
    const redirections: [number, number][] = [];
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      redirections.push([this.#word(Word.TABLE + 2 * pin) >>> 0, this.#word(Word.TABLE + 2 * pin + 1) >>> 0]);
    }
    return {
      kind: 'ioapic',
      version: 1,
      select: this.#word(Word.SELECT),
      id: this.#word(Word.ID),
      lines: this.#word(Word.LINES) >>> 0,
      redirections,
    };
  }

  load(state: IoApicState): void {
    this.reset();
    this.#words[Word.SELECT] = state.select;
    this.#words[Word.ID] = state.id;
    this.#words[Word.LINES] = state.lines;
    state.redirections.slice(0, IOAPIC_PINS).forEach(([low, high], pin) => {
      this.#words[Word.TABLE + 2 * pin] = low;
      this.#words[Word.TABLE + 2 * pin + 1] = high;
    });
  }

  #word(index: number): number {
    return Atomics.load(this.#words, index);
  }
}

/**
 * Physical: the APIC id, 0xff for all. Logical: flat model with the logical ids that Linux programs, one bit per
 * CPU (more than 8 CPUs need physical destinations, which Linux then uses).
 */
function addresses(destination: number, logical: boolean, index: number): boolean {
  if (destination === 0xff) return true;
  return logical ? index < 8 && (destination & (1 << index)) !== 0 : destination === index;
}
