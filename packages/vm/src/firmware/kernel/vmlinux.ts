/**
 * Takes the vmlinux (ELF) out of a Linux kernel file, so that the guest does not have to decompress itself
 * (Documentation/arch/x86/boot.rst, "The real-mode kernel header"). A bzImage:
 *
 *   boot sector and set-up, (setup_sects + 1) × 512 bytes │ protected-mode code … payload … │ CRC
 *   payload = compressed vmlinux, then (but for gzip) its size as u32
 */
import { VmError } from '../../base/errors.ts';
import type { CompressionFormat, Decompressor } from '../../base/ports.ts';
import { isElf, parseElf } from '../loaders/elf.ts';
import { decodeLz4Legacy, LZ4_LEGACY_MAGIC } from './lz4.ts';
import { removeX86Filter } from './xz-x86.ts';

const SETUP_SECTS = 0x1f1;
const BOOT_FLAG = 0x1fe;
const HEADER_MAGIC = 0x202;
const VERSION = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const HDRS = 0x53726448;
const OLDEST_VERSION_WITH_PAYLOAD = 0x208;
/** Far above any distribution's kernel; keeps a hostile file from claiming the host's memory. */
const MAX_VMLINUX_BYTES = 512 << 20;

interface Payload {
  readonly bytes: Uint8Array;
  /** Size of the vmlinux as the payload's last four bytes say it. */
  readonly size: number;
}

const notAKernel = (message: string): VmError =>
  new VmError('KERNEL_NOT_A_KERNEL', {
    message,
    remedy: 'Give a vmlinuz or vmlinux file of an amd64 distribution, for example: --kernel /boot/vmlinuz',
  });

const corrupt = (message: string, cause?: unknown): VmError =>
  new VmError('KERNEL_CORRUPT', {
    message,
    remedy: 'Get the file again: it was cut short or changed on its way here',
    cause,
  });

function findPayload(file: Uint8Array): Payload {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < HEADER_MAGIC + 4 || view.getUint16(BOOT_FLAG, true) !== 0xaa55) {
    throw notAKernel('The file is neither a vmlinux (ELF) nor a bzImage');
  }
  if (view.getUint32(HEADER_MAGIC, true) !== HDRS) {
    throw notAKernel('The file has a boot sector, but not that of a Linux kernel');
  }
  if (file.length < PAYLOAD_LENGTH + 4) throw corrupt('The kernel file ends inside its header');
  const version = view.getUint16(VERSION, true);
  if (version < OLDEST_VERSION_WITH_PAYLOAD) {
    throw notAKernel(
      `The kernel speaks boot protocol ${version >> 8}.${version & 0xff}; 2.8 or later is needed`,
    );
  }
  const setupSectors = file[SETUP_SECTS] === 0 ? 4 : (file[SETUP_SECTS] as number);
  const start = (setupSectors + 1) * 512 + view.getUint32(PAYLOAD_OFFSET, true);
  const length = view.getUint32(PAYLOAD_LENGTH, true);
  if (length < 8) throw corrupt(`The kernel file's compressed part has only ${length} bytes`);
  if (start + length > file.length) {
    throw corrupt(`The kernel file should have at least ${start + length} bytes, and has ${file.length}`);
  }
  const bytes = file.subarray(start, start + length);
  const size = view.getUint32(start + length - 4, true);
  if (size > MAX_VMLINUX_BYTES) throw corrupt(`The kernel file claims to unpack to ${size} bytes`);
  return { bytes, size };
}

const startsWith = (bytes: Uint8Array, ...magic: number[]): boolean =>
  magic.every((byte, index) => bytes[index] === byte);

function streamFormat(bytes: Uint8Array): CompressionFormat | undefined {
  if (startsWith(bytes, 0x1f, 0x8b)) return 'gzip';
  if (startsWith(bytes, 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)) return 'xz';
  if (startsWith(bytes, 0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  return undefined;
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

async function unpackStream(
  format: CompressionFormat,
  payload: Payload,
  decompressor: Decompressor,
): Promise<Uint8Array> {
  const compressed = format === 'gzip' ? payload.bytes : payload.bytes.subarray(0, -4);
  const vmlinux = new Uint8Array(payload.size);
  let length = 0;
  try {
    const unfiltered = format === 'xz' ? removeX86Filter(compressed) : undefined;
    for await (const chunk of decompressor.decompress(format, once(unfiltered?.xz ?? compressed))) {
      if (length + chunk.length > vmlinux.length) throw new Error(`more than ${vmlinux.length} bytes`);
      vmlinux.set(chunk, length);
      length += chunk.length;
    }
    if (unfiltered?.finish(vmlinux) === false) throw new Error('the check does not match');
  } catch (cause) {
    throw corrupt(`The kernel's ${format} part does not unpack`, cause);
  }
  if (length !== payload.size) {
    throw corrupt(`The kernel unpacks to ${length} bytes instead of ${payload.size}`);
  }
  return vmlinux;
}

function unpackLz4({ bytes, size }: Payload): Uint8Array {
  const vmlinux = decodeLz4Legacy(bytes.subarray(0, -4), size);
  if (vmlinux === undefined) throw corrupt("The kernel's LZ4 part does not unpack");
  return vmlinux;
}

function unpack(payload: Payload, decompressor: Decompressor): Uint8Array | Promise<Uint8Array> {
  const { bytes } = payload;
  const magic = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (magic === LZ4_LEGACY_MAGIC) return unpackLz4(payload);
  const format = streamFormat(bytes);
  if (format !== undefined) return unpackStream(format, payload, decompressor);
  if (isElf(bytes)) return bytes;
  throw new VmError('KERNEL_CORRUPT', {
    message: 'The kernel is compressed in a way that is not known here (known: LZ4, zstd, gzip, xz)',
    remedy: 'Get the file again, or unpack it yourself and give the vmlinux',
    data: { compression: 'unknown' },
  });
}

/**
 * The vmlinux of a kernel file: of a bzImage its payload, unpacked; an ELF file itself.
 * @throws VmError KERNEL_NOT_A_KERNEL, KERNEL_CORRUPT
 */
export async function extractVmlinux(file: Uint8Array, decompressor: Decompressor): Promise<Uint8Array> {
  const vmlinux = isElf(file) ? file : await unpack(findPayload(file), decompressor);
  if (!isElf(vmlinux)) throw corrupt('What the kernel file unpacks to is no ELF file');
  parseElf(vmlinux);
  return vmlinux;
}
