/**
 * A folder of files named by the hash of their content. A file appears under its final name only whole: it is
 * written under `partial/`, brought to stable storage, then renamed.
 *
 *   sha256/<hash>     whole files
 *   partial/<hash>    downloads that can go on where they stopped
 *   partial/new-…     files being written
 *   records/<name>    small JSON files about prepared images
 *   lock              held while something is added
 */
import { VmError } from '../base/errors.ts';
import type { FileLock, Files, Hashing } from '../base/ports.ts';

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;

/** A failed write as the error a user can act on. */
export function cacheError(error: unknown, folder: string): VmError {
  if (error instanceof VmError) return error;
  if (codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT') {
    return new VmError('DISK_FULL', {
      message: `There is no space left for the cache in ${folder}`,
      remedy: 'Free some space (about 200 MB are needed), or name another folder with VIV_HOME',
      cause: error,
    });
  }
  return new VmError('CACHE_UNUSABLE', {
    message: `The cache in ${folder} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
    remedy: 'Make the folder writable, or name another one with VIV_HOME',
    cause: error,
  });
}

export class Cache {
  readonly folder: string;
  readonly files: Files;
  readonly hashing: Hashing;

  constructor(folder: string, files: Files, hashing: Hashing) {
    this.folder = folder;
    this.files = files;
    this.hashing = hashing;
  }

  pathOf(sha256: string): string {
    return `${this.folder}/sha256/${sha256}`;
  }

  partialPathOf(sha256: string): string {
    return `${this.folder}/partial/${sha256}`;
  }

  /** Whether the file is there, whole. */
  async has(sha256: string, size: number): Promise<boolean> {
    return (await this.files.sizeOf(this.pathOf(sha256))) === size;
  }

  /** Waits for other processes that add to the cache. Removes what a killed one left unfinished. */
  async lock(): Promise<FileLock> {
    try {
      await this.files.makeFolder(`${this.folder}/sha256`);
      await this.files.makeFolder(`${this.folder}/partial`);
      await this.files.makeFolder(`${this.folder}/records`);
      const lock = await this.files.lock(`${this.folder}/lock`);
      for (const name of await this.files.list(`${this.folder}/partial`)) {
        if (name.startsWith('new-')) await this.files.remove(`${this.folder}/partial/${name}`);
      }
      return lock;
    } catch (error) {
      throw cacheError(error, this.folder);
    }
  }

  async #replace(path: string, name: string, bytes: Uint8Array): Promise<void> {
    const partial = `${this.folder}/partial/new-${name}`;
    try {
      await this.files.remove(partial);
      const file = await this.files.append(partial);
      try {
        await file.write(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.files.rename(partial, path);
    } catch (error) {
      await this.files.remove(partial).catch(() => {});
      throw cacheError(error, this.folder);
    }
  }

  /** Adds a file; returns its hash. Call with the lock held. */
  async put(bytes: Uint8Array): Promise<string> {
    const hash = this.hashing.sha256();
    hash.update(bytes);
    const sha256 = hash.digest();
    if (!(await this.has(sha256, bytes.length))) await this.#replace(this.pathOf(sha256), sha256, bytes);
    return sha256;
  }

  /** The file's bytes; undefined when it is absent or has another size. */
  async get(sha256: string, size: number): Promise<Uint8Array | undefined> {
    const bytes = await this.files.read(this.pathOf(sha256));
    return bytes?.length === size ? bytes : undefined;
  }

  async readRecord(name: string): Promise<unknown> {
    const bytes = await this.files.read(`${this.folder}/records/${name}.json`).catch(() => undefined);
    if (bytes === undefined) return undefined;
    try {
      return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    } catch {
      return undefined; // Written by something else; it is made anew.
    }
  }

  async writeRecord(name: string, value: unknown): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
    await this.#replace(`${this.folder}/records/${name}.json`, `${name}.json`, bytes);
  }
}
