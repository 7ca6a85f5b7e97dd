/**
 * Where a boot loader puts things in low guest memory, and the map it hands to the kernel.
 *
 *   0x00500  descriptor table (32 B), then at 0x520 an empty interrupt table
 *   0x06000  PVH start info, 0x6040 module list      0x07000  PVH memory map, or Linux zero page
 *   0x08ff0  stack (64-bit entry)                    0x09000  page tables (64-bit entry): 6 pages
 *   0x20000  command line, at most 2048 bytes        0x9e000  multiprocessor wakeup mailbox (reserved)
 *   0xe0000  ACPI tables (reserved)                  0x100000 the kernel
 */
import { VmError } from '../../base/errors.ts';
import { HIGH_RAM_BASE, type MemoryLayout } from '../../machine/layout.ts';
import type { BootGdt } from '../../machine/vcpu-reset.ts';
import type { VcpuRecord } from '../../machine/vcpu-state.ts';

export const START_INFO = 0x6000;
export const MODULE_LIST = 0x6040;
export const MEMORY_MAP = 0x7000;
export const ZERO_PAGE = 0x7000;
export const BOOT_STACK = 0x8ff0;
export const PAGE_TABLES = 0x9000;
export const COMMAND_LINE = 0x20000;
export const COMMAND_LINE_MAX = 2048;
export const WAKEUP_MAILBOX = 0x9e000;
export const LOW_RESERVED = 0x9e000;
export const ACPI_TABLES = 0xe0000;
export const KERNEL_MIN = 0x100000;

/** Bytes to write at a guest-physical address; `zeros` bytes of zero follow them. */
export interface MemoryPiece {
  readonly gpa: number;
  readonly bytes: Uint8Array;
  readonly zeros?: number;
}

/** A loaded kernel: what to write into guest memory, and how vCPU 0 starts. */
export interface BootImage {
  readonly protocol: 'pvh' | 'linux64';
  readonly pieces: readonly MemoryPiece[];
  readonly vcpu: VcpuRecord;
  /** Frees the bytes that the pieces refer to, when they have been placed. */
  readonly release?: () => void;
}

export interface MapEntry {
  readonly gpa: number;
  readonly size: number;
  /** 1 RAM, 2 reserved; the numbers of E820 and of PVH are the same. */
  readonly type: 1 | 2;
}

export function memoryMap(layout: MemoryLayout): readonly MapEntry[] {
  const entries: MapEntry[] = [
    { gpa: 0, size: LOW_RESERVED, type: 1 },
    { gpa: LOW_RESERVED, size: KERNEL_MIN - LOW_RESERVED, type: 2 },
  ];
  for (const { gpa, size } of layout.regions) {
    const from = Math.max(gpa, KERNEL_MIN);
    entries.push({ gpa: from, size: gpa + size - from, type: 1 });
  }
  return entries;
}

/** First byte after the RAM that lies below 4 GiB. */
export function lowRamEnd(layout: MemoryLayout): number {
  return Math.max(0, ...layout.regions.filter((r) => r.gpa < HIGH_RAM_BASE).map((r) => r.gpa + r.size));
}

/** Flat 4 GiB code, flat data, busy TSS: `code` is 0x00cf9b… for 32-bit, 0x00af9b… for 64-bit mode. */
export function bootGdt(code: bigint): { readonly piece: MemoryPiece; readonly gdt: BootGdt } {
  const table = new BigUint64Array([0n, code, 0x00cf93000000ffffn, 0x00008b0000000067n, 0n]);
  return {
    piece: { gpa: 0x500, bytes: new Uint8Array(table.buffer) },
    gdt: { base: 0x500n, limit: 31, idtBase: 0x520n },
  };
}

/** The command line with its closing zero byte. */
export function commandLine(text: string): MemoryPiece {
  if (!/^[\x20-\x7e]*$/.test(text)) {
    throw new VmError('USAGE', {
      message: 'The kernel command line has characters other than printable ASCII',
      remedy: 'Remove line ends, tabs and non-ASCII letters from --append',
    });
  }
  if (text.length >= COMMAND_LINE_MAX) {
    throw new VmError('USAGE', {
      message: `The kernel command line has ${text.length} characters; Linux takes at most ${COMMAND_LINE_MAX - 1}`,
      remedy: 'Shorten --append',
    });
  }
  return { gpa: COMMAND_LINE, bytes: Uint8Array.from(`${text}\0`, (c) => c.charCodeAt(0)) };
}

function tooSmall(needed: number, what: string): VmError {
  const mebibytes = Math.ceil(needed / 2 ** 20);
  return new VmError('MEMORY_TOO_SMALL', {
    message: `${what} needs ${mebibytes} MiB of guest memory`,
    remedy: `Give the machine more, for example: -m ${Math.max(128, Math.ceil((mebibytes * 1.5) / 64) * 64)}m`,
  });
}

/** Checks that a kernel occupying [start, end) fits into low RAM above 1 MiB. */
export function checkKernelRange(start: number, end: number, layout: MemoryLayout): void {
  if (start < KERNEL_MIN || end < start) {
    throw new VmError('KERNEL_CORRUPT', {
      message: `The kernel wants to be loaded at 0x${start.toString(16)}–0x${end.toString(16)}, outside memory above 1 MiB`,
      remedy: 'Download or unpack the kernel again',
    });
  }
  if (end > lowRamEnd(layout)) throw tooSmall(end, 'The kernel');
}

/** Puts the initial RAM disk as high as it may lie, page-aligned, above the kernel. */
export function placeInitrd(
  initrd: Uint8Array,
  kernelEnd: number,
  layout: MemoryLayout,
  maxAddress = 0xffffffff,
): MemoryPiece {
  const end = Math.min(lowRamEnd(layout), maxAddress + 1);
  const gpa = Math.floor((end - initrd.length) / 4096) * 4096;
  if (gpa < kernelEnd) throw tooSmall(kernelEnd + initrd.length, 'The kernel with its initial RAM disk');
  return { gpa, bytes: initrd };
}
