/** Downloads into the cache: by hash, resumable, verified before the file gets its name. */
import { VmError } from '../base/errors.ts';
import type { Http, HttpResponse, Sha256 } from '../base/ports.ts';
import { collect } from './byte-stream.ts';
import { type Cache, cacheError } from './cache.ts';
import type { OnProgress } from './progress.ts';

export interface DownloadPorts {
  readonly http: Http;
  readonly cache: Cache;
  readonly onProgress: OnProgress;
}

export interface Wanted {
  /** Tried in order; a 404 leads to the next. */
  readonly urls: readonly string[];
  readonly sha256: string;
  readonly size: number;
  /** For people: "linux-image-… 6.1.1-1". */
  readonly what: string;
  readonly phase: 'index' | 'download';
}

const MAX_BREAKS = 5;
const NETWORK_REMEDY =
  'Check the network (behind a proxy, set https_proxy and http_proxy), or name another mirror with --mirror URL';

export function networkError(url: string, cause: unknown): VmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new VmError('DOWNLOAD_FAILED', {
    message: `${url} cannot be reached: ${why}`,
    remedy: NETWORK_REMEDY,
    cause,
    data: { url },
  });
}

export function statusError(url: string, status: number): VmError {
  return new VmError('DOWNLOAD_FAILED', {
    message: `${url} answered with status ${status}`,
    remedy:
      status === 404 ? 'Check the mirror’s address, or name another one with --mirror URL' : NETWORK_REMEDY,
    data: { url, status },
  });
}

/** A small file, whole and unverified; undefined when the server has none (404). */
export async function fetchSmall(http: Http, url: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    const response = await http.get(url);
    if (response.status === 200) return await collect(response.body, limit);
    response.discard();
    if (response.status === 404) return undefined;
    throw statusError(url, response.status);
  } catch (cause) {
    throw cause instanceof VmError ? cause : networkError(url, cause);
  }
}

/** The part of a download that is already there, and what it hashes to so far. */
interface Partial {
  have: number;
  hash: Sha256;
}

class Transfer {
  readonly #ports: DownloadPorts;
  readonly #wanted: Wanted;
  readonly #path: string;

  constructor(ports: DownloadPorts, wanted: Wanted) {
    this.#ports = ports;
    this.#wanted = wanted;
    this.#path = ports.cache.partialPathOf(wanted.sha256);
  }

  async #restart(): Promise<Partial> {
    await this.#ports.cache.files.remove(this.#path);
    return { have: 0, hash: this.#ports.cache.hashing.sha256() };
  }

  async #openPartial(): Promise<Partial> {
    const { files, hashing } = this.#ports.cache;
    const have = (await files.sizeOf(this.#path)) ?? 0;
    if (have === 0 || have > this.#wanted.size) return this.#restart();
    const hash = hashing.sha256();
    for await (const chunk of files.stream(this.#path)) hash.update(chunk);
    return { have, hash };
  }

  /** The first of the addresses that has the file. */
  async #request(have: number): Promise<{ url: string; response: HttpResponse }> {
    const headers: Record<string, string> = have > 0 ? { Range: `bytes=${have}-` } : {};
    let missing: VmError | undefined;
    for (const url of this.#wanted.urls) {
      const response = await this.#ports.http.get(url, headers).catch((cause: unknown) => {
        throw networkError(url, cause);
      });
      if ([200, 206, 416].includes(response.status)) return { url, response };
      response.discard();
      missing ??= statusError(url, response.status);
      if (response.status !== 404) throw missing;
    }
    throw missing ?? new Error('no address');
  }

  /** Appends the body; false when the connection broke in the middle. */
  async #append(partial: Partial, url: string, response: HttpResponse): Promise<boolean> {
    const { wanted, ports } = { wanted: this.#wanted, ports: this.#ports };
    const file = await ports.cache.files.append(this.#path).catch((error: unknown) => {
      throw cacheError(error, ports.cache.folder);
    });
    const chunks = response.body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await chunks.next().catch(() => undefined);
        if (next === undefined) return false;
        if (next.done === true) return partial.have === wanted.size;
        if (partial.have + next.value.length > wanted.size)
          throw this.#wrong(url, 'it is longer than announced');
        await file.write(next.value).catch((error: unknown) => {
          throw cacheError(error, ports.cache.folder);
        });
        partial.hash.update(next.value);
        partial.have += next.value.length;
        ports.onProgress({
          phase: wanted.phase,
          what: wanted.what,
          doneBytes: partial.have,
          totalBytes: wanted.size,
        });
      }
    } finally {
      response.discard();
      await file.sync().catch(() => {});
      await file.close();
    }
  }

  #wrong(url: string, why: string): VmError {
    return new VmError('HASH_MISMATCH', {
      message: `${url} is not the file that the package index names: ${why}`,
      remedy:
        'Try again in some minutes (the mirror may be in the middle of an update), or name another mirror',
      data: { url, sha256: this.#wanted.sha256 },
    });
  }

  async #tryOnce(): Promise<'done' | 'damaged'> {
    const { cache } = this.#ports;
    const { size, sha256, urls } = this.#wanted;
    let partial = await this.#openPartial();
    const resumed = partial.have > 0;
    for (let breaks = 0; partial.have < size; ) {
      const { url, response } = await this.#request(partial.have);
      const continues = new RegExp(`^bytes ${partial.have}-`).test(response.contentRange ?? '');
      if (response.status === 416 || (response.status === 206 && !continues)) {
        response.discard();
        if (partial.have === 0) throw statusError(url, response.status);
        partial = await this.#restart();
        continue;
      }
      if (response.status === 200 && partial.have > 0) partial = await this.#restart();
      if (await this.#append(partial, url, response)) break;
      if (++breaks > MAX_BREAKS) {
        throw new VmError('DOWNLOAD_FAILED', {
          message: `The connection for ${url} broke ${breaks} times; ${partial.have} of ${size} bytes have arrived`,
          remedy: 'Type the command again: the download goes on where it stopped',
          data: { url, have: partial.have, size },
        });
      }
    }
    if (partial.hash.digest() === sha256) {
      await cache.files.rename(this.#path, cache.pathOf(sha256));
      return 'done';
    }
    if (resumed) return 'damaged'; // The part from an earlier run may be at fault.
    throw this.#wrong(urls[0] ?? '', 'it has another hash');
  }

  async run(): Promise<void> {
    try {
      if ((await this.#tryOnce()) === 'done') return;
      await this.#restart();
      await this.#tryOnce();
    } catch (error) {
      const failure = error instanceof VmError ? error : cacheError(error, this.#ports.cache.folder);
      // A part is kept only where going on makes sense; on a full disk it would be in the way.
      if (failure.code !== 'DOWNLOAD_FAILED')
        await this.#ports.cache.files.remove(this.#path).catch(() => {});
      throw failure;
    }
  }
}

/**
 * Makes sure the cache has the file; call with its lock held. Returns its path.
 * @throws VmError DOWNLOAD_FAILED, HASH_MISMATCH, DISK_FULL, CACHE_UNUSABLE
 */
export async function download(ports: DownloadPorts, wanted: Wanted): Promise<string> {
  if (!(await ports.cache.has(wanted.sha256, wanted.size))) await new Transfer(ports, wanted).run();
  return ports.cache.pathOf(wanted.sha256);
}
