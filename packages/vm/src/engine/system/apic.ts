/**
 * The local APIC (SDM 3A, chapter 11), xAPIC and x2APIC. Its registers live in the vCPU's shared page, one per
 * 16 bytes as KVM lays them out; only the vCPU's own thread changes them, others post to its mailbox.
 */
import { VCPU_BASE, VCPU_STRIDE } from '../../machine/layout.ts';
import { Request, type VcpuMailbox } from '../../machine/mailbox.ts';
import * as S from '../../x86/state.ts';
import type { ApicTimer } from './apic-timer.ts';
import type { Cpu } from './cpu.ts';
import type { EventState } from './event-state.ts';

export const APIC = {
  ID: 0x20,
  VERSION: 0x30,
  TPR: 0x80,
  APR: 0x90,
  PPR: 0xa0,
  EOI: 0xb0,
  RRD: 0xc0,
  LDR: 0xd0,
  DFR: 0xe0,
  SVR: 0xf0,
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  ICR: 0x300,
  ICR_HIGH: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PERFORMANCE: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  INITIAL_COUNT: 0x380,
  CURRENT_COUNT: 0x390,
  DIVIDE: 0x3e0,
  SELF_IPI: 0x3f0,
} as const;

export const APIC_BASE_BSP = 0x100n;
export const APIC_BASE_X2APIC = 0x400n;
export const APIC_BASE_ENABLED = 0x800n;
const VERSION = 0x0005_0014;
const MASKED = 0x1_0000;
const SVR_ENABLED = 0x100;
/** Writable bits of each LVT entry. */
const LVT_MASKS: ReadonlyMap<number, number> = new Map([
  [APIC.LVT_TIMER, 0x7_00ff],
  [APIC.LVT_THERMAL, 0x1_07ff],
  [APIC.LVT_PERFORMANCE, 0x1_07ff],
  [APIC.LVT_LINT0, 0x1_a7ff],
  [APIC.LVT_LINT1, 0x1_a7ff],
  [APIC.LVT_ERROR, 0x1_00ff],
]);
/** Error status: send and receive illegal vector. */
const ESR_SEND_ILLEGAL = 0x20;
const ESR_RECEIVE_ILLEGAL = 0x40;
const DELIVERY = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, STARTUP: 6 } as const;

/** End of a level-triggered interrupt goes to the I/O APIC. */
type Broadcast = (vector: number) => void;

export class Apic {
  /** IA32_APIC_BASE. */
  base: bigint;
  readonly timer: ApicTimer;
  readonly #cpu: Cpu;
  readonly #registers: Int32Array<SharedArrayBuffer>;
  readonly #mailboxes: readonly VcpuMailbox[];
  readonly #events: EventState;
  readonly #broadcast: Broadcast;
  readonly #posted = new Int32Array(8);
  readonly #level = new Int32Array(8);
  /** Errors since the last write to ESR. */
  #errors = 0;

  constructor(
    cpu: Cpu,
    timer: ApicTimer,
    events: EventState,
    mailboxes: readonly VcpuMailbox[],
    broadcast: Broadcast,
  ) {
    this.#cpu = cpu;
    this.timer = timer;
    this.#events = events;
    this.#mailboxes = mailboxes;
    this.#broadcast = broadcast;
    this.#registers = new Int32Array(cpu.memory.buffer, cpu.base + S.APIC_PAGE, 256);
    this.base = 0xfee0_0000n | APIC_BASE_ENABLED | (cpu.index === 0 ? APIC_BASE_BSP : 0n);
  }

  get enabled(): boolean {
    return (this.base & APIC_BASE_ENABLED) !== 0n;
  }
  get x2apic(): boolean {
    return (this.base & APIC_BASE_X2APIC) !== 0n;
  }
  get id(): number {
    return this.#cpu.index;
  }

