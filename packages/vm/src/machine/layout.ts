/**
 * Where everything lies in the one shared WebAssembly memory of a machine on the soft engine.
 *
 *   0x0000_0000  64 KiB   never used: a null pointer of ours reads zeros
 *   0x0001_0000  ~2 MiB   DEVICES: shared state of devices (rings, registers), sliced by the platform
 *   0x0020_0000  n × 64 MiB  one VCPU area each: registers, mailbox, APIC page, TLBs, decoded code
 *   ...          one byte of PageFlag per guest page
 *   ...          guest RAM, 64 KiB aligned
 */
import { VmError } from '../base/errors.ts';

export const WASM_PAGE: number = 0x10000;
export const GUEST_PAGE: number = 0x1000;
export const DEVICES_BASE: number = 0x10000;
export const DEVICES_SIZE: number = 0x1f0000;
export const VCPU_BASE: number = 0x200000;
export const VCPU_STRIDE: number = 0x4000000;
/** Guest-physical addresses from here to 4 GiB belong to devices; RAM beyond goes on at 4 GiB. */
export const LOW_RAM_END: number = 0xc0000000;
export const HIGH_RAM_BASE: number = 0x1_0000_0000;

/** Bits of the shared byte that every guest page has. Set and cleared with atomics. */
export const PageFlag = {
  /** Content is in memory (always set until demand paging exists). */
  PRESENT: 1,
  /** Written since the bit was last cleared. */
  DIRTY: 2,
  /** Some vCPU holds decoded or translated code of this page: a write must invalidate it. */
  CODE: 4,
  COW: 8,
  WATCHED: 16,
} as const;

export interface RamRegion {
  readonly gpa: number;
  readonly size: number;
  /** Offset of the region's first byte in the shared memory. */
  readonly offset: number;
}

export interface MemoryLayout {
  readonly vcpus: number;
  readonly ramBytes: number;
  /** Total size in wasm pages; initial = maximum. */
  readonly wasmPages: number;
  readonly pageFlags: number;
  readonly ramOffset: number;
  readonly regions: readonly RamRegion[];
}

/** Largest guest RAM (bytes) beside `vcpus` vCPU areas. */
export function maxRamBytes(vcpus: number): number {
  const fixed = VCPU_BASE + vcpus * VCPU_STRIDE;
  const left = 0x1_0000_0000 - WASM_PAGE - fixed;
  return Math.floor(left / (GUEST_PAGE + 1) / 16) * 16 * GUEST_PAGE - WASM_PAGE;
}

/** Lays a machine out. `ramBytes` is rounded up to 64 KiB; more than fits is refused with its reason. */
export function layoutMemory(ramBytes: number, vcpus = 1): MemoryLayout {
  const ram = Math.ceil(ramBytes / WASM_PAGE) * WASM_PAGE;
  if (ram > maxRamBytes(vcpus)) {
    throw new VmError('MEMORY_TOO_LARGE', {
      message: `${Math.round(ramBytes / 2 ** 20)} MiB of guest memory do not fit: the soft engine has at most ${Math.floor(maxRamBytes(vcpus) / 2 ** 20)} MiB, because a 32-bit WebAssembly memory ends at 4 GiB`,
      remedy: `Ask for less, for example: -m ${Math.floor(maxRamBytes(vcpus) / 2 ** 20)}m`,
    });
  }
  const pageFlags = VCPU_BASE + vcpus * VCPU_STRIDE;
  const ramOffset = Math.ceil((pageFlags + ram / GUEST_PAGE) / WASM_PAGE) * WASM_PAGE;
  const low = Math.min(ram, LOW_RAM_END);
  const regions: RamRegion[] = [{ gpa: 0, size: low, offset: ramOffset }];
  if (ram > low) regions.push({ gpa: HIGH_RAM_BASE, size: ram - low, offset: ramOffset + low });
  return { vcpus, ramBytes: ram, wasmPages: (ramOffset + ram) / WASM_PAGE, pageFlags, ramOffset, regions };
}
