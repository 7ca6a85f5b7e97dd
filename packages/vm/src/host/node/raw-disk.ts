/** A disk file, byte for byte: never looked into to guess a format. */
import { type FileHandle, open } from 'node:fs/promises';
import { VmError } from '../../base/errors.ts';
import type { BlockFile } from '../../base/ports.ts';

const SECTOR = 512;

export interface RawDisk {
  readonly file: BlockFile;
  readonly readOnly: boolean;
  readonly close: () => Promise<void>;
}

async function readFully(handle: FileHandle, offsetBytes: number, target: Uint8Array): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, offsetBytes + done);
    if (bytesRead === 0) throw new Error('the disk file has become shorter');
    done += bytesRead;
  }
}

async function writeFully(handle: FileHandle, offsetBytes: number, source: Uint8Array): Promise<void> {
  for (let done = 0; done < source.length; ) {
    done += (await handle.write(source, done, source.length - done, offsetBytes + done)).bytesWritten;
  }
}

/** @throws VmError DISK_OPEN_FAILED */
export async function openRawDisk(path: string, readOnly: boolean): Promise<RawDisk> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, readOnly ? 'r' : 'r+');
    const stats = await handle.stat();
    if (!stats.isFile()) throw new Error('it is no regular file');
    if (stats.size < SECTOR) throw new Error(`it has ${stats.size} bytes, less than one sector`);
    const opened = handle;
    const file: BlockFile = {
      sizeBytes: Math.floor(stats.size / SECTOR) * SECTOR,
      read: (offsetBytes, target) => readFully(opened, offsetBytes, target),
      write: (offsetBytes, source) => writeFully(opened, offsetBytes, source),
      flush: () => opened.datasync(),
    };
    return { file, readOnly, close: () => opened.close() };
  } catch (cause) {
    await handle?.close();
    throw new VmError('DISK_OPEN_FAILED', {
      message: `The disk ${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: `Check the path and your rights to it; an empty disk of 1 GiB is made by: truncate -s 1G ${path}`,
      cause,
    });
  }
}
