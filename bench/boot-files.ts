/** The files that both sides boot: Debian 12's cloud kernel and the initramfs of the image busybox. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareBusybox } from '@vivarium/vm';
import type { BootFiles } from './guest.ts';

const MEMORY_MIB = 256;

export async function prepareBootFiles(folder: string): Promise<BootFiles> {
  const image = await prepareBusybox({ onProgress: () => {} });
  console.error(`kernel ${image.release}, ${image.packages.join(', ')}`);
  const files: BootFiles = {
    kernel: join(folder, 'vmlinux'),
    initrd: join(folder, 'initrd'),
    memoryMib: MEMORY_MIB,
  };
  await writeFile(files.kernel, await image.kernel());
  await writeFile(files.initrd, image.initrd);
  return files;
}
