/** Images as the library's users ask for them. What makes images is loaded when asked: a start without one is faster. */
import type { PreparedImage } from '../../image/busybox.ts';
import type { KernelName } from '../../image/kernels.ts';
import type { OnProgress } from '../../image/progress.ts';

export interface PrepareOptions {
  readonly kernel?: KernelName | undefined;
  /** Address of a Debian mirror (`--mirror`). */
  readonly mirror?: string | undefined;
  /** Looks for newer packages even when the image is in the cache. */
  readonly refresh?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Folder of the cache, instead of the usual one. */
  readonly cacheFolder?: string | undefined;
}

/** See images.ts. */
export async function prepareBusybox(options?: PrepareOptions): Promise<PreparedImage> {
  const images = await import('./images.ts');
  return images.prepareBusybox(options);
}

/** Keeps a mirror's address in the configuration file, for when none is named. */
export async function storeMirror(mirror: string): Promise<void> {
  const images = await import('./make-image.ts');
  await images.storeMirror(mirror);
}
