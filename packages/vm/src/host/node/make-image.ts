/** Makes an image from Debian's packages on Node: binds the ports, the places and the settings. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { VmError } from '../../base/errors.ts';
import type { Clock } from '../../base/ports.ts';
import { prepareBusybox } from '../../image/busybox.ts';
import { Cache } from '../../image/cache.ts';
import { DEBIAN_FINGERPRINTS, HOST_KEYRINGS } from '../../image/debian/trusted-keys.ts';
import type { GuestScripts } from '../../image/initramfs.ts';
import type { KernelName } from '../../image/kernels.ts';
import type { OnProgress } from '../../image/progress.ts';
import { nodeFiles } from './cache-files.ts';
import { nodeDecompressor } from './decompressor.ts';
import { nodeHttp } from './download-http.ts';
import { places } from './places.ts';
import { nodeHashing, nodeSignatures } from './signatures.ts';

export interface MakeOptions {
  readonly kernel: KernelName;
  readonly mirror: string | undefined;
  readonly refresh: boolean;
  readonly cacheFolder: string | undefined;
}

/** The package's own folder, from src/host/node and from dist/host/node alike. */
const packageFile = (path: string): URL => new URL(`../../../${path}`, import.meta.url);

const wallClock: Clock = {
  nowNs: () => performance.now() * 1e6,
  realtimeNs: () => BigInt(Date.now()) * 1_000_000n,
};

export const imageCache = (folder: string | undefined): Cache =>
  new Cache(folder ?? places().cache, nodeFiles, nodeHashing);

async function readConfig(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8').catch(() => '{}');
  try {
    const config: unknown = JSON.parse(text);
    if (typeof config === 'object' && config !== null) return config as Record<string, unknown>;
  } catch {
    // Named below like every other content that is no object.
  }
  throw new VmError('USAGE', {
    message: `${path} is no JSON object`,
    remedy: 'Correct the file, or remove it',
  });
}

async function configuredMirror(): Promise<string | undefined> {
  const { debianMirror } = await readConfig(places().configFile);
  return typeof debianMirror === 'string' ? debianMirror : undefined;
}

/** Keeps a mirror's address in the configuration file, for when none is named. */
export async function storeMirror(mirror: string): Promise<void> {
  const path = places().configFile;
  const config = { ...(await readConfig(path)), debianMirror: mirror };
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, `${JSON.stringify(config, undefined, 2)}\n`);
  await rename(`${path}.new`, path);
}

/** A release writes this file into the published package; a clone has none. */
async function packagedMirror(): Promise<string | undefined> {
  const text = await readFile(packageFile('default-mirror.txt'), 'utf8').catch(() => '');
  return text.trim() === '' ? undefined : text.trim();
}

export async function guestScripts(): Promise<GuestScripts> {
  const [init, session] = await Promise.all(
    ['guest/init', 'guest/session'].map((path) => readFile(packageFile(path))),
  );
  return { init: init as Uint8Array, session: session as Uint8Array };
}

async function archiveKeys(): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [await readFile(packageFile('keys/debian-archive-keyring.asc'))];
  for (const path of HOST_KEYRINGS) {
    const keyring = await nodeFiles.read(path).catch(() => undefined);
    if (keyring !== undefined) keys.push(keyring);
  }
  return keys;
}

/** @throws VmError as `image/busybox.ts` says */
export async function makeImage(options: MakeOptions, onProgress: OnProgress): Promise<void> {
  const [scripts, keys, configured, packaged] = await Promise.all([
    guestScripts(),
    archiveKeys(),
    configuredMirror(),
    packagedMirror(),
  ]);
  const ports = {
    files: nodeFiles,
    cache: imageCache(options.cacheFolder),
    http: nodeHttp,
    decompressor: nodeDecompressor,
    signatures: nodeSignatures,
    clock: wallClock,
    trust: { fingerprints: DEBIAN_FINGERPRINTS, keys },
    scripts,
    onProgress,
  };
  await prepareBusybox(ports, {
    kernel: options.kernel,
    mirrors: { named: [options.mirror, process.env['VIV_DEBIAN_MIRROR'], configured, packaged] },
    refresh: options.refresh,
  });
}
