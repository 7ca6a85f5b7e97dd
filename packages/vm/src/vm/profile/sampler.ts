/**
 * Samples where a guest is, every `interval` instructions on average. What is counted are instructions, not time, so
 * the engine need not be interrupted: its budget ends exactly at the next sample, without skid. Distances vary at random (the same way in every run), so that a loop in the guest
 * cannot keep step with them.
 */
import { type Paging, translate } from '../../debug/page-walk.ts';
import type { GuestMemory } from '../../machine/memory.ts';
import { VCPU_BASE, VCPU_STRIDE } from '../../machine/layout.ts';
import type { VcpuSampler } from '../../machine/vcpu.ts';
import * as S from '../../x86/state.ts';
import type { Profile, ProfileRequest, Sample } from './profile.ts';

const CODE_BYTES = 32;
const NAME_BYTES = 16;
const MOST_FRAMES = 32;
/** A frame of a function is not larger than this, or its pointer is not one. */
const FRAME_BYTES = 0x10000n;
const MOST_SAMPLES = 200_000;
const FIRST_KERNEL = 0xffff_8000_0000_0000n;
const RSP = 4;
const RBP = 5;

export class Sampler implements VcpuSampler {
  readonly #request: ProfileRequest;
  readonly #memory: GuestMemory;
  readonly #area: DataView;
  readonly #samples = new Map<string, Sample>();
  readonly #word: Uint8Array = new Uint8Array(8);
  #left = 0;
  #random = 0x2545f491;
  #taken = 0;
  #lost = 0;
  #late = 0;
  #instructions = 0;
  readonly #cpuNs: (() => number) | undefined;
  #ns = 0;
  #nsBefore: number;
  readonly #cpuStart: number;
  /** A kernel's page tables; those of user space may lack the kernel. */
  #kernelTables = 0n;
  #kernelBase = 0n;

  /** @param cpuNs processor time of this thread so far; without it, the time that `ran` is told counts */
  constructor(memory: GuestMemory, index: number, request: ProfileRequest, cpuNs?: () => number) {
    this.#cpuNs = cpuNs;
    this.#nsBefore = cpuNs?.() ?? 0;
    this.#cpuStart = this.#nsBefore;
    this.#request = request;
    this.#memory = memory;
    this.#area = new DataView(memory.bytes.buffer, VCPU_BASE + index * VCPU_STRIDE, S.REGISTERS_END);
    this.#left = this.#distance();
  }

  left(): number {
    return this.#left;
  }

