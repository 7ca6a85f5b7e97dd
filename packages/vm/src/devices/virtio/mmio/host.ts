/**
 * The host's half of a virtio device's transport, on the main thread: it activates the device, hands its queues'
 * requests to the model, and raises interrupts. It works under the slot's lock, which a reset by the guest also
 * takes, and checks the reset count first; so nothing of a former life can touch guest memory.
 */
import { VmError } from '../../../base/errors.ts';
import type { GuestMemory } from '../../../machine/memory.ts';
import { SpinLock } from '../../../machine/spin-lock.ts';
import type { InterruptLines } from '../../ioapic/device.ts';
import type { Chain } from '../chain.ts';
import type { VirtioModel, VirtioTransport } from '../model.ts';
import { SplitQueue } from '../queue.ts';
import { resetSlot } from './device.ts';
import {
  CONFIG_OFFSET,
  F_EVENT_IDX,
  F_VERSION_1_HIGH,
  Interrupt,
  MAX_CONFIG_BYTES,
  QUEUE_STRIDE,
  QueueWord,
  Status,
  Word,
} from './regs.ts';
import type { QueueState, VirtioState } from './state.ts';

export interface VirtioHostOptions {
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly pin: number;
  readonly lines: InterruptLines;
  readonly memory: GuestMemory;
  /** Rings this slot's doorbell bit, for another turn. */
  readonly ring: () => void;
  /** Does work that the guest may see, when it may: at once, unless the machine is deterministic. */
  readonly enter?: ((work: () => void) => void) | undefined;
}

export class VirtioHost {
  readonly model: VirtioModel;
  readonly #options: VirtioHostOptions;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #config: Uint8Array<SharedArrayBuffer>;
  readonly #lock: SpinLock;
  #queues: (SplitQueue | undefined)[] = [];
  #active: ActiveTransport | undefined;
  #resets = 0;
  #entered = false;
  #paused = true;
  /** What the driver did wrong, for diagnosis. */
  fault = '';

  constructor(model: VirtioModel, options: VirtioHostOptions) {
    this.model = model;
    this.#options = options;
    this.#words = new Int32Array(options.buffer, options.byteOffset, CONFIG_OFFSET / 4);
    this.#config = new Uint8Array(options.buffer, options.byteOffset + CONFIG_OFFSET, MAX_CONFIG_BYTES);
    this.#lock = new SpinLock(this.#words, Word.LOCK);
  }

