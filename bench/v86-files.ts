/**
 * What v86 needs, fetched when it is measured: v86 itself from npm, a 32-bit kernel and busybox of Debian 12 through
 * our own code for Debian's archive, BIOS files from the host's package seabios.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeFiles } from '../packages/vm/src/host/node/cache-files.ts';
import { nodeDecompressor } from '../packages/vm/src/host/node/decompressor.ts';
import { nodeHttp } from '../packages/vm/src/host/node/download-http.ts';
import { imageCache } from '../packages/vm/src/host/node/make-image.ts';
import { places } from '../packages/vm/src/host/node/places.ts';
import { nodeSignatures } from '../packages/vm/src/host/node/signatures.ts';
import { writeCpio } from '../packages/vm/src/image/cpio.ts';
import { listPackages, newest, openRelease, type Package } from '../packages/vm/src/image/debian/archive.ts';
import { readDeb } from '../packages/vm/src/image/debian/deb.ts';
import { DEBIAN_FINGERPRINTS } from '../packages/vm/src/image/debian/trusted-keys.ts';
import { compareVersions } from '../packages/vm/src/image/debian/version.ts';
import { download } from '../packages/vm/src/image/download.ts';
import { findMirrors, suiteAddresses } from '../packages/vm/src/image/mirror.ts';
import type { BootFiles } from './guest.ts';
import { programArchive } from './guest-files.ts';

const V86_VERSION = '0.5.462';
const SUITES = ['bookworm-security', 'bookworm'];
/** Without PAE, as v86 likes it best. */
const KERNEL = /^linux-image-6\.1\.0-\d+-686$/;
const BUSYBOX = 'busybox-static';
const BIOS_FOLDER = '/usr/share/seabios';

export interface V86Files extends BootFiles {
  /** The module of v86, and its WebAssembly. */
  readonly v86: string;
  readonly v86Wasm: string;
  readonly bios: string;
  readonly vgaBios: string;
}

/** Why v86 cannot be measured, or undefined. */
export function missingForV86(): string | undefined {
  if (existsSync(join(BIOS_FOLDER, 'bios.bin'))) return undefined;
  return 'v86 needs BIOS files: apt-get install seabios';
}

/** Process 1 of the 32-bit guest: takes lines from the serial port and runs each in a shell. */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
stty -F /dev/ttyS0 -echo -onlcr
echo 1 >/proc/sys/kernel/printk
exec </dev/ttyS0 >/dev/ttyS0 2>&1
echo @ready
while IFS= read -r line; do sh -c "$line" </dev/null; done
`;

/**
 * @param folder where kernel and initial RAM disk are written
 * @param programs name → 32-bit executable
 */
export async function prepareV86(
  folder: string,
  memoryMib: number,
  programs: ReadonlyMap<string, string>,
): Promise<V86Files> {
  const [v86, packages] = [installV86(), await findI386()];
  const kernel = await fileOf(packages.kernel, (path) => path.startsWith('boot/vmlinuz-'));
  const busybox = await fileOf(packages.busybox, (path) => /^(usr\/)?bin\/busybox$/.test(path));
  const { name, version } = packages.kernel;
  console.error(`v86 ${V86_VERSION}, kernel ${name} ${version}`);
  const base = writeCpio([
    { kind: 'folder', path: 'bin', mode: 0o755 },
    { kind: 'folder', path: 'dev', mode: 0o755 },
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'bin/busybox', mode: 0o755, data: busybox },
    { kind: 'file', path: 'init', mode: 0o755, data: new TextEncoder().encode(INIT) },
  ]);
  const files = { kernel: join(folder, 'vmlinuz-686'), initrd: join(folder, 'initrd-686'), memoryMib };
  await writeFile(files.kernel, kernel);
  await writeFile(files.initrd, Buffer.concat([base, programArchive(programs)]));
  return {
    ...files,
    v86: join(v86, 'libv86.mjs'),
    v86Wasm: join(v86, 'v86.wasm'),
    bios: join(BIOS_FOLDER, 'bios.bin'),
    vgaBios: join(BIOS_FOLDER, 'vgabios-stdvga.bin'),
  };
}

/** @returns the folder of the built library, in the cache; npm checks what it installs */
function installV86(): string {
  const folder = join(places().cache, `v86-${V86_VERSION}`);
  const built = join(folder, 'node_modules/v86/build');
  if (existsSync(built)) return built;
  mkdirSync(folder, { recursive: true });
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder];
  const { status, stderr } = spawnSync('npm', [...args, `v86@${V86_VERSION}`], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm did not install v86: ${stderr}`);
  return built;
}

const ports = {
  files: nodeFiles,
  cache: imageCache(undefined),
  http: nodeHttp,
  decompressor: nodeDecompressor,
  signatures: nodeSignatures,
  clock: { nowNs: () => performance.now() * 1e6, realtimeNs: () => BigInt(Date.now()) * 1_000_000n },
  onProgress: () => {},
};

/** The newest 32-bit kernel and busybox of the first mirror that has them. */
async function findI386(): Promise<{ kernel: Package; busybox: Package }> {
  const keyring = new URL('../packages/vm/keys/debian-archive-keyring.asc', import.meta.url);
  const trust = { fingerprints: DEBIAN_FINGERPRINTS, keys: [readFileSync(keyring)] };
  const want = (name: string): boolean => KERNEL.test(name) || name === BUSYBOX;
  for (const mirror of await findMirrors(nodeFiles, { named: [process.env['VIV_DEBIAN_MIRROR']] })) {
    const found: Package[] = [];
    for (const address of SUITES.flatMap((suite) => suiteAddresses(mirror, suite))) {
      // A suite that a mirror lacks, or has half, is no reason to stop.
      const listed = openRelease({ ...ports, trust }, address)
        .then((release) => release && listPackages({ ...ports, trust }, address, release, want, 'i386'))
        .catch(() => undefined);
      found.push(...((await listed) ?? []));
    }
    const kernels = found.filter(({ name }) => KERNEL.test(name));
    const name = kernels.toSorted((a, b) => compareVersions(b.version, a.version))[0]?.name ?? '';
    const [kernel, busybox] = [newest(found, name), newest(found, BUSYBOX)];
    if (kernel !== undefined && busybox !== undefined) return { kernel, busybox };
  }
  throw new Error('no mirror has the 32-bit kernel and busybox of Debian 12; name one by VIV_DEBIAN_MIRROR');
}

async function fileOf(item: Package, want: (path: string) => boolean): Promise<Uint8Array> {
  const { urls, sha256, size, name } = item;
  const path = await download(ports, { urls, sha256, size, what: name, phase: 'download' });
  for await (const file of readDeb(nodeFiles.stream(path), nodeDecompressor, want)) return file.data;
  throw new Error(`the package ${name} has no such file`);
}