  ran(done: number, ns: number): void {
    this.#instructions += done;
    this.#ns += ns;
    this.#left -= done;
    if (this.#left > 0) return;
    if (this.#left < 0) this.#late++;
    const now = this.#cpuNs?.() ?? this.#ns;
    this.#take(now - this.#nsBefore);
    this.#nsBefore = now;
    this.#left = this.#distance();
  }

  /** What was found since the beginning. */
  profile(): Profile {
    return {
      interval: this.#request.interval,
      samples: [...this.#samples.values()],
      taken: this.#taken,
      lost: this.#lost,
      late: this.#late,
      instructions: this.#instructions,
      ns: this.#cpuNs === undefined ? this.#ns : this.#nsBefore - this.#cpuStart,
    };
  }

  /** Uniform between half and one and a half intervals (xorshift). */
  #distance(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return Math.max(1, Math.round(this.#request.interval * (0.5 + (x >>> 0) / 2 ** 32)));
  }

  #take(ns: number): void {
    this.#taken++;
    const paging = this.#paging();
    const address = BigInt.asUintN(64, this.#get(S.RIP) + this.#get(S.CODE_BASE));
    if (address >= FIRST_KERNEL) this.#kernelTables = paging.cr3;
    const process = this.#process(paging);
    const frames = [address, ...this.#callers(paging)];
    const key = `${process}\0${frames.join()}`;
    const known = this.#samples.get(key);
    if (known !== undefined) {
      known.count++;
      known.ns += ns;
    } else if (this.#samples.size === MOST_SAMPLES) this.#lost++;
    else {
      const room = Math.min(CODE_BYTES, 4096 - Number(address & 0xfffn));
      const code = this.#read(paging, address, new Uint8Array(room)) ?? new Uint8Array(0);
      this.#samples.set(key, { process, frames, code, count: 1, ns });
    }
  }

  #get(offset: number): bigint {
    return this.#area.getBigUint64(offset, true);
  }

  #paging(): Paging {
    return {
      cr0: this.#get(S.CR0),
      cr3: this.#get(S.CR3),
      cr4: this.#get(S.CR4),
      efer: this.#get(S.EFER),
    };
  }

  /** Bytes that lie in one page; undefined where nothing is mapped. */
  #read(paging: Paging, address: bigint, target: Uint8Array): Uint8Array | undefined {
    const gpa = translate(this.#memory, paging, BigInt.asUintN(64, address));
    return gpa !== undefined && this.#memory.read(gpa, target) ? target : undefined;
  }

  #pointer(paging: Paging, address: bigint): bigint | undefined {
    if ((address & 7n) !== 0n) return undefined;
    const word = this.#read(paging, address, this.#word);
    if (word === undefined) return undefined;
    return new DataView(word.buffer).getBigUint64(0, true);
  }

  #process(paging: Paging): string {
    const { task } = this.#request;
    const named = task === undefined ? undefined : this.#taskName({ ...paging, cr3: this.#kernelTables });
    // Bits 0–11 are no part of the address, and bit 12 tells user space's tables from the kernel's.
    return named ?? `cr3-${(paging.cr3 & ~0x1fffn).toString(16)}`;
  }

  #taskName(paging: Paging): string | undefined {
    const { task } = this.#request;
    if (task === undefined) return undefined;
    const own = this.#get(S.SEGMENTS + S.SEG.GS * S.SEGMENT_STRIDE + S.SEG_BASE);
    const other = this.#get(S.MSR_KERNEL_GS_BASE);
    for (const base of [own, other]) if (base >= FIRST_KERNEL) this.#kernelBase = base;
    const current = this.#pointer(paging, this.#kernelBase + BigInt(task.current));
    if (current === undefined || current < FIRST_KERNEL) return undefined;
    const bytes = this.#read(paging, current + BigInt(task.name), new Uint8Array(NAME_BYTES));
    if (bytes === undefined) return undefined;
    const name = String.fromCharCode(...bytes.subarray(0, Math.max(0, bytes.indexOf(0))));
    return /^[\x20-\x7e]+$/.test(name) ? name : undefined;
  }

  /** Return addresses along the frame pointers, as far as they look like such. */
  #callers(paging: Paging): bigint[] {
    const callers: bigint[] = [];
    if (this.#area.getInt32(S.CODE_MODE, true) !== 2) return callers;
    let below = this.#get(S.GPR + 8 * RSP) - 16n;
    let frame = this.#get(S.GPR + 8 * RBP);
    while (callers.length < MOST_FRAMES && frame > below && frame - below < FRAME_BYTES) {
      const next = this.#pointer(paging, frame);
      const address = this.#pointer(paging, frame + 8n);
      if (next === undefined || address === undefined || !this.#followsCall(paging, address)) break;
      callers.push(address);
      below = frame;
      frame = next;
    }
    return callers;
  }

  /** CALL rel32 (E8), or CALL r/m (FF /2) of 2 to 7 bytes. */
  #followsCall(paging: Paging, address: bigint): boolean {
    if ((address & 0xfffn) < 8n) return false;
    const code = this.#read(paging, address - 8n, new Uint8Array(8));
    if (code === undefined) return false;
    if (code[3] === 0xe8) return true;
    for (let length = 2; length <= 7; length++) {
      if (code[8 - length] === 0xff && ((code[9 - length] as number) & 0x38) === 0x10) return true;
    }
    return false;
  }
}
