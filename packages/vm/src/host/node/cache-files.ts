/** The files port on Node. Locks are files that hold the owner's process id. */
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileAppender, FileLock, Files } from '../../base/ports.ts';

const READ_BYTES = 1 << 20;
const LOCK_POLL_MS = 200;

const hasCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code));

async function orUndefined<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(`${process.pid}\n`);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Frees a lock whose owner is dead. The rename lets only one of several processes do it. */
async function breakStaleLock(path: string): Promise<void> {
  const text = await orUndefined(readFile(path, 'utf8'));
  const pid = Number.parseInt(text ?? '', 10);
  // An empty file is a lock whose owner has not written its id yet, unless it is old.
  const born = (await orUndefined(stat(path)))?.mtimeMs ?? Date.now();
  if (Number.isNaN(pid) ? Date.now() - born < 10_000 : isAlive(pid)) return;
  const aside = `${path}.stale-${process.pid}`;
  await orUndefined(rename(path, aside));
  await rm(aside, { force: true });
}

async function lock(path: string): Promise<FileLock> {
  while (!(await tryLock(path))) {
    await breakStaleLock(path);
    await sleep(LOCK_POLL_MS);
  }
  return { release: () => rm(path, { force: true }) };
}

async function append(path: string): Promise<FileAppender> {
  const file = await open(path, 'a');
  return {
    async write(chunk) {
      for (let at = 0; at < chunk.length; ) {
        at += (await file.write(chunk, at, chunk.length - at)).bytesWritten;
      }
    },
    sync: () => file.datasync(),
    close: () => file.close(),
  };
}

export const nodeFiles: Files = {
  read: (path) => orUndefined(readFile(path)),
  sizeOf: async (path) => (await orUndefined(stat(path)))?.size,
  list: async (path) => ((await orUndefined(readdir(path))) ?? []).toSorted(),
  makeFolder: async (path) => {
    await mkdir(path, { recursive: true });
  },
  append,
  stream: (path) => createReadStream(path, { highWaterMark: READ_BYTES }),
  rename,
  remove: (path) => rm(path, { force: true }),
  lock,
};
