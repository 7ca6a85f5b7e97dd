/**
 * The image `busybox` for tests: made once from Debian's packages and kept in the cache that all tests of a clone
 * share (`npm test` puts it under VIV_HOME).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareBusybox } from '../../packages/vm/src/host/node/images.ts';
import type { PreparedImage } from '../../packages/vm/src/image/busybox.ts';
import type { KernelName } from '../../packages/vm/src/image/kernels.ts';

const root: string = join(import.meta.dirname, '../..');

export function testImage(kernel?: KernelName): Promise<PreparedImage> {
  const cacheFolder = process.env['VIV_HOME'] === undefined ? join(root, '.cache/tests') : undefined;
  return prepareBusybox({ kernel, cacheFolder });
}

export interface ImageFiles extends Disposable {
  readonly kernel: string;
  readonly initrd: string;
  readonly release: string;
}

/** The same as files, for other programs; removed when disposed of. */
export async function testImageFiles(kernel?: KernelName): Promise<ImageFiles> {
  const image = await testImage(kernel);
  const folder = mkdtempSync(join(tmpdir(), 'viv-image-'));
  const files = { kernel: join(folder, 'vmlinux'), initrd: join(folder, 'initrd') };
  writeFileSync(files.kernel, await image.kernel());
  writeFileSync(files.initrd, image.initrd);
  return {
    ...files,
    release: image.release,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
