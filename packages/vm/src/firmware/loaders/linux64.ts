/**
 * Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst): the fallback for a bzImage whose payload the
 * host cannot unpack, and for a vmlinux without a PVH note.
 */
import { VmError } from '../../base/errors.ts';
import type { MemoryLayout } from '../../machine/layout.ts';
import { linux64Vcpu } from '../../machine/vcpu-reset.ts';
import {
  ACPI_TABLES,
  BOOT_STACK,
  type BootImage,
  bootGdt,
  COMMAND_LINE,
  commandLine,
  type MemoryPiece,
  memoryMap,
  PAGE_TABLES,
  ZERO_PAGE,
} from './boot-memory.ts';

const CODE64 = 0x00af9b000000ffffn;
const HEADER = 0x1f1;
const HDRS = 0x53726448;
const XLF_KERNEL_64 = 1;

export interface BzImage {
  /** Bytes of struct setup_header, to be copied to offset 0x1f1 of the zero page. */
  readonly setupHeader: Uint8Array;
  /** The protected-mode part, loaded at `loadAddress`. */
  readonly kernel: Uint8Array;
  readonly loadAddress: number;
  /** Bytes the kernel uses from `loadAddress` while it unpacks itself. */
  readonly initSize: number;
  readonly initrdMax: number;
}

export function isBzImage(file: Uint8Array): boolean {
  if (file.length < 0x268) return false;
  return new DataView(file.buffer, file.byteOffset).getUint32(0x202, true) === HDRS;
}

export function parseBzImage(file: Uint8Array): BzImage {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint16(0x206, true) < 0x20c || (view.getUint16(0x236, true) & XLF_KERNEL_64) === 0) {
    throw new VmError('KERNEL_NOT_A_KERNEL', {
      message: 'The kernel has no 64-bit entry point',
      remedy: 'Give a 64-bit kernel, such as vmlinuz of an amd64 distribution',
    });
  }
  const setupSectors = view.getUint8(HEADER) || 4;
  const start = (setupSectors + 1) * 512;
  const size = view.getUint32(0x1f4, true) * 16;
  if (start + size > file.length || size === 0) {
    throw new VmError('KERNEL_CORRUPT', {
      message: `The kernel should have ${start + size} bytes but the file has ${file.length}`,
      remedy: 'Download the kernel again',
    });
  }
  return {
    setupHeader: file.subarray(HEADER, 0x202 + view.getUint8(0x201)),
    kernel: file.subarray(start, start + size),
    loadAddress: Number(view.getBigUint64(0x258, true)),
    initSize: view.getUint32(0x260, true),
    initrdMax: view.getUint32(0x22c, true),
  };
}

/** The setup header of a vmlinux, which carries none. */
export function plainSetupHeader(): Uint8Array {
  const bytes = new Uint8Array(0x268 - HEADER);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x1fe - HEADER, 0xaa55, true);
  view.setUint32(0x202 - HEADER, HDRS, true);
  view.setUint16(0x206 - HEADER, 0x20f, true);
  view.setUint32(0x230 - HEADER, 0x200000, true);
  return bytes;
}

/** struct boot_params: the zero page. */
function zeroPage(
  setupHeader: Uint8Array,
  initrd: MemoryPiece | undefined,
  layout: MemoryLayout,
): MemoryPiece {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  bytes.set(setupHeader, HEADER);
  view.setBigUint64(0x70, BigInt(ACPI_TABLES), true);
  const map = memoryMap(layout);
  view.setUint8(0x1e8, map.length);
  map.forEach((entry, i) => {
    view.setBigUint64(0x2d0 + 20 * i, BigInt(entry.gpa), true);
    view.setBigUint64(0x2d8 + 20 * i, BigInt(entry.size), true);
    view.setUint32(0x2e0 + 20 * i, entry.type, true);
  });
  view.setUint8(0x210, 0xff);
  view.setUint8(0x211, view.getUint8(0x211) | 1);
  view.setUint32(0x228, COMMAND_LINE, true);
  view.setUint32(0x218, initrd?.gpa ?? 0, true);
  view.setUint32(0x21c, initrd?.bytes.length ?? 0, true);
  return { gpa: ZERO_PAGE, bytes };
}

/** Identity map of the first 4 GiB in 2 MiB pages: one PML4, one PDPT, four page directories. */
function identityMap(): MemoryPiece {
  const entries = new BigUint64Array(6 * 512);
  entries[0] = BigInt(PAGE_TABLES + 0x1000) | 3n;
  for (let i = 0; i < 4; i++) entries[512 + i] = BigInt(PAGE_TABLES + 0x2000 + i * 0x1000) | 3n;
  for (let i = 0; i < 4 * 512; i++) entries[1024 + i] = (BigInt(i) << 21n) | 0x83n;
  return { gpa: PAGE_TABLES, bytes: new Uint8Array(entries.buffer) };
}

export function loadLinux64(
  kernel: readonly MemoryPiece[],
  entry: number,
  setupHeader: Uint8Array,
  initrd: MemoryPiece | undefined,
  cmdline: string,
  layout: MemoryLayout,
): BootImage {
  const { piece, gdt } = bootGdt(CODE64);
  const pieces = [
    ...kernel,
    piece,
    identityMap(),
    commandLine(cmdline),
    zeroPage(setupHeader, initrd, layout),
  ];
  if (initrd !== undefined) pieces.push(initrd);
  const vcpu = linux64Vcpu(BigInt(entry), BigInt(ZERO_PAGE), BigInt(BOOT_STACK), BigInt(PAGE_TABLES), gdt);
  return { protocol: 'linux64', pieces, vcpu };
}
