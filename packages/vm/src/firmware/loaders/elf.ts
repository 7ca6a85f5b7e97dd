/** ELF64 as far as a kernel needs it: program headers and notes (System V ABI, chapters 4 and 5). */
import { VmError } from '../../base/errors.ts';

export interface ElfSegment {
  readonly paddr: number;
  /** Linear address in the kernel's own map. */
  readonly vaddr: bigint;
  /** What the file holds; the rest up to `memoryBytes` is zero. */
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
}

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

export interface ElfFile {
  readonly entry: number;
  readonly segments: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
}

const PT_LOAD = 1;
const PT_NOTE = 4;
const EM_X86_64 = 62;

export function isElf(file: Uint8Array): boolean {
  return file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;
}

function corrupt(what: string): VmError {
  return new VmError('KERNEL_CORRUPT', {
    message: `The kernel's ELF file is damaged: ${what}`,
    remedy: 'Download or unpack the kernel again',
  });
}

/** The `size` bytes at `offset`, or KERNEL_CORRUPT. */
function slice(file: Uint8Array, offset: number, size: number, what: string): Uint8Array {
  if (offset + size > file.length) {
    throw corrupt(`${what} ends at byte ${offset + size} of a file of ${file.length}`);
  }
  return file.subarray(offset, offset + size);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** namesz, descsz, type, then name and descriptor, each padded to 4 bytes. */
function parseNotes(bytes: Uint8Array): ElfNote[] {
  const notes: ElfNote[] = [];
  const data = view(bytes);
  const padded = (size: number): number => Math.ceil(size / 4) * 4;
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameBytes = data.getUint32(at, true);
    const descriptorBytes = data.getUint32(at + 4, true);
    const type = data.getUint32(at + 8, true);
    const name = slice(bytes, at + 12, nameBytes, 'a note');
    const descriptorAt = at + 12 + padded(nameBytes);
    const descriptor = slice(bytes, descriptorAt, descriptorBytes, 'a note');
    notes.push({ name: String.fromCharCode(...name.filter((c) => c !== 0)), type, descriptor });
    at = descriptorAt + padded(descriptorBytes);
  }
  return notes;
}

/** @throws VmError KERNEL_NOT_A_KERNEL when it is for another machine, KERNEL_CORRUPT when cut or damaged */
export function parseElf(file: Uint8Array): ElfFile {
  const header = view(slice(file, 0, 64, 'the header'));
  if (header.getUint8(4) !== 2 || header.getUint8(5) !== 1 || header.getUint16(18, true) !== EM_X86_64) {
    throw new VmError('KERNEL_NOT_A_KERNEL', {
      message: 'The file is an ELF program, but not a 64-bit one for x86-64',
      remedy: 'Give an x86-64 kernel: vmlinux or vmlinuz of an amd64 distribution',
    });
  }
  const programOffset = Number(header.getBigUint64(32, true));
  const entrySize = header.getUint16(54, true);
  const count = header.getUint16(56, true);
  if (entrySize < 56) throw corrupt(`its program headers have ${entrySize} bytes each`);
  const table = view(slice(file, programOffset, entrySize * count, 'the program header table'));
  const segments: ElfSegment[] = [];
  const notes: ElfNote[] = [];
  for (let i = 0; i < count; i++) {
    const at = i * entrySize;
    const type = table.getUint32(at, true);
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    const offset = Number(table.getBigUint64(at + 8, true));
    const vaddr = table.getBigUint64(at + 16, true);
    const paddr = Number(table.getBigUint64(at + 24, true));
    const fileBytes = Number(table.getBigUint64(at + 32, true));
    const memoryBytes = Number(table.getBigUint64(at + 40, true));
    const bytes = slice(file, offset, fileBytes, `segment ${i}`);
    if (type === PT_NOTE) notes.push(...parseNotes(bytes));
    else if (memoryBytes < fileBytes) throw corrupt(`segment ${i} is larger in the file than in memory`);
    else if (memoryBytes > 0) segments.push({ paddr, vaddr, bytes, memoryBytes });
  }
  if (segments.length === 0) throw corrupt('it has nothing to load');
  return { entry: Number(header.getBigUint64(24, true)), segments, notes };
}
