/**
 * kvm-clock: pages in guest memory from which the guest computes time by the TSC alone (Linux,
 * Documentation/virt/kvm/x86/msr.rst).
 *
 *   system time  u32 version · u32 0 · u64 TSC · u64 ns · u32 multiplier · s8 shift · u8 flags · u16 0   (32 B)
 *   wall clock   u32 version · u32 seconds · u32 nanoseconds, when the system time was 0
 *   version is odd while a page changes
 */
import type { Clock } from '../../base/ports.ts';
import type { Cpu } from './cpu.ts';
import type { PhysicalMemory } from './physical.ts';
import type { TimeStampCounter } from './tsc.ts';

const ENABLED = 1n;
/** The TSC is the same on every vCPU. */
const FLAG_TSC_STABLE = 1;

/** Multiplier and shift with ns = ((ticks << shift) × multiplier) >> 32, for a counter of `khz`. */
export function pvclockScale(khz: number): { multiplier: number; shift: number } {
  let shift = 0;
  let scaled = 1e6 / khz;
  while (scaled >= 1) {
    scaled /= 2;
    shift++;
  }
  while (scaled < 0.5) {
    scaled *= 2;
    shift--;
  }
  return { multiplier: Math.floor(scaled * 2 ** 32), shift };
}

export class KvmClock {
  systemTime = 0n;
  wallClock = 0n;
  /** Clock time at which the guest's clock was 0. */
  #bootNs: number;
  readonly #cpu: Cpu;
  readonly #clock: Clock;
  readonly #tsc: TimeStampCounter;
  readonly #physical: PhysicalMemory;

  constructor(cpu: Cpu, clock: Clock, tsc: TimeStampCounter, physical: PhysicalMemory) {
    this.#cpu = cpu;
    this.#clock = clock;
    this.#tsc = tsc;
    this.#physical = physical;
    this.#bootNs = clock.nowNs();
  }

  /** What the guest's clock shows, in ns. */
  get nowNs(): bigint {
    return BigInt(Math.max(0, Math.floor(this.#clock.nowNs() - this.#bootNs)));
  }

  restore(systemTime: bigint, wallClock: bigint, nowNs: bigint): void {
    this.#bootNs = this.#clock.nowNs() - Number(nowNs);
    this.systemTime = systemTime;
    this.wallClock = wallClock;
    this.refresh();
  }

  writeSystemTime(value: bigint): void {
    this.systemTime = value;
    this.refresh();
  }

  writeWallClock(value: bigint): void {
    this.wallClock = value;
    const host = this.#physical.locate(value, 12);
    if (host === 0) return;
    const bootNs = this.#clock.realtimeNs() - this.nowNs;
    this.#publish(host, 12, (memory) => {
      memory.setUint32(host + 4, Number(bootNs / 1_000_000_000n), true);
      memory.setUint32(host + 8, Number(bootNs % 1_000_000_000n), true);
    });
  }

  /** Must follow every jump of the TSC. */
  refresh(): void {
    if ((this.systemTime & ENABLED) === 0n) return;
    const host = this.#physical.locate(this.systemTime & ~ENABLED, 32);
    if (host === 0) return;
    const { multiplier, shift } = pvclockScale(this.#tsc.khz);
    const now = this.#clock.nowNs();
    this.#publish(host, 32, (memory) => {
      memory.setUint32(host + 4, 0, true);
      memory.setBigUint64(host + 8, this.#tsc.at(now), true);
      memory.setBigUint64(host + 16, BigInt(Math.max(0, Math.floor(now - this.#bootNs))), true);
      memory.setUint32(host + 24, multiplier, true);
      memory.setInt8(host + 28, shift);
      memory.setUint8(host + 29, FLAG_TSC_STABLE);
      memory.setUint16(host + 30, 0, true);
    });
  }

  #publish(host: number, length: number, fill: (memory: DataView) => void): void {
    const { memory } = this.#cpu;
    const version = memory.getUint32(host, true) | 1;
    memory.setUint32(host, version, true);
    fill(memory);
    memory.setUint32(host, (version + 1) >>> 0, true);
    this.#physical.written(host, length);
  }
}
