import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { missing } from '../../../../test/support/needs.ts';
import { oneChunk } from './byte-stream.ts';
import { readTar, type TarFile } from './tar.ts';

/** Chunks of odd sizes, so that every field is split somewhere. */
async function* inPieces(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 3) % 911) {
    yield bytes.subarray(at, at + size);
  }
}

async function all(
  source: AsyncIterable<Uint8Array>,
  want: (path: string) => boolean = () => true,
): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for await (const file of readTar(source, want)) files.push(file);
  return files;
}

describe('readTar', { skip: missing('tar') }, () => {
  const deep = `${'a-folder-with-a-long-name/'.repeat(5)}${'x'.repeat(120)}`;
  const contents = new Map([
    ['empty', ''],
    ['one block', 'x'.repeat(512)],
    ['ümläut', 'more than one block '.repeat(60)],
    [deep, 'deep'],
  ]);

  function archive(format: string): Buffer {
    const folder = mkdtempSync(join(tmpdir(), 'viv-tar-'));
    try {
      mkdirSync(join(folder, deep, '..'), { recursive: true });
      for (const [path, content] of contents) writeFileSync(join(folder, path), content, { mode: 0o750 });
      return execFileSync('tar', ['-c', `--format=${format}`, '-C', folder, '.']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  for (const format of ['gnu', 'pax', 'posix']) {
    it(`reads what tar --format=${format} writes`, async () => {
      const files = await all(inPieces(archive(format)));
      const found = new Map(files.map((file) => [file.path, Buffer.from(file.data).toString()]));
      assert.deepEqual(found, contents); // Maps compare without regard to order.
      assert.ok(files.every((file) => file.mode === 0o750));
    });
  }

  it('reads only the files it is asked for', async () => {
    const files = await all(oneChunk(archive('gnu')), (path) => path === 'one block');
    assert.deepEqual(
      files.map((file) => file.path),
      ['one block'],
    );
  });

  it('refuses an archive that is cut or changed', async () => {
    const bytes = archive('gnu').subarray(0, -10240 + 1024);
    for (const length of [0, 100, 512, 700, bytes.length - 1100]) {
      await assert.rejects(all(oneChunk(bytes.subarray(0, length))), /end/);
    }
    const changed = Buffer.from(bytes);
    changed[5] = (changed[5] as number) ^ 1;
    await assert.rejects(all(oneChunk(changed)), /checksum/);
  });
});
