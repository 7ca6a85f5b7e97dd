/**
 * A Debian user land for a guest, made of the host's own files: an archive that goes behind the initramfs of the
 * image busybox and holds a root folder for chroot, with programs, their libraries and scripts.
 */
import { spawnSync } from 'node:child_process';
import { lstatSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type CpioEntry, writeCpio } from '../../packages/vm/src/image/cpio.ts';
import { hostFiles } from '../guest-c/programs.ts';

/** Where the root folder is in the guest. */
export const GUEST_ROOT = '/host';

/** @param files path under GUEST_ROOT → file of the host  @param folders empty folders */
export function userland(
  files: Iterable<readonly [string, string]>,
  folders: readonly string[] = [],
): Uint8Array {
  const entries = new Map<string, CpioEntry>();
  const addFolder = (path: string): void => {
    if (path === '/' || entries.has(path)) return;
    addFolder(dirname(path));
    entries.set(path, { kind: 'folder', path: path.slice(1), mode: 0o755 });
  };
  addFolder(GUEST_ROOT);
  const links = mergedFolders();
  for (const [path, target] of links) {
    entries.set(path, { kind: 'link', path: join(GUEST_ROOT, path).slice(1), target });
  }
  for (const folder of folders) addFolder(join(GUEST_ROOT, folder));
  for (const [path, source] of files) {
    const merged = links.has(`/${path.split('/')[1]}`);
    const at = join(GUEST_ROOT, merged ? join(realpathSync(dirname(path)), basename(path)) : path);
    addFolder(dirname(at));
    const mode = statSync(source).mode & 0o777;
    entries.set(at, { kind: 'file', path: at.slice(1), mode, data: readFileSync(source) });
  }
  return writeCpio([...entries.values()]);
}

/** Folders of the root that are links, as Debian's /bin is one to usr/bin. */
function mergedFolders(): Map<string, string> {
  const links = new Map<string, string>();
  for (const path of ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']) {
    const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    if (isLink) links.set(path, readlinkSync(path));
  }
  return links;
}

/** The files that perl reads for these modules, compiled ones included: path → host file. */
export function perlFiles(modules: readonly string[]): Map<string, string> {
  const script = 'require DynaLoader; print "$_\\n" for values %INC, @DynaLoader::dl_shared_objects';
  const run = spawnSync('perl', [...modules.map((name) => `-M${name}`), '-e', script], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`perl lacks a module: ${run.stderr}`);
  const files = new Map<string, string>();
  for (const path of run.stdout.split('\n')) {
    if (!path.startsWith('/')) continue;
    files.set(path, path);
    if (!path.endsWith('.so')) continue;
    for (const [library, source] of hostFiles([path])) files.set(library, source);
  }
  return files;
}
