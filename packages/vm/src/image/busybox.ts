/** The image `busybox`: a Debian kernel, and an initramfs with Debian's static busybox and our scripts. */
import { VmError } from '../base/errors.ts';
import type { Files } from '../base/ports.ts';
import { extractVmlinux } from '../firmware/kernel/vmlinux.ts';
import type { Cache } from './cache.ts';
import {
  type ArchivePorts,
  listPackages,
  newest,
  openRelease,
  type Package,
  type SuiteAddress,
} from './debian/archive.ts';
import { readDeb } from './debian/deb.ts';
import type { Release } from './debian/release.ts';
import { compareVersions } from './debian/version.ts';
import { download } from './download.ts';
import { completeInitramfs, type GuestScripts, writeBaseArchive } from './initramfs.ts';
import { unpackKernelPackage } from './kernel-package.ts';
import { BOOKWORM, KERNELS, type KernelName, type SuiteGroups, TRIXIE } from './kernels.ts';
import { findMirrors, type Mirror, type MirrorSettings, mirrorUnknown, suiteAddresses } from './mirror.ts';

const BUSYBOX_SUITES: SuiteGroups = [BOOKWORM, TRIXIE];

export interface PreparedImage {
  /** Reads the vmlinux, an ELF file of some 50 MB: a function so that nobody need keep the bytes. */
  readonly kernel: () => Promise<Uint8Array>;
  /** Uncompressed cpio. */
  readonly initrd: Uint8Array;
  /** The kernel's `uname -r`. */
  readonly release: string;
  /** Name and version of the packages it is made of. */
  readonly packages: readonly string[];
}

export interface BusyboxPorts extends ArchivePorts {
  readonly files: Files;
  readonly scripts: GuestScripts;
}

export interface BusyboxOptions {
  readonly kernel: KernelName;
  readonly mirrors: MirrorSettings;
  /** Looks for newer packages even when the image is in the cache. */
  readonly refresh: boolean;
}

/** Where the parts of a prepared image are in the cache. Raise the version when they are made differently. */
interface ImageRecord {
  readonly version: 3;
  readonly release: string;
  readonly packages: readonly string[];
  readonly kernel: { readonly sha256: string; readonly size: number };
  readonly base: { readonly sha256: string; readonly size: number };
}

const recordName = (kernel: KernelName): string => `busybox-${kernel}`;

function readKernel(cache: Cache, { sha256, size }: ImageRecord['kernel']): () => Promise<Uint8Array> {
  return async () => {
    const kernel = await cache.get(sha256, size);
    if (kernel !== undefined) return kernel;
    throw new VmError('CACHE_UNUSABLE', {
      message: `The kernel ${cache.pathOf(sha256)} is no longer in the cache`,
      remedy: 'Type the command again: it is made anew',
    });
  };
}

/** The image if it is in the cache, whole. */
export async function cachedBusybox(
  { cache, scripts }: Pick<BusyboxPorts, 'cache' | 'scripts'>,
  name: KernelName,
): Promise<PreparedImage | undefined> {
  const record = (await cache.readRecord(recordName(name))) as ImageRecord | undefined;
  if (record?.version !== 3) return undefined;
  const base = await cache.get(record.base.sha256, record.base.size);
  if (base === undefined || !(await cache.has(record.kernel.sha256, record.kernel.size))) return undefined;
  const { release, packages } = record;
  return {
    kernel: readKernel(cache, record.kernel),
    initrd: completeInitramfs(base, scripts),
    release,
    packages,
  };
}

/** One mirror's suites, each opened and read once. */
class Shelf {
  readonly #ports: BusyboxPorts;
  readonly #mirror: Mirror;
  readonly #want: (name: string) => boolean;
  readonly #packages = new Map<string, Promise<Package[] | undefined>>();

  constructor(ports: BusyboxPorts, mirror: Mirror, want: (name: string) => boolean) {
    this.#ports = ports;
    this.#mirror = mirror;
    this.#want = want;
  }

  async #open(suite: string): Promise<{ address: SuiteAddress; release: Release } | undefined> {
    const addresses = suiteAddresses(this.#mirror, suite);
    for (const address of addresses) {
      // A mirror without the security archive is no reason to stop; a bad signature always is.
      const release = await openRelease(this.#ports, address).catch((error: unknown) => {
        const missing = error instanceof VmError && error.code === 'DOWNLOAD_FAILED';
        if (missing && suite.endsWith('-security')) return undefined;
        throw error;
      });
      if (release !== undefined) return { address, release };
    }
    return undefined;
  }

  async #read(suite: string): Promise<Package[] | undefined> {
    const opened = await this.#open(suite);
    return opened && listPackages(this.#ports, opened.address, opened.release, this.#want);
  }

  /** The wanted packages of a suite; undefined when the mirror does not have the suite. */
  packages(suite: string): Promise<Package[] | undefined> {
    let packages = this.#packages.get(suite);
    if (packages === undefined) {
      packages = this.#read(suite);
      this.#packages.set(suite, packages);
    }
    return packages;
  }

  /** The newest package of this name, with its suite's other packages. */
  async find(
    name: string,
    groups: SuiteGroups,
  ): Promise<{ found: Package; suite: readonly Package[] } | undefined> {
    for (const group of groups) {
      const candidates = [];
      for (const suite of group) {
        const packages = (await this.packages(suite)) ?? [];
        const found = newest(packages, name);
        if (found !== undefined) candidates.push({ found, suite: packages });
      }
      const best = candidates.toSorted((a, b) => compareVersions(b.found.version, a.found.version))[0];
      if (best !== undefined) return best;
    }
    return undefined;
  }

  /** Whether this is a mirror of Debian at all. */
  async isDebian(): Promise<boolean> {
    for (const suite of ['bookworm', 'trixie']) if ((await this.packages(suite)) !== undefined) return true;
    return false;
  }
}

