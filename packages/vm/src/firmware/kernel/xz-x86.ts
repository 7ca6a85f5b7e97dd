/**
 * Kernels in xz are filtered: before compression the targets of CALL and JMP rel32 become absolute ("BCJ x86").
 * The decompressor does not know the filter, so it gets a container without it, and the filter is undone here
 * (The .xz File Format 1.1, sections 2 to 5).
 *
 *   stream header 12 │ block: header, LZMA2 chunks, padding to 4, check │ index │ stream footer 12
 *   block header: u8 size/4−1 │ u8 flags │ [sizes] │ filters (id, properties' length, properties) │ pad │ CRC32
 */
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
const CHECK_CRC32 = 1;
const HEADER_BYTES = 12;

const CRC_TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

export function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) {
    value = (value >>> 8) ^ (CRC_TABLE[(value ^ (bytes[at] as number)) & 0xff] as number);
  }
  return (value ^ 0xffffffff) >>> 0;
}

class Cursor {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  u8(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new RangeError('the xz data end too early');
    return byte;
  }

  u16be(): number {
    return (this.u8() << 8) | this.u8();
  }

  /** Seven bits a byte, low first; the top bit says that more follow. */
  vli(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      if (scale > 2 ** 42) throw new RangeError('an xz number is too long');
    }
  }
}

/** The LZMA2 chunks from the cursor on: moves it behind their end mark; returns how much they unpack to. */
function passLzma2(cursor: Cursor): number {
  let size = 0;
  for (;;) {
    const control = cursor.u8();
    if (control === 0) return size;
    if (control < 0x80) {
      const plain = cursor.u16be() + 1;
      size += plain;
      cursor.at += plain;
    } else {
      size += ((control & 0x1f) << 16) + cursor.u16be() + 1;
      const packed = cursor.u16be() + 1;
      cursor.at += (control >= 0xc0 ? 1 : 0) + packed;
    }
  }
}

function vliBytes(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

const u32le = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const withCrc = (bytes: readonly number[]): number[] => [...bytes, ...u32le(crc32(Uint8Array.from(bytes)))];
const padTo4 = (bytes: readonly number[]): number[] => [...bytes, ...[0, 0, 0].slice(0, -bytes.length & 3)];

/** A stream of one block without a check, around these LZMA2 chunks. */
function wrapLzma2(chunks: Uint8Array, size: number, dictionary: number): Uint8Array {
  const flags = [0, 0];
  const header = withCrc([2, 0, FILTER_LZMA2, 1, dictionary, 0, 0, 0]);
  const records = [1, ...vliBytes(header.length + chunks.length), ...vliBytes(size)];
  const index = withCrc(padTo4([0, ...records]));
  const footer = [...u32le(index.length / 4 - 1), ...flags];
  const padding = new Uint8Array(-chunks.length & 3);
  const start = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, ...withCrc(flags)];
  const end = [...index, ...u32le(crc32(Uint8Array.from(footer))), ...footer, 0x59, 0x5a];
  const stream = new Uint8Array(start.length + header.length + chunks.length + padding.length + end.length);
  stream.set([...start, ...header]);
  stream.set(chunks, start.length + header.length);
  stream.set(end, stream.length - end.length);
  return stream;
}

export interface Unfiltered {
  /** An xz stream without the filter. */
  readonly xz: Uint8Array;
  /** Undoes the filter in place on all that the stream unpacks to; false when the check says it is damaged. */
  readonly finish: (bytes: Uint8Array) => boolean;
}

/** For a stream of one block with the x86 filter; undefined for any other. Throws RangeError when it is cut short. */
export function removeX86Filter(xz: Uint8Array): Unfiltered | undefined {
  const check = xz[7];
  const cursor = new Cursor(xz, HEADER_BYTES);
  const headerBytes = (cursor.u8() + 1) * 4;
  const flags = cursor.u8();
  if ((flags & 3) !== 1) return undefined;
  if ((flags & 0x40) !== 0) cursor.vli();
  if ((flags & 0x80) !== 0) cursor.vli();
  if (cursor.vli() !== FILTER_X86 || cursor.vli() !== 0) return undefined;
  if (cursor.vli() !== FILTER_LZMA2 || cursor.vli() !== 1) return undefined;
  const dictionary = cursor.u8();
  cursor.at = HEADER_BYTES + headerBytes;
  const start = cursor.at;
  const size = passLzma2(cursor);
  const chunks = xz.subarray(start, cursor.at);
  const checkAt = start + Math.ceil(chunks.length / 4) * 4;
  if (checkAt + 4 > xz.length) throw new RangeError('the xz data end too early');
  const expected = new DataView(xz.buffer, xz.byteOffset).getUint32(checkAt, true);
  return {
    xz: wrapLzma2(chunks, size, dictionary),
    finish: (bytes) => {
      undoX86Filter(bytes);
      return check !== CHECK_CRC32 || crc32(bytes) === expected;
    },
  };
}

/** Whether an address byte is what sign extension gives. */
const isSign = (byte: number): boolean => byte === 0 || byte === 0xff;

/**
 * Turns absolute targets after E8 and E9 back into relative ones. An opcode that lies among the four bytes after
 * an earlier, unconverted one makes the bytes before it doubtful; `doubt` has one bit for each such byte (bit 0:
 * the next), and only some patterns were converted by the encoder.
 */
function undoX86Filter(bytes: Uint8Array): void {
  let last = -5;
  let doubt = 0;
  for (let at = 0; at + 5 <= bytes.length; ) {
    if (((bytes[at] as number) & 0xfe) !== 0xe8) {
      at++;
      continue;
    }
    const distance = at - last;
    last = at;
    doubt = distance > 5 ? 0 : shiftDoubt(doubt, distance);
    const top = bytes[at + 4] as number;
    const pattern = doubt >> 1;
    if (!isSign(top) || pattern >= 0x10 || ![0, 1, 2, 4].includes(pattern & 7)) {
      doubt |= isSign(top) ? 0x11 : 1;
      at++;
      continue;
    }
    let target =
      ((top << 24) |
        ((bytes[at + 3] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 1] as number)) >>>
      0;
    for (;;) {
      target = (target - (at + 5)) >>> 0;
      if (doubt === 0) break;
      const width = 24 - 8 * ([0, 1, 2, 2, 3, 3, 3, 3][pattern & 7] as number);
      if (!isSign((target >>> width) & 0xff)) break;
      target = (target ^ (width === 24 ? 0xffffffff : 2 ** (width + 8) - 1)) >>> 0;
    }
    bytes[at + 1] = target;
    bytes[at + 2] = target >>> 8;
    bytes[at + 3] = target >>> 16;
    bytes[at + 4] = (target & 0x01000000) === 0 ? 0 : 0xff;
    at += 5;
    doubt = 0;
  }
}

function shiftDoubt(doubt: number, distance: number): number {
  let shifted = doubt;
  for (let step = 0; step < distance; step++) shifted = (shifted & 0x77) << 1;
  return shifted;
}
