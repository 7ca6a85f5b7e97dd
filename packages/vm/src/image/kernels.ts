/** Debian's kernels by the names that people type. Small: every start of `viv` loads it. */

/** Suites in groups: the newest version in the first group that has the package wins. */
export type SuiteGroups = readonly (readonly string[])[];

export const BOOKWORM: readonly string[] = ['bookworm-security', 'bookworm'];
export const TRIXIE: readonly string[] = ['trixie-security', 'trixie'];

export type KernelName = 'debian-12-cloud' | 'debian-12' | 'debian-6.12-cloud' | 'debian-6.12';

/** The kernels to choose from, with the package that always depends on the newest of its kind. */
export const KERNELS: Readonly<
  Record<KernelName, { readonly metaPackage: string; readonly suites: SuiteGroups }>
> = {
  'debian-12-cloud': { metaPackage: 'linux-image-cloud-amd64', suites: [BOOKWORM] },
  'debian-12': { metaPackage: 'linux-image-amd64', suites: [BOOKWORM] },
  'debian-6.12-cloud': { metaPackage: 'linux-image-cloud-amd64', suites: [['bookworm-backports'], TRIXIE] },
  'debian-6.12': { metaPackage: 'linux-image-amd64', suites: [['bookworm-backports'], TRIXIE] },
};

export const DEFAULT_KERNEL: KernelName = 'debian-12-cloud';
