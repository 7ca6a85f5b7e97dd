/** Loads a Linux kernel by the best protocol its file offers. */
import { VmError } from '../../base/errors.ts';
import type { MemoryLayout } from '../../machine/layout.ts';
import { type BootImage, checkKernelRange, type MemoryPiece, placeInitrd } from './boot-memory.ts';
import { type ElfFile, isElf, parseElf } from './elf.ts';
import { isBzImage, loadLinux64, parseBzImage, plainSetupHeader } from './linux64.ts';
import { loadPvh, pvhEntry } from './pvh.ts';

export interface LinuxBoot {
  /** vmlinux (ELF) or bzImage. The result refers to these bytes; nothing is copied. */
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array | undefined;
  readonly cmdline: string;
  readonly layout: MemoryLayout;
}

function elfPieces(elf: ElfFile, layout: MemoryLayout): { pieces: MemoryPiece[]; end: number } {
  let end = 0;
  const pieces = elf.segments.map((segment) => {
    checkKernelRange(segment.paddr, segment.paddr + segment.memoryBytes, layout);
    end = Math.max(end, segment.paddr + segment.memoryBytes);
    return { gpa: segment.paddr, bytes: segment.bytes, zeros: segment.memoryBytes - segment.bytes.length };
  });
  return { pieces, end };
}

/** @throws VmError KERNEL_NOT_A_KERNEL, KERNEL_CORRUPT, MEMORY_TOO_SMALL, USAGE (command line) */
export function loadLinux(boot: LinuxBoot): BootImage {
  const { kernel, layout, cmdline } = boot;
  const initrdAt = (end: number, max?: number): MemoryPiece | undefined =>
    boot.initrd === undefined ? undefined : placeInitrd(boot.initrd, end, layout, max);
  if (isElf(kernel)) {
    const elf = parseElf(kernel);
    const { pieces, end } = elfPieces(elf, layout);
    const entry = pvhEntry(elf);
    if (entry !== undefined) return loadPvh(pieces, entry, initrdAt(end), cmdline, layout);
    return loadLinux64(pieces, elf.entry, plainSetupHeader(), initrdAt(end, 0x7fffffff), cmdline, layout);
  }
  if (isBzImage(kernel)) {
    const image = parseBzImage(kernel);
    const end = image.loadAddress + Math.max(image.initSize, image.kernel.length);
    checkKernelRange(image.loadAddress, end, layout);
    const initrd = initrdAt(end, image.initrdMax);
    const pieces = [{ gpa: image.loadAddress, bytes: image.kernel }];
    return loadLinux64(pieces, image.loadAddress + 0x200, image.setupHeader, initrd, cmdline, layout);
  }
  throw new VmError('KERNEL_NOT_A_KERNEL', {
    message: 'The file is neither a vmlinux (ELF) nor a bzImage',
    remedy: 'Give the file vmlinuz of an amd64 distribution, for example: --kernel /boot/vmlinuz',
  });
}
