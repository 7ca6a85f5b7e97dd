/**
 * Reads tar archives: POSIX ustar with pax headers (pax(1), "ustar Interchange Format"), and GNU long names.
 * A header block of 512 bytes:
 *
 *   name 100 │ mode 8 │ uid 8 │ gid 8 │ size 12 │ mtime 12 │ checksum 8 │ type 1 │ linkname 100 │ magic 6 …│ prefix 155 @345
 */
import { ByteStream } from './byte-stream.ts';

export interface TarFile {
  /** Without a leading "./". */
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
}

const BLOCK = 512;
const MAX_META_BYTES = 1 << 20;
const decoder = new TextDecoder();

const textAt = (block: Uint8Array, offset: number, length: number): string => {
  const field = block.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return decoder.decode(end < 0 ? field : field.subarray(0, end));
};

/** Octal text, or base-256 when the first bit is set (GNU, for large sizes). */
function numberAt(block: Uint8Array, offset: number, length: number): number {
  if (((block[offset] as number) & 0x80) === 0) {
    const text = textAt(block, offset, length).trim();
    if (!/^[0-7]*$/.test(text)) throw new Error(`'${text}' is no octal number`);
    return text === '' ? 0 : Number.parseInt(text, 8);
  }
  let value = (block[offset] as number) & 0x7f;
  for (let at = offset + 1; at < offset + length; at++) value = value * 256 + (block[at] as number);
  return value;
}

function checkHeader(block: Uint8Array): void {
  let sum = 8 * 32; // The checksum field counts as spaces.
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at] as number;
  if (sum !== numberAt(block, 148, 8)) throw new Error('a header has a wrong checksum');
}

/** pax records: "LENGTH KEY=VALUE\n" each. */
function paxRecords(bytes: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(32, at);
    const length = Number(decoder.decode(bytes.subarray(at, space)));
    if (space < 0 || !Number.isInteger(length) || length <= space - at + 1)
      throw new Error('a pax header is damaged');
    const [key, ...value] = decoder.decode(bytes.subarray(space + 1, at + length - 1)).split('=');
    records.set(key ?? '', value.join('='));
    at += length;
  }
  return records;
}

const paddingOf = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** Yields the regular files that `want` says yes to; the others are passed over unread. */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  want: (path: string) => boolean,
): AsyncIterable<TarFile> {
  const stream = new ByteStream(source);
  const body = async (size: number): Promise<Uint8Array> => {
    const bytes = (await stream.read(size)) ?? new Uint8Array(0);
    if (bytes.length !== size) throw new Error('the archive ends inside a file');
    const copy = bytes.slice();
    await stream.skip(paddingOf(size));
    return copy;
  };
  let longName: string | undefined;
  let pax = new Map<string, string>();
  try {
    for (;;) {
      const block = await stream.read(BLOCK);
      if (block === undefined) throw new Error('the archive ends without its end mark');
      if (block.every((byte) => byte === 0)) return;
      checkHeader(block);
      const type = String.fromCharCode(block[156] as number);
      const isMeta = type === 'L' || type === 'K' || type === 'x' || type === 'g';
      const size = isMeta ? numberAt(block, 124, 12) : Number(pax.get('size') ?? numberAt(block, 124, 12));
      if (isMeta) {
        if (size > MAX_META_BYTES) throw new Error(`a name of ${size} bytes`);
        const meta = await body(size);
        if (type === 'L') longName = textAt(meta, 0, meta.length);
        if (type === 'x') pax = paxRecords(meta);
        continue;
      }
      const prefix = textAt(block, 257, 5) === 'ustar' && block[262] === 0 ? textAt(block, 345, 155) : '';
      const plain = textAt(block, 0, 100);
      const path = (pax.get('path') ?? longName ?? (prefix === '' ? plain : `${prefix}/${plain}`)).replace(
        /^\.\//,
        '',
      );
      longName = undefined;
      pax = new Map();
      if ((type === '0' || type === '\0') && want(path)) {
        yield { path, mode: numberAt(block, 100, 8) & 0o7777, data: await body(size) };
      } else {
        await stream.skip(size + paddingOf(size));
      }
    }
  } finally {
    await stream.close();
  }
}