function packageNotFound(name: string, mirror: Mirror): VmError {
  return new VmError('PACKAGE_NOT_FOUND', {
    message: `The mirror ${mirror.base} has no package ${name} in the suites where it belongs`,
    remedy: 'Name a complete mirror, for example: --mirror http://mirror.example/debian',
    data: { name, mirror: mirror.base },
  });
}

interface Choice {
  readonly kernel: Package;
  readonly busybox: Package;
}

async function choosePackages(shelf: Shelf, mirror: Mirror, name: KernelName): Promise<Choice> {
  const { metaPackage, suites } = KERNELS[name];
  const meta = await shelf.find(metaPackage, suites);
  if (meta === undefined) throw packageNotFound(metaPackage, mirror);
  const kernelName = /linux-image-\d[^ ,|]*/.exec(meta.found.depends)?.[0] ?? metaPackage;
  const kernel = newest(meta.suite, kernelName);
  if (kernel === undefined) throw packageNotFound(kernelName, mirror);
  const busybox = await shelf.find('busybox-static', BUSYBOX_SUITES);
  if (busybox === undefined) throw packageNotFound('busybox-static', mirror);
  return { kernel, busybox: busybox.found };
}

/** Goes through the mirrors until one is Debian's; what went wrong with the others is the cause if none is. */
async function choose(ports: BusyboxPorts, options: BusyboxOptions): Promise<Choice> {
  const want = (name: string): boolean => name.startsWith('linux-image-') || name === 'busybox-static';
  let firstError: unknown;
  for (const mirror of await findMirrors(ports.files, options.mirrors)) {
    const shelf = new Shelf(ports, mirror, want);
    const usable = await shelf.isDebian().catch((error: unknown) => {
      if (mirror.named) throw error;
      firstError ??= error;
      return false;
    });
    if (usable) return choosePackages(shelf, mirror, options.kernel);
    if (mirror.named) {
      throw new VmError('DOWNLOAD_FAILED', {
        message: `${mirror.base} has neither Debian’s suite bookworm nor trixie`,
        remedy:
          'Name the folder of a Debian mirror that has "dists" in it: --mirror http://mirror.example/debian',
      });
    }
  }
  if (firstError instanceof VmError) throw firstError;
  throw mirrorUnknown(firstError);
}

async function fetchPackage(ports: BusyboxPorts, item: Package): Promise<() => AsyncIterable<Uint8Array>> {
  const { urls, sha256, size } = item;
  const path = await download(ports, {
    urls,
    sha256,
    size,
    what: `${item.name} ${item.version}`,
    phase: 'download',
  });
  return () => ports.cache.files.stream(path);
}

async function unpackBusybox(
  ports: BusyboxPorts,
  item: Package,
  open: () => AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  const want = (path: string): boolean => /^(usr\/)?bin\/busybox$/.test(path);
  try {
    for await (const file of readDeb(open(), ports.decompressor, want)) return file.data;
  } catch (cause) {
    throw new VmError('ARCHIVE_CORRUPT', {
      message: `The package ${item.name} does not unpack`,
      remedy: 'Remove the cache folder and try again',
      cause,
    });
  }
  throw new VmError('ARCHIVE_CORRUPT', {
    message: `The package ${item.name} has no file bin/busybox`,
    remedy: 'Name another mirror with --mirror URL',
  });
}

async function make(ports: BusyboxPorts, options: BusyboxOptions): Promise<PreparedImage> {
  const chosen = await choose(ports, options);
  const kernelFile = await fetchPackage(ports, chosen.kernel);
  const busyboxFile = await fetchPackage(ports, chosen.busybox);
  ports.onProgress({ phase: 'unpack', what: chosen.kernel.name, doneBytes: 0, totalBytes: undefined });
  const files = await unpackKernelPackage(kernelFile, chosen.kernel.name, ports.decompressor);
  const kernel = await extractVmlinux(files.vmlinuz, ports.decompressor);
  const base = writeBaseArchive(await unpackBusybox(ports, chosen.busybox, busyboxFile), files.modules);
  const packages = [chosen.kernel, chosen.busybox].map((item) => `${item.name} ${item.version}`);
  const record: ImageRecord = {
    version: 3,
    release: files.release,
    packages,
    kernel: { sha256: await ports.cache.put(kernel), size: kernel.length },
    base: { sha256: await ports.cache.put(base), size: base.length },
  };
  await ports.cache.writeRecord(recordName(options.kernel), record);
  const initrd = completeInitramfs(base, ports.scripts);
  return { kernel: readKernel(ports.cache, record.kernel), initrd, release: files.release, packages };
}

/**
 * The image, from the cache or made from Debian's packages.
 * @throws VmError MIRROR_UNKNOWN, DOWNLOAD_FAILED, SIGNATURE_INVALID, INDEX_EXPIRED, HASH_MISMATCH,
 * PACKAGE_NOT_FOUND, ARCHIVE_CORRUPT, MODULE_MISSING, DISK_FULL, CACHE_UNUSABLE, USAGE
 */
export async function prepareBusybox(ports: BusyboxPorts, options: BusyboxOptions): Promise<PreparedImage> {
  if (!options.refresh) {
    const cached = await cachedBusybox(ports, options.kernel);
    if (cached !== undefined) return cached;
  }
  const lock = await ports.cache.lock();
  try {
    // Another process may have made it while this one waited.
    const cached = options.refresh ? undefined : await cachedBusybox(ports, options.kernel);
    return cached ?? (await make(ports, options));
  } finally {
    await lock.release();
  }
}
