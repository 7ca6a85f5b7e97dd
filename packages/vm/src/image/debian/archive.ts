/** A Debian archive on one mirror: its suites' verified indexes, and the packages they name. */
import { VmError } from '../../base/errors.ts';
import type { Clock, Decompressor, Signatures } from '../../base/ports.ts';
import { type DownloadPorts, download, fetchSmall, statusError } from '../download.ts';
import { findPackages, type Paragraph } from './control.ts';
import { type Release, type Trust, verifyRelease } from './release.ts';
import { compareVersions } from './version.ts';

export interface ArchivePorts extends DownloadPorts {
  readonly decompressor: Decompressor;
  readonly signatures: Signatures;
  readonly clock: Clock;
  readonly trust: Trust;
}

export interface Package {
  readonly name: string;
  readonly version: string;
  readonly depends: string;
  readonly urls: readonly string[];
  readonly sha256: string;
  readonly size: number;
}

/** A suite at a mirror: `<base>/dists/<name>`. */
export interface SuiteAddress {
  readonly base: string;
  readonly name: string;
}

const MAX_RELEASE_BYTES = 16 << 20;
const INDEXES = [
  ['Packages.gz', 'gzip'],
  ['Packages.xz', 'xz'],
] as const;

/**
 * The verified index of a suite; undefined when this mirror does not have the suite, or it is not Debian's.
 * @throws VmError DOWNLOAD_FAILED, SIGNATURE_INVALID, INDEX_EXPIRED
 */
export async function openRelease(ports: ArchivePorts, suite: SuiteAddress): Promise<Release | undefined> {
  const url = `${suite.base}/dists/${suite.name}/InRelease`;
  ports.onProgress({
    phase: 'index',
    what: `${suite.name} at ${suite.base}`,
    doneBytes: 0,
    totalBytes: undefined,
  });
  const message = await fetchSmall(ports.http, url, MAX_RELEASE_BYTES);
  if (message === undefined) return undefined;
  const nowMs = Number(ports.clock.realtimeNs() / 1_000_000n);
  const release = await verifyRelease(message, url, ports.trust, ports.signatures, nowMs);
  const origin = suite.name.endsWith('-backports') ? 'Debian Backports' : 'Debian';
  return release.origin === origin && release.codename === suite.name ? release : undefined;
}

function parsePackage(fields: Paragraph, base: string): Package | undefined {
  const [name, version, filename] = [fields.get('package'), fields.get('version'), fields.get('filename')];
  const [sha256, size] = [fields.get('sha256'), Number(fields.get('size'))];
  if (name === undefined || version === undefined || filename === undefined || sha256 === undefined)
    return undefined;
  if (!/^[0-9a-f]{64}$/.test(sha256) || !Number.isSafeInteger(size) || filename.split('/').includes('..')) {
    return undefined;
  }
  return { name, version, depends: fields.get('depends') ?? '', urls: [`${base}/${filename}`], sha256, size };
}

/**
 * The packages of a suite's main component whose names are wanted.
 * @throws VmError DOWNLOAD_FAILED, HASH_MISMATCH, ARCHIVE_CORRUPT, DISK_FULL
 */
export async function listPackages(
  ports: ArchivePorts,
  suite: SuiteAddress,
  release: Release,
  want: (name: string) => boolean,
  architecture = 'amd64',
): Promise<Package[]> {
  const component = `main/binary-${architecture}`;
  for (const [name, format] of INDEXES) {
    const path = `${component}/${name}`;
    const file = release.files.get(path);
    if (file === undefined) continue;
    const folder = `${suite.base}/dists/${suite.name}`;
    const plain = `${folder}/${path}`;
    const byHash = `${folder}/${path.slice(0, path.lastIndexOf('/'))}/by-hash/SHA256/${file.sha256}`;
    const index = await download(ports, {
      urls: release.byHash ? [byHash, plain] : [plain],
      ...file,
      what: `package index of ${suite.name}`,
      phase: 'index',
    });
    const packages: Package[] = [];
    try {
      const text = ports.decompressor.decompress(format, ports.cache.files.stream(index));
      for await (const fields of findPackages(text, want)) {
        const found = parsePackage(fields, suite.base);
        if (found !== undefined) packages.push(found);
      }
    } catch (cause) {
      throw new VmError('ARCHIVE_CORRUPT', {
        message: `The package index of ${suite.name} does not unpack`,
        remedy: `Remove ${index} and try again`,
        cause,
      });
    }
    return packages;
  }
  throw statusError(`${suite.base}/dists/${suite.name}/${component}/${INDEXES[0][0]}`, 404);
}

/** The newest of the packages with this name. */
export function newest(packages: readonly Package[], name: string): Package | undefined {
  return packages
    .filter((candidate) => candidate.name === name)
    .toSorted((a, b) => compareVersions(b.version, a.version))[0];
}
