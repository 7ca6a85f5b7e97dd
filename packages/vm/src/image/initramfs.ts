/**
 * The initramfs in two cpio archives, one after the other as Linux allows: a base of packaged files, which is kept
 * in the cache, and our scripts on top, which belong to this version.
 */
import { type CpioEntry, writeCpio } from './cpio.ts';
import type { KernelModule } from './kernel-package.ts';

/** The scripts of the folder `guest/`. */
export interface GuestScripts {
  readonly init: Uint8Array;
  readonly session: Uint8Array;
}

const encoder = new TextEncoder();
const folder = (path: string, mode = 0o755): CpioEntry => ({ kind: 'folder', path, mode });
const link = (path: string, target: string): CpioEntry => ({ kind: 'link', path, target });
const file = (path: string, data: Uint8Array, mode = 0o644): CpioEntry => ({
  kind: 'file',
  path,
  mode,
  data,
});
const text = (path: string, content: string, mode = 0o644): CpioEntry =>
  file(path, encoder.encode(content), mode);

const FOLDERS = [
  'bin',
  'dev',
  'etc',
  'etc/acpi',
  'etc/acpi/PWRF',
  'lib',
  'lib/modules',
  'mnt',
  'proc',
  'run',
  'sys',
];

/** What busybox's acpid runs for the power button. */
const POWER_BUTTON = '#!/bin/sh\nexec busybox poweroff -f\n';

/** What must be there before `init` can make the links for all applets. */
const FIRST_APPLETS = ['mount', 'sh'];

/** Packaged files: busybox, the modules and their order, a minimal /etc. */
export function writeBaseArchive(busybox: Uint8Array, modules: readonly KernelModule[]): Uint8Array {
  return writeCpio([
    ...FOLDERS.map((path) => folder(path)),
    folder('root', 0o700),
    folder('tmp', 0o1777),
    folder('usr'),
    folder('var'),
    link('sbin', 'bin'),
    link('usr/bin', '../bin'),
    link('usr/sbin', '../bin'),
    link('var/run', '../run'),
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    file('bin/busybox', busybox, 0o755),
    ...FIRST_APPLETS.map((name) => link(`bin/${name}`, 'busybox')),
    text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    text('etc/group', 'root:x:0:\n'),
    text('etc/hosts', '127.0.0.1 localhost\n'),
    text('etc/acpi/PWRF/00000080', POWER_BUTTON, 0o755),
    ...modules.map(({ name, data }) => file(`lib/modules/${name}.ko`, data)),
    text('lib/modules/order', modules.map(({ name }) => `${name}.ko\n`).join('')),
  ]);
}

/** What `init` mounts, in this order. */
const FSTAB = `proc /proc proc defaults 0 0
sys /sys sysfs defaults 0 0
dev /dev devtmpfs defaults 0 0
tmp /tmp tmpfs mode=1777 0 0
run /run tmpfs mode=755 0 0
`;

/** The base with this version's scripts. */
export function completeInitramfs(base: Uint8Array, scripts: GuestScripts): Uint8Array {
  const ours = writeCpio([
    folder('viv'),
    text('viv/fstab', FSTAB),
    folder('viv/dev'),
    folder('viv/dev/pts'),
    folder('viv/dev/shm', 0o1777),
    link('viv/dev/fd', '/proc/self/fd'),
    link('viv/dev/stdin', '/proc/self/fd/0'),
    link('viv/dev/stdout', '/proc/self/fd/1'),
    link('viv/dev/stderr', '/proc/self/fd/2'),
    file('viv/session', scripts.session, 0o755),
    file('init', scripts.init, 0o755),
  ]);
  const whole = new Uint8Array(base.length + ours.length);
  whole.set(base);
  whole.set(ours, base.length);
  return whole;
}
