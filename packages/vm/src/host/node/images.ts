/** Prepares images on Node: from the cache, or made by a process of their own. */
import { fork } from 'node:child_process';
import { VmError } from '../../base/errors.ts';
import { cachedBusybox, type PreparedImage } from '../../image/busybox.ts';
import { DEFAULT_KERNEL } from '../../image/kernels.ts';
import type { OnProgress } from '../../image/progress.ts';
import type { PrepareOptions } from './prepare.ts';
import { imageCache, guestScripts, type MakeOptions } from './make-image.ts';
import type { MakeReply } from './make-image-process.ts';
import { workerFile } from './threads.ts';

/**
 * Unpacking takes some 200 MB for seconds, which neither the collector nor the allocator would give back: a process
 * of its own leaves the one that runs the machine small.
 */
function makeInProcess(options: MakeOptions, onProgress: OnProgress): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(workerFile('make-image-process', import.meta.url), [JSON.stringify(options)], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.on('message', (reply: MakeReply) => {
      if (reply.kind === 'progress') onProgress(reply.progress);
      else reject(new VmError(reply.code, reply));
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`the process that makes the image ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

/**
 * The image `busybox`: from the cache in milliseconds, or made from Debian's packages.
 * Mirrors: the option, VIV_DEBIAN_MIRROR, the configuration file, the release's default, the host's apt.
 * @throws VmError as `image/busybox.ts` says
 */
export async function prepareBusybox(options: PrepareOptions = {}): Promise<PreparedImage> {
  const { kernel = DEFAULT_KERNEL, mirror, refresh = false, cacheFolder } = options;
  const parts = { cache: imageCache(cacheFolder), scripts: await guestScripts() };
  const cached = refresh ? undefined : await cachedBusybox(parts, kernel);
  if (cached !== undefined) return cached;
  await makeInProcess({ kernel, mirror, refresh, cacheFolder }, options.onProgress ?? (() => {}));
  const made = await cachedBusybox(parts, kernel);
  if (made !== undefined) return made;
  throw new VmError('CACHE_UNUSABLE', {
    message: `The image was made, and is not in the cache ${parts.cache.folder}`,
    remedy: 'Type the command again; something removes files from the folder',
  });
}
