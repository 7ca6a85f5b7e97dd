/**
 * Reads Debian packages (deb(5)): an ar archive of `debian-binary`, `control.tar.*`, `data.tar.*`. An ar member:
 *
 *   name 16 │ mtime 12 │ uid 6 │ gid 6 │ mode 8 │ size 10 │ "`\n", all text; then data, padded to 2
 */
import type { CompressionFormat, Decompressor } from '../../base/ports.ts';
import { ByteStream } from '../byte-stream.ts';
import { readTar, type TarFile } from '../tar.ts';

const AR_MAGIC = '!<arch>\n';
const decoder = new TextDecoder();

const FORMATS: Readonly<Record<string, CompressionFormat | 'none'>> = {
  'data.tar': 'none',
  'data.tar.gz': 'gzip',
  'data.tar.xz': 'xz',
  'data.tar.zst': 'zstd',
};

/** Yields the package's files whose path (without leading "./") `want` says yes to. Throws when it is damaged. */
export async function* readDeb(
  source: AsyncIterable<Uint8Array>,
  decompressor: Decompressor,
  want: (path: string) => boolean,
): AsyncIterable<TarFile> {
  const stream = new ByteStream(source);
  try {
    if (decoder.decode(await stream.read(AR_MAGIC.length)) !== AR_MAGIC)
      throw new Error('not a Debian package');
    for (;;) {
      const header = await stream.read(60);
      if (header === undefined) throw new Error('the package has no data part');
      const text = decoder.decode(header);
      const name = text.slice(0, 16).trim().replace(/\/$/, '');
      const size = Number(text.slice(48, 58).trim());
      if (text.slice(58) !== '`\n' || !Number.isInteger(size)) throw new Error('a member header is damaged');
      const format = FORMATS[name];
      if (format !== undefined) {
        const data = stream.take(size);
        yield* readTar(format === 'none' ? data : decompressor.decompress(format, data), want);
        return;
      }
      if (name.startsWith('data.tar')) throw new Error(`'${name}' is compressed in an unknown way`);
      await stream.skip(size + (size & 1));
    }
  } finally {
    await stream.close();
  }
}
