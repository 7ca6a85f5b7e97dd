/** The decompression port: gzip and zstd by Node's zlib, xz by the xz-decompress package (WebAssembly). */
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import type { CompressionFormat, Decompressor } from '../../base/ports.ts';

const CHUNK_BYTES = 256 << 10;
/** Kernels are compressed with windows up to 128 MiB. */
const ZSTD_WINDOW_LOG_MAX = 27;

async function* through(source: AsyncIterable<Uint8Array>, transform: Transform): AsyncIterable<Uint8Array> {
  const fed = pipeline(Readable.from(source), transform);
  fed.catch(() => {}); // The reader below meets the same error.
  for await (const chunk of transform) yield chunk as Uint8Array;
  await fed;
}

/** The package decodes one stream at a time in a process: never start one while reading another. */
async function* unxz(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const compressed = Readable.toWeb(Readable.from(source)) as ReadableStream<Uint8Array>;
  const { default: xz } = await import('xz-decompress');
  const reader = new xz.XzReadableStream(compressed).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

export const nodeDecompressor: Decompressor = {
  decompress(format: CompressionFormat, source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    switch (format) {
      case 'gzip':
        return through(source, createGunzip({ chunkSize: CHUNK_BYTES }));
      case 'zstd':
        return through(
          source,
          createZstdDecompress({
            chunkSize: CHUNK_BYTES,
            params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
          }),
        );
      case 'xz':
        return unxz(source);
    }
  },
};
