/** Prepares images on Node: binds the ports, the places and the settings. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { VmError } from '../../base/errors.ts';
import type { Clock, Http } from '../../base/ports.ts';
import {
  DEFAULT_KERNEL,
  type KernelName,
  type PreparedImage,
  prepareBusybox as prepare,
} from '../../image/busybox.ts';
import { Cache } from '../../image/cache.ts';
import { DEBIAN_FINGERPRINTS, HOST_KEYRINGS } from '../../image/debian/trusted-keys.ts';
import type { GuestScripts } from '../../image/initramfs.ts';
import type { OnProgress } from '../../image/progress.ts';
import { nodeFiles } from './cache-files.ts';
import { nodeDecompressor } from './decompressor.ts';
import { places } from './places.ts';
import { nodeHashing, nodeSignatures } from './signatures.ts';

export interface PrepareOptions {
  readonly kernel?: KernelName | undefined;
  /** Address of a Debian mirror (`--mirror`). */
  readonly mirror?: string | undefined;
  /** Looks for newer packages even when the image is in the cache. */
  readonly refresh?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Folder of the cache, instead of the usual one. */
  readonly cacheFolder?: string | undefined;
  /** Tests put their own here. */
  readonly http?: Http | undefined;
}

/** The package's own folder, from src/host/node and from dist/host/node alike. */
const packageFile = (path: string): URL => new URL(`../../../${path}`, import.meta.url);

/** Node's HTTP client costs 5 MB of memory, and a prepared image needs none. */
const lazyHttp: Http = {
  get: async (url, headers) => (await import('./download-http.ts')).nodeHttp.get(url, headers),
};

const wallClock: Clock = {
  nowNs: () => performance.now() * 1e6,
  realtimeNs: () => BigInt(Date.now()) * 1_000_000n,
};

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

async function guestScripts(): Promise<GuestScripts> {
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

/**
 * The image `busybox`: from the cache in milliseconds, or made from Debian's packages.
 * Mirrors: the option, VIV_DEBIAN_MIRROR, the configuration file, the release's default, the host's apt.
 * @throws VmError as `image/busybox.ts` says
 */
export async function prepareBusybox(options: PrepareOptions = {}): Promise<PreparedImage> {
  const [scripts, keys, configured, packaged] = await Promise.all([
    guestScripts(),
    archiveKeys(),
    configuredMirror(),
    packagedMirror(),
  ]);
  const ports = {
    files: nodeFiles,
    cache: new Cache(options.cacheFolder ?? places().cache, nodeFiles, nodeHashing),
    http: options.http ?? lazyHttp,
    decompressor: nodeDecompressor,
    signatures: nodeSignatures,
    clock: wallClock,
    trust: { fingerprints: DEBIAN_FINGERPRINTS, keys },
    scripts,
    onProgress: options.onProgress ?? (() => {}),
  };
  return prepare(ports, {
    kernel: options.kernel ?? DEFAULT_KERNEL,
    mirrors: { named: [options.mirror, process.env['VIV_DEBIAN_MIRROR'], configured, packaged] },
    refresh: options.refresh ?? false,
  });
}
