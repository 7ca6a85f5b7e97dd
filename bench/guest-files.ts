/** What goes behind the initramfs of the image busybox: the programs of bench/programs. */
import { readFileSync } from 'node:fs';
import { writeCpio } from '../packages/vm/src/image/cpio.ts';
import { PROGRAM_FOLDER } from './items.ts';

/** @param programs name → executable of the host */
export function programArchive(programs: ReadonlyMap<string, string>): Uint8Array {
  const folder = PROGRAM_FOLDER.slice(1);
  return writeCpio([
    { kind: 'folder', path: folder, mode: 0o755 },
    ...[...programs].map(([name, file]) => ({
      kind: 'file' as const,
      path: `${folder}/${name}`,
      mode: 0o755,
      data: readFileSync(file),
    })),
  ]);
}
