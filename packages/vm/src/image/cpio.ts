/**
 * The "new ASCII" cpio format (magic 070701) that Linux unpacks into its root file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Each entry:
 *
 *   magic 6 │ 13 fields of 8 hex digits │ name, NUL │ pad to 4 │ data │ pad to 4
 *   fields: ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
 */
export type CpioEntry =
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly data: Uint8Array }
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'character-device';
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const S_IFCHR = 0o020000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const HEADER_BYTES = 110;
const TRAILER = 'TRAILER!!!';

const encoder = new TextEncoder();
const align4 = (n: number): number => (n + 3) & ~3;

interface RawEntry {
  readonly name: Uint8Array;
  readonly mode: number;
  readonly nlink: number;
  readonly data: Uint8Array;
  readonly rdev: readonly [number, number];
}

const NO_DATA = new Uint8Array(0);

function rawEntry(entry: CpioEntry): RawEntry {
  const name = encoder.encode(entry.path);
  switch (entry.kind) {
    case 'file':
      return { name, mode: S_IFREG | entry.mode, nlink: 1, data: entry.data, rdev: [0, 0] };
    case 'folder':
      return { name, mode: S_IFDIR | entry.mode, nlink: 2, data: NO_DATA, rdev: [0, 0] };
    case 'link':
      return { name, mode: S_IFLNK | 0o777, nlink: 1, data: encoder.encode(entry.target), rdev: [0, 0] };
    case 'character-device':
      return { name, mode: S_IFCHR | entry.mode, nlink: 1, data: NO_DATA, rdev: [entry.major, entry.minor] };
  }
}

const sizeOf = (entry: RawEntry): number =>
  align4(HEADER_BYTES + entry.name.length + 1) + align4(entry.data.length);

/**
 * Writes an archive. Paths are relative, without a leading slash; a folder must precede what it holds. Owner is
 * root and times are zero, so equal entries give equal bytes.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const all = entries.map(rawEntry);
  all.push({ name: encoder.encode(TRAILER), mode: 0, nlink: 1, data: NO_DATA, rdev: [0, 0] });
  const archive = new Uint8Array(all.reduce((sum, entry) => sum + sizeOf(entry), 0));
  let offset = 0;
  all.forEach((entry, index) => {
    const ino = entry.mode === 0 ? 0 : index + 1;
    const fields = [ino, entry.mode, 0, 0, entry.nlink, 0, entry.data.length, 0, 0, ...entry.rdev];
    const digits = [...fields, entry.name.length + 1, 0].map((n) => n.toString(16).padStart(8, '0')).join('');
    encoder.encodeInto(`070701${digits}`, archive.subarray(offset));
    archive.set(entry.name, offset + HEADER_BYTES);
    archive.set(entry.data, offset + align4(HEADER_BYTES + entry.name.length + 1));
    offset += sizeOf(entry);
  });
  return archive;
}

/** The files of an archive, as long as its headers make sense. */
export function* readCpioFiles(archive: Uint8Array): Generator<{ path: string; data: Uint8Array }> {
  const decoder = new TextDecoder();
  for (let at = 0; at + HEADER_BYTES <= archive.length; ) {
    const header = decoder.decode(archive.subarray(at, at + HEADER_BYTES));
    if (!/^07070[12][0-9a-f]{104}$/i.test(header)) return;
    const field = (n: number): number => Number.parseInt(header.slice(6 + 8 * n, 14 + 8 * n), 16);
    const [mode, size, nameBytes] = [field(1), field(6), field(11)];
    const name = at + HEADER_BYTES;
    const data = at + align4(HEADER_BYTES + nameBytes);
    if (data + size > archive.length) return;
    const path = decoder.decode(archive.subarray(name, name + Math.max(0, nameBytes - 1)));
    if (path === TRAILER) return;
    if ((mode & S_IFREG) === S_IFREG && size > 0) yield { path, data: archive.subarray(data, data + size) };
    at = data + align4(size);
  }
}