  /** Power-on state. Only while no vCPU runs. */
  powerOn(): void {
    const { model } = this;
    this.#deactivate();
    const resets = this.#get(Word.RESETS);
    this.#words.fill(0);
    this.#put(Word.RESETS, resets);
    resetSlot(this.#words);
    this.#resets = this.#get(Word.RESETS);
    this.#put(Word.DEVICE_ID, model.deviceId);
    this.#put(Word.DEVICE_FEATURES, model.features | F_EVENT_IDX);
    this.#put(Word.DEVICE_FEATURES + 1, F_VERSION_1_HIGH);
    this.#put(Word.QUEUE_COUNT, model.queueSizes.length);
    model.queueSizes.forEach((size, index) => this.#put(this.#queueWord(index, QueueWord.SIZE_MAX), size));
    const config = model.config();
    this.#config.fill(0);
    this.#config.set(config);
    this.#put(Word.CONFIG_LENGTH, config.length);
    this.#options.lines.set(this.#options.pin, false);
  }

  /** The doorbell rang for this slot. */
  serve(): void {
    if (this.#paused) return;
    this.#locked(() => {
      if (this.#active === undefined && (this.#get(Word.STATUS) & Status.DRIVER_OK) !== 0) this.#activate();
      for (let half = 0; half < 2; half++) {
        let bits = Atomics.exchange(this.#words, Word.NOTIFIED + half, 0);
        while (bits !== 0) {
          const bit = 31 - Math.clz32(bits);
          bits &= ~(1 << bit);
          this.#notify(32 * half + bit);
        }
      }
    });
  }

  async pause(): Promise<void> {
    this.#paused = true;
    await this.model.quiesce();
  }

  resume(): void {
    this.#paused = false;
    this.#kickAll();
  }

  /** Every queue is looked at in the next turn: after a pause or an activation, when rings may have been missed. */
  #kickAll(): void {
    this.#put(Word.NOTIFIED, -1);
    this.#put(Word.NOTIFIED + 1, -1);
    this.#options.ring();
  }

  #notify(index: number): void {
    if (this.#active !== undefined && this.#queues[index] !== undefined) this.model.notify(index);
  }

  #again(index: number): void {
    Atomics.or(this.#words, Word.NOTIFIED + (index >> 5), 1 << (index & 31));
    this.#options.ring();
  }

  /** Runs `work` with the slot's lock held, after noticing a reset; then sends the interrupts that are due. */
  #locked(work: () => void): void {
    if (this.#entered) {
      work();
      return;
    }
    this.#lock.lock();
    this.#entered = true;
    try {
      if (this.#get(Word.RESETS) !== this.#resets) {
        this.#resets = this.#get(Word.RESETS);
        this.#deactivate();
      }
      work();
      this.#finish();
    } finally {
      this.#entered = false;
      this.#lock.unlock();
    }
  }

  #finish(): void {
    let used = false;
    for (const [index, queue] of this.#queues.entries()) {
      if (queue === undefined) continue;
      if (queue.fault !== '') this.#fail(queue.fault);
      if (queue.takeInterrupt()) used = true;
      // A request that came between the pop that found nothing and this line sent no notification: look again.
      if (this.#active?.takeEmptied(index) === true && queue.armNotification()) this.#again(index);
    }
    if (used) this.#interrupt(Interrupt.USED);
  }

  #interrupt(bit: number): void {
    Atomics.or(this.#words, Word.INTERRUPT_STATUS, bit);
    this.#options.lines.pulse(this.#options.pin);
  }

  #activate(): void {
    const features = this.#get(Word.DRIVER_FEATURES);
    if ((this.#get(Word.STATUS) & Status.NEEDS_RESET) !== 0) return;
    const queues = this.#openQueues((features & F_EVENT_IDX) !== 0);
    if (typeof queues === 'string') {
      this.#fail(queues);
      return;
    }
    this.#queues = queues;
    this.#active = new ActiveTransport(this.#services());
    this.model.activate(this.#active, features);
    this.#kickAll();
  }

  #openQueues(eventIdx: boolean): (SplitQueue | undefined)[] | string {
    const queues: (SplitQueue | undefined)[] = [];
    for (const [index, sizeMax] of this.model.queueSizes.entries()) {
      if (this.#get(this.#queueWord(index, QueueWord.READY)) === 0) {
        queues.push(undefined);
        continue;
      }
      const size = this.#get(this.#queueWord(index, QueueWord.SIZE)) >>> 0;
      const queue = SplitQueue.open(
        this.#options.memory,
        {
          size,
          sizeMax,
          desc: this.#address(index, QueueWord.DESC),
          driver: this.#address(index, QueueWord.DRIVER),
          device: this.#address(index, QueueWord.DEVICE),
        },
        eventIdx,
      );
      if (typeof queue === 'string') return `queue ${index}: ${queue}`;
      queues.push(queue);
    }
    return queues;
  }

  #services(): Services {
    return {
      queues: this.#queues,
      paused: () => this.#paused,
      again: (index) => this.#again(index),
      fail: (reason) => this.#fail(reason),
      setConfig: (offset, bytes) => this.#setConfig(offset, bytes),
      enter: (transport, work) => {
        const locked = (): void =>
          this.#locked(() => {
            if (this.#active === transport) work();
          });
        if (this.#options.enter === undefined || this.#entered) locked();
        else this.#options.enter(locked);
      },
    };
  }

  #fail(reason: string): void {
    if ((this.#get(Word.STATUS) & Status.NEEDS_RESET) !== 0) return;
    this.fault = reason;
    for (const queue of this.#queues) if (queue !== undefined) queue.fault = reason;
    Atomics.or(this.#words, Word.STATUS, Status.NEEDS_RESET);
    this.#interrupt(Interrupt.CONFIG);
  }

  #setConfig(offset: number, bytes: Uint8Array): void {
    // Twice: a driver that reads between sees the generation move on one side or the other.
    Atomics.add(this.#words, Word.CONFIG_GENERATION, 1);
    this.#config.set(bytes, offset);
    Atomics.add(this.#words, Word.CONFIG_GENERATION, 1);
    this.#interrupt(Interrupt.CONFIG);
  }

  #deactivate(): void {
    if (this.#active === undefined) return;
    this.#active = undefined;
    this.#queues = [];
    this.fault = '';
    this.model.reset();
  }

  save(): VirtioState {
    return {
      kind: 'virtio-mmio',
      version: 1,
      deviceId: this.model.deviceId,
      status: this.#get(Word.STATUS),
      deviceFeaturesSelect: this.#get(Word.DEVICE_FEATURES_SEL),
      driverFeaturesSelect: this.#get(Word.DRIVER_FEATURES_SEL),
      driverFeatures: [this.#get(Word.DRIVER_FEATURES), this.#get(Word.DRIVER_FEATURES + 1)],
      queueSelect: this.#get(Word.QUEUE_SEL),
      interruptStatus: this.#get(Word.INTERRUPT_STATUS),
      configGeneration: this.#get(Word.CONFIG_GENERATION),
      device: this.model.save(),
      queues: this.model.queueSizes.map((_, index) => this.#saveQueue(index)),
    };
  }

  #saveQueue(index: number): QueueState {
    const at = (word: number): number => this.#get(this.#queueWord(index, word));
    const position = this.#queues[index]?.position() ?? { nextAvailable: 0, nextUsed: 0, signalled: 0 };
    return {
      size: at(QueueWord.SIZE),
      ready: at(QueueWord.READY) !== 0,
      desc: [at(QueueWord.DESC), at(QueueWord.DESC + 1)],
      driver: [at(QueueWord.DRIVER), at(QueueWord.DRIVER + 1)],
      device: [at(QueueWord.DEVICE), at(QueueWord.DEVICE + 1)],
      ...position,
    };
  }

  load(state: VirtioState): void {
    if (state.deviceId !== this.model.deviceId || state.queues.length !== this.model.queueSizes.length) {
      throw new VmError('VM_STATE', {
        message: `The saved machine has virtio device ${state.deviceId} with ${state.queues.length} queues where this one has device ${this.model.deviceId} with ${this.model.queueSizes.length}`,
        remedy: 'Restore it with the devices it was saved with',
      });
    }
    this.powerOn();
    this.#put(Word.STATUS, state.status);
    this.#put(Word.DEVICE_FEATURES_SEL, state.deviceFeaturesSelect);
    this.#put(Word.DRIVER_FEATURES_SEL, state.driverFeaturesSelect);
    this.#put(Word.DRIVER_FEATURES, state.driverFeatures[0]);
    this.#put(Word.DRIVER_FEATURES + 1, state.driverFeatures[1]);
    this.#put(Word.QUEUE_SEL, state.queueSelect);
    this.#put(Word.INTERRUPT_STATUS, state.interruptStatus);
    this.#put(Word.CONFIG_GENERATION, state.configGeneration);
    state.queues.forEach((queue, index) => {
      this.#put(this.#queueWord(index, QueueWord.SIZE), queue.size);
      this.#put(this.#queueWord(index, QueueWord.READY), queue.ready ? 1 : 0);
      for (const [word, address] of [
        [QueueWord.DESC, queue.desc],
        [QueueWord.DRIVER, queue.driver],
        [QueueWord.DEVICE, queue.device],
      ] as const) {
        this.#put(this.#queueWord(index, word), address[0]);
        this.#put(this.#queueWord(index, word + 1), address[1]);
      }
    });
    if ((state.status & Status.DRIVER_OK) !== 0) this.#locked(() => this.#activate());
    state.queues.forEach((queue, index) => this.#queues[index]?.resumeAt(queue));
    this.model.load(state.device);
    // Raised again rather than lost: a driver shrugs off an interrupt without a cause.
    if (state.interruptStatus !== 0) this.#options.lines.set(this.#options.pin, true);
  }

  #queueWord(index: number, word: number): number {
    return Word.QUEUES + index * QUEUE_STRIDE + word;
  }

  /** A 64-bit register pair; above 2^53 only roughly right, and then outside of RAM either way. */
  #address(index: number, word: number): number {
    const low = this.#get(this.#queueWord(index, word)) >>> 0;
    return (this.#get(this.#queueWord(index, word + 1)) >>> 0) * 0x1_0000_0000 + low;
  }

  #get(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #put(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}

interface Services {
  readonly queues: readonly (SplitQueue | undefined)[];
  readonly paused: () => boolean;
  readonly again: (index: number) => void;
  readonly fail: (reason: string) => void;
  readonly setConfig: (offset: number, bytes: Uint8Array) => void;
  readonly enter: (transport: ActiveTransport, work: () => void) => void;
}

/** The transport of one life of the device, from DRIVER_OK to the next reset. */
class ActiveTransport implements VirtioTransport {
  readonly #services: Services;
  /** Queues whose last pop found nothing. A model that stops earlier comes back by itself. */
  readonly #emptied: Set<number> = new Set();

  constructor(services: Services) {
    this.#services = services;
  }

  get paused(): boolean {
    return this.#services.paused();
  }

  takeEmptied(index: number): boolean {
    return this.#emptied.delete(index);
  }

  pop(index: number): Chain | undefined {
    if (this.#services.paused()) return undefined;
    const chain = this.#services.queues[index]?.pop();
    if (chain === undefined) this.#emptied.add(index);
    else this.#emptied.delete(index);
    return chain;
  }

  unpop(index: number): void {
    this.#services.queues[index]?.unpop();
  }

  push(index: number, head: number, length: number): void {
    this.#services.queues[index]?.push(head, length);
  }

  again(index: number): void {
    this.#services.again(index);
  }

  fail(reason: string): void {
    this.#services.fail(reason);
  }

  setConfig(offset: number, bytes: Uint8Array): void {
    this.#services.setConfig(offset, bytes);
  }

  enter(work: () => void): void {
    this.#services.enter(this, work);
  }
}
