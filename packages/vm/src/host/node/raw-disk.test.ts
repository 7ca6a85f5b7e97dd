import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VmError } from '../../base/errors.ts';
import { openRawDisk } from './raw-disk.ts';

const folder = mkdtempSync(join(tmpdir(), 'viv-disk-'));
after(() => rmSync(folder, { recursive: true }));

test('bytes go where they belong, whole sectors only', async () => {
  const path = join(folder, 'a.img');
  writeFileSync(path, new Uint8Array(1500));
  const { file, close } = await openRawDisk(path, false);
  assert.equal(file.sizeBytes, 1024);
  await file.write(510, Uint8Array.of(1, 2, 3, 4));
  await file.flush();
  const target = new Uint8Array(4);
  await file.read(511, target);
  assert.deepEqual([...target], [2, 3, 4, 0]);
  await close();
  assert.deepEqual([...readFileSync(path).subarray(509, 515)], [0, 1, 2, 3, 4, 0]);
});

test('a read-only disk is opened without the right to write', async () => {
  const path = join(folder, 'b.img');
  writeFileSync(path, new Uint8Array(512));
  const { file, readOnly, close } = await openRawDisk(path, true);
  assert.equal(readOnly, true);
  await assert.rejects(file.write(0, Uint8Array.of(1)));
  await close();
});

test('a file that shrinks under a machine is an error, not an endless read', async () => {
  const path = join(folder, 'c.img');
  writeFileSync(path, new Uint8Array(1024));
  const { file, close } = await openRawDisk(path, false);
  truncateSync(path, 512);
  await assert.rejects(file.read(512, new Uint8Array(512)), /shorter/);
  await close();
});

test('what is no disk file is refused with a way out', async () => {
  const empty = join(folder, 'empty.img');
  writeFileSync(empty, '');
  for (const path of [join(folder, 'absent'), folder, empty]) {
    await assert.rejects(
      openRawDisk(path, false),
      (e: unknown) =>
        e instanceof VmError && e.code === 'DISK_OPEN_FAILED' && e.remedy?.includes(path) === true,
    );
  }
});
