/** The files that both sides boot: Debian 12's cloud kernel and the initramfs of the image busybox. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareBusybox } from '../packages/vm/src/node.ts';
import type { BootFiles } from './guest.ts';

const MEMORY_MIB = 256;

/**
 * @param folder where they are written
 * @param more behind the initramfs
 */
export async function prepareBootFiles(
  folder: string,
  memoryMib: number = MEMORY_MIB,
  more: readonly Uint8Array[] = [],
): Promise<BootFiles> {
  const image = await prepareBusybox({ onProgress: () => {} });
  console.error(`kernel ${image.release}, ${image.packages.join(', ')}`);
  const files: BootFiles = {
    kernel: join(folder, 'vmlinux'),
    initrd: join(folder, `initrd-${more.length}`),
    memoryMib,
  };
  await writeFile(files.kernel, await image.kernel());
  await writeFile(files.initrd, Buffer.concat([image.initrd, ...more]));
  return files;
}