  /** A register as stored, unsigned. @param offset in the page */
  get(offset: number): number {
    return (this.#registers[offset >> 2] as number) >>> 0;
  }
  set(offset: number, value: number): void {
    this.#registers[offset >> 2] = value;
  }
  #setBit(table: number, vector: number, on: boolean): void {
    const offset = table + (vector >> 5) * 16;
    const bit = 1 << (vector & 31);
    this.set(offset, on ? this.get(offset) | bit : this.get(offset) & ~bit);
  }
  #highest(table: number): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.get(table + i * 16);
      if (word !== 0) return i * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }

  /** Registers after power-on or after APIC_BASE disabled it. */
  reset(): void {
    this.#registers.fill(0);
    this.set(APIC.ID, this.x2apic ? this.id : this.id << 24);
    this.set(APIC.VERSION, VERSION);
    this.set(APIC.DFR, -1);
    this.set(APIC.SVR, 0xff);
    for (const offset of LVT_MASKS.keys()) this.set(offset, MASKED);
    this.timer.setLvt(MASKED);
    this.timer.disarm();
    this.#errors = 0;
  }

  /** WRMSR IA32_APIC_BASE; false for a transition that does not exist (11.12.5). */
  writeBase(value: bigint): boolean {
    const enable = (value & APIC_BASE_ENABLED) !== 0n;
    const extend = (value & APIC_BASE_X2APIC) !== 0n;
    if (extend && (!enable || !this.enabled)) return false;
    if (this.x2apic && enable && !extend) return false;
    const wasX2apic = this.x2apic;
    const wasEnabled = this.enabled;
    this.base = value;
    if (!enable && wasEnabled) this.reset();
    if (extend && !wasX2apic) {
      this.set(APIC.ID, this.id);
      this.set(APIC.LDR, ((this.id >> 4) << 16) | (1 << (this.id & 15)));
      this.set(APIC.ICR_HIGH, 0);
    }
    return true;
  }

  // ---- priorities and delivery ----

  /** Puts an interrupt into IRR, as if it had come over the bus. */
  raise(vector: number, level: boolean): void {
    if (!this.enabled || (this.get(APIC.SVR) & SVR_ENABLED) === 0) return;
    if (vector < 16) {
      this.#error(ESR_RECEIVE_ILLEGAL);
      return;
    }
    this.#setBit(APIC.TMR, vector, level);
    this.#setBit(APIC.IRR, vector, true);
  }

  /** Takes what others posted. */
  takePosted(): void {
    const mailbox = this.#mailboxes[this.#cpu.index] as VcpuMailbox;
    this.#posted.fill(0);
    if (!mailbox.takePosted(this.#posted, this.#level)) return;
    for (let i = 0; i < 8; i++) {
      let bits = this.#posted[i] as number;
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits);
        bits &= ~(1 << bit);
        this.raise(i * 32 + bit, (((this.#level[i] as number) >>> bit) & 1) === 1);
      }
    }
  }

  /** Processor priority: the higher of the task's and the serviced interrupt's class. */
  get ppr(): number {
    const tpr = this.get(APIC.TPR) & 0xff;
    const inService = this.#highest(APIC.ISR);
    return tpr >> 4 >= inService >> 4 ? tpr : inService & 0xf0;
  }

  /** The vector to deliver next, or -1. */
  pending(): number {
    const vector = this.#highest(APIC.IRR);
    return vector >= 0 && vector >> 4 > this.ppr >> 4 ? vector : -1;
  }

  acknowledge(vector: number): void {
    this.#setBit(APIC.IRR, vector, false);
    this.#setBit(APIC.ISR, vector, true);
  }

  endOfInterrupt(): void {
    const vector = this.#highest(APIC.ISR);
    if (vector < 0) return;
    this.#setBit(APIC.ISR, vector, false);
    const level = (this.get(APIC.TMR + (vector >> 5) * 16) >>> (vector & 31)) & 1;
    if (level === 1) this.#broadcast(vector);
    this.#priorityFell();
  }

  /** Something pending may be deliverable now: makes the run loop look. */
  #priorityFell(): void {
    if (this.pending() >= 0) this.#cpu.leaveSoon();
  }

  /** CR8: the task priority's class. */
  get cr8(): number {
    return (this.get(APIC.TPR) >>> 4) & 0xf;
  }
  set cr8(value: number) {
    this.set(APIC.TPR, value << 4);
    this.#priorityFell();
  }

  /** Fires the timer if its time has come. */
  expire(nowNs: number): void {
    if (!this.timer.expire(nowNs)) return;
    const lvt = this.get(APIC.LVT_TIMER);
    if ((lvt & MASKED) === 0) this.raise(lvt & 0xff, false);
  }
  /** Clock time at which the timer will want attention: never while its interrupt waits already. */
  get deadlineNs(): number {
    const lvt = this.get(APIC.LVT_TIMER);
    if ((lvt & MASKED) !== 0) return Infinity;
    const waiting = (this.get(APIC.IRR + ((lvt & 0xff) >> 5) * 16) >>> (lvt & 31)) & 1;
    return waiting === 1 ? Infinity : this.timer.deadlineNs;
  }

  #error(bit: number): void {
    this.#errors |= bit;
    const lvt = this.get(APIC.LVT_ERROR);
    if ((lvt & MASKED) !== 0 || (lvt & 0xff) < 16) return;
    // posted, so that the run loop looks
    (this.#mailboxes[this.#cpu.index] as VcpuMailbox).post(lvt & 0xff);
  }

  // ---- registers as the guest sees them ----

  read(offset: number): number {
    if (offset === APIC.PPR) return this.ppr;
    if (offset === APIC.CURRENT_COUNT) return this.timer.currentCount();
    if (offset === APIC.EOI || offset === APIC.SELF_IPI || offset < APIC.ID || offset > APIC.SELF_IPI)
      return 0;
    return this.get(offset & 0x3f0);
  }

  write(offset: number, value: number): void {
    switch (offset) {
      case APIC.TPR:
        this.set(APIC.TPR, value & 0xff);
        this.#priorityFell();
        break;
      case APIC.EOI:
        this.endOfInterrupt();
        break;
      case APIC.LDR:
        if (!this.x2apic) this.set(APIC.LDR, value & 0xff00_0000);
        break;
      case APIC.DFR:
        if (!this.x2apic) this.set(APIC.DFR, value | 0x0fff_ffff);
        break;
      case APIC.SVR:
        this.#writeSpurious(value);
        break;
      case APIC.ESR:
        this.set(APIC.ESR, this.#errors);
        this.#errors = 0;
        break;
      case APIC.ICR:
        this.set(APIC.ICR, value & ~0x1000);
        this.#send(value, this.x2apic ? this.get(APIC.ICR_HIGH) : this.get(APIC.ICR_HIGH) >>> 24);
        break;
      case APIC.ICR_HIGH:
        this.set(APIC.ICR_HIGH, this.x2apic ? value : value & 0xff00_0000);
        break;
      case APIC.INITIAL_COUNT:
        this.timer.setInitialCount(value >>> 0);
        this.set(APIC.INITIAL_COUNT, value);
        break;
      case APIC.DIVIDE:
        this.timer.setDivide(value);
        this.set(APIC.DIVIDE, value & 0xb);
        break;
      case APIC.SELF_IPI:
        if (this.x2apic) this.#send(0x4_0000 | (value & 0xff), 0);
        break;
      default:
        this.#writeLvt(offset, value);
    }
  }

  #writeSpurious(value: number): void {
    this.set(APIC.SVR, value & 0x1ff);
    if ((value & SVR_ENABLED) !== 0) return;
    for (const offset of LVT_MASKS.keys()) this.set(offset, this.get(offset) | MASKED);
  }

  #writeLvt(offset: number, value: number): void {
    const mask = LVT_MASKS.get(offset);
    if (mask === undefined) return;
    const forced = (this.get(APIC.SVR) & SVR_ENABLED) === 0 ? MASKED : 0;
    this.set(offset, (value & mask) | forced);
    if (offset === APIC.LVT_TIMER && this.timer.setLvt(value)) this.set(APIC.INITIAL_COUNT, 0);
  }

  // ---- interprocessor interrupts (11.6) ----

  #send(command: number, destination: number): void {
    const vector = command & 0xff;
    const mode = (command >>> 8) & 7;
    if ((mode === DELIVERY.FIXED || mode === DELIVERY.LOWEST) && vector < 16) {
      this.#error(ESR_SEND_ILLEGAL);
      return;
    }
    let targets = this.#targets((command >>> 18) & 3, (command & 0x800) !== 0, destination);
    if (mode === DELIVERY.LOWEST) targets = targets.slice(0, 1);
    for (const target of targets) this.#sendTo(target, mode, vector, command);
  }

  #sendTo(target: number, mode: number, vector: number, command: number): void {
    const self = target === this.#cpu.index;
    const mailbox = this.#mailboxes[target] as VcpuMailbox;
    const level = (command & 0x8000) !== 0;
    switch (mode) {
      case DELIVERY.FIXED:
      case DELIVERY.LOWEST:
        if (!self) mailbox.post(vector, level);
        else {
          this.raise(vector, level);
          this.#priorityFell();
        }
        break;
      case DELIVERY.NMI:
        if (!self) mailbox.request(Request.NMI);
        else {
          this.#events.nmiPending = true;
          this.#cpu.leaveSoon();
        }
        break;
      case DELIVERY.INIT:
        if (level && (command & 0x4000) === 0) break;
        if (!self) mailbox.request(Request.INIT);
        break;
      case DELIVERY.STARTUP:
        if (!self) mailbox.request(Request.SIPI);
        break;
      default:
      // SMI: there is no system management mode.
    }
  }

  #targets(shorthand: number, logical: boolean, destination: number): number[] {
    const all = this.#mailboxes.map((_, index) => index);
    const self = this.#cpu.index;
    if (shorthand === 1) return [self];
    if (shorthand === 2) return all;
    if (shorthand === 3) return all.filter((index) => index !== self);
    const everyone = this.x2apic ? destination === 0xffff_ffff : destination === 0xff;
    if (everyone) return all;
    if (!logical) return all.filter((index) => index === destination);
    return all.filter((index) => this.#matchesLogical(index, destination));
  }

  #matchesLogical(index: number, destination: number): boolean {
    if (this.x2apic) {
      const cluster = destination >>> 16 === index >> 4;
      return cluster && ((destination >>> (index & 15)) & 1) === 1;
    }
    const page = VCPU_BASE + index * VCPU_STRIDE + S.APIC_PAGE;
    const ldr = this.#cpu.memory.getUint32(page + APIC.LDR, true) >>> 24;
    const flat = this.#cpu.memory.getUint32(page + APIC.DFR, true) >>> 28 === 0xf;
    if (flat) return (ldr & destination) !== 0;
    return ldr >> 4 === destination >> 4 && (ldr & destination & 0xf) !== 0;
  }

  // ---- how the guest gets here: the page at APIC_BASE, or MSRs ----

  /** Does the physical address belong to the xAPIC's page now? */
  owns(gpa: number): boolean {
    if (!this.enabled || this.x2apic) return false;
    return gpa - (gpa % 0x1000) === Number(this.base & 0xf_ffff_ffff_f000n);
  }
  /** Only aligned accesses of 4 bytes are defined (11.4.1); narrower reads give their part. */
  readPage(gpa: number, size: number): number {
    const offset = gpa & 0xfff;
    const value = (offset & 0xc) === 0 ? this.read(offset & 0xff0) : 0;
    const part = value >>> ((offset & 3) * 8);
    return size === 4 ? part : part & (size === 2 ? 0xffff : 0xff);
  }
  writePage(gpa: number, size: number, value: number): void {
    const offset = gpa & 0xfff;
    if (size === 4 && (offset & 0xf) === 0 && offset >= APIC.ID && offset < APIC.SELF_IPI)
      this.write(offset, value);
  }
}
