/** PVH entry: an uncompressed vmlinux whose Xen note 18 names a 32-bit entry point. */
import type { MemoryLayout } from '../../machine/layout.ts';
import { pvhVcpu } from '../../machine/vcpu-reset.ts';
import {
  ACPI_TABLES,
  type BootImage,
  bootGdt,
  COMMAND_LINE,
  commandLine,
  MEMORY_MAP,
  type MemoryPiece,
  MODULE_LIST,
  memoryMap,
  START_INFO,
} from './boot-memory.ts';
import type { ElfFile } from './elf.ts';

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const START_INFO_MAGIC = 0x336ec578;
const CODE32 = 0x00cf9b000000ffffn;

/** The entry point of the PVH note; some linkers write its value with 4 bytes, some with 8. */
export function pvhEntry(elf: ElfFile): number | undefined {
  const note = elf.notes.find((n) => n.name === 'Xen' && n.type === XEN_ELFNOTE_PHYS32_ENTRY);
  if (note === undefined || note.descriptor.length < 4) return undefined;
  return new DataView(note.descriptor.buffer, note.descriptor.byteOffset).getUint32(0, true);
}

/** struct hvm_start_info, its module list and memory map. */
function startInfo(layout: MemoryLayout, initrd: MemoryPiece | undefined): MemoryPiece[] {
  const map = memoryMap(layout);
  const info = new DataView(new ArrayBuffer(56));
  info.setUint32(0, START_INFO_MAGIC, true);
  info.setUint32(4, 1, true);
  info.setUint32(12, initrd === undefined ? 0 : 1, true);
  info.setBigUint64(16, initrd === undefined ? 0n : BigInt(MODULE_LIST), true);
  info.setBigUint64(24, BigInt(COMMAND_LINE), true);
  info.setBigUint64(32, BigInt(ACPI_TABLES), true);
  info.setBigUint64(40, BigInt(MEMORY_MAP), true);
  info.setUint32(48, map.length, true);
  const entries = new DataView(new ArrayBuffer(24 * map.length));
  map.forEach((entry, i) => {
    entries.setBigUint64(24 * i, BigInt(entry.gpa), true);
    entries.setBigUint64(24 * i + 8, BigInt(entry.size), true);
    entries.setUint32(24 * i + 16, entry.type, true);
  });
  const pieces: MemoryPiece[] = [
    { gpa: START_INFO, bytes: new Uint8Array(info.buffer) },
    { gpa: MEMORY_MAP, bytes: new Uint8Array(entries.buffer) },
  ];
  if (initrd !== undefined) {
    const module = new BigUint64Array([BigInt(initrd.gpa), BigInt(initrd.bytes.length), 0n, 0n]);
    pieces.push({ gpa: MODULE_LIST, bytes: new Uint8Array(module.buffer) });
  }
  return pieces;
}

export function loadPvh(
  kernel: readonly MemoryPiece[],
  entry: number,
  initrd: MemoryPiece | undefined,
  cmdline: string,
  layout: MemoryLayout,
): BootImage {
  const { piece, gdt } = bootGdt(CODE32);
  const pieces = [...kernel, piece, commandLine(cmdline), ...startInfo(layout, initrd)];
  if (initrd !== undefined) pieces.push(initrd);
  return { protocol: 'pvh', pieces, vcpu: pvhVcpu(BigInt(entry), BigInt(START_INFO), gdt) };
}
