/** Where Debian packages come from: what the user names, else what the host's apt uses. */
import { VmError } from '../base/errors.ts';
import type { Files } from '../base/ports.ts';
import { type AptSource, readAptSources } from './debian/apt-sources.ts';
import type { SuiteAddress } from './debian/archive.ts';

export interface MirrorSettings {
  /** In order of precedence: the option, the environment, the configuration file, the package's own default. */
  readonly named: readonly (string | undefined)[];
  /** Where apt's configuration is; `/etc/apt` unless told otherwise. */
  readonly aptFolder?: string;
}

export interface Mirror {
  /** Of the main archive, without trailing slash. */
  readonly base: string;
  /** Of the security archive, in the order to try. */
  readonly securityBases: readonly string[];
  /** Named by the user, so nothing else is tried. */
  readonly named: boolean;
}

const isSecurity = (source: AptSource): boolean => source.suites.some((suite) => suite.endsWith('-security'));

/** Debian's mirrors keep security updates beside the main archive under this name. */
const securityBeside = (base: string): string => `${base}-security`;

function parseMirror(address: string): string {
  const trimmed = address.trim().replace(/\/+$/, '');
  if (URL.canParse(trimmed) && /^https?:$/.test(new URL(trimmed).protocol)) return trimmed;
  throw new VmError('USAGE', {
    message: `'${address}' is no address of a Debian mirror`,
    remedy:
      'A mirror’s address starts with http:// or https://, for example: --mirror http://mirror.example/debian',
  });
}

/** @throws VmError USAGE for a named address that is none */
export async function findMirrors(files: Files, settings: MirrorSettings): Promise<Mirror[]> {
  const name = settings.named.find((address) => address !== undefined && address.trim() !== '');
  if (name !== undefined) {
    const base = parseMirror(name);
    return [{ base, securityBases: [securityBeside(base)], named: true }];
  }
  const sources = await readAptSources(files, settings.aptFolder);
  const security = sources.filter(isSecurity).map((source) => source.uri);
  const bases = new Set(sources.filter((source) => !isSecurity(source)).map((source) => source.uri));
  return [...bases].map((base) => ({
    base,
    securityBases: [...new Set([...security, securityBeside(base)])],
    named: false,
  }));
}

/** The addresses at which a suite may be: security suites in the security archive, others in the main one. */
export function suiteAddresses(mirror: Mirror, name: string): SuiteAddress[] {
  const bases = name.endsWith('-security') ? mirror.securityBases : [mirror.base];
  return bases.map((base) => ({ base, name }));
}

export function mirrorUnknown(cause?: unknown): VmError {
  return new VmError('MIRROR_UNKNOWN', {
    message: 'Kernel and busybox come from Debian’s packages, and no Debian mirror is known on this machine',
    remedy:
      'Name one, for example: VIV_DEBIAN_MIRROR=http://mirror.example/debian viv run busybox (or the option --mirror)',
    cause,
  });
}
