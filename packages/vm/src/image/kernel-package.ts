/** Takes out of a Debian kernel package what a machine needs: the kernel file, and modules with their order. */
import { VmError } from '../base/errors.ts';
import type { CompressionFormat, Decompressor } from '../base/ports.ts';
import { collect, oneChunk } from './byte-stream.ts';
import { readDeb } from './debian/deb.ts';
import { type ModuleWish, moduleName, orderModules, withoutSignature } from './modules.ts';

/** The machine's devices, in the order in which their drivers are loaded. */
export const MACHINE_MODULES: readonly ModuleWish[] = [
  { name: 'virtio_mmio', optional: false },
  { name: 'virtio_console', optional: false },
  { name: 'virtio_blk', optional: false },
  { name: 'virtio_rng', optional: true },
  { name: 'button', optional: true },
  { name: 'evdev', optional: true },
];

export interface KernelModule {
  readonly name: string;
  readonly data: Uint8Array;
}

export interface KernelFiles {
  /** `uname -r`. */
  readonly release: string;
  readonly vmlinuz: Uint8Array;
  /** Uncompressed and without signatures, in load order. */
  readonly modules: readonly KernelModule[];
}

const VMLINUZ = /^boot\/vmlinuz-(.+)$/;
const MODULE = /^(?:usr\/)?lib\/modules\/[^/]+\/kernel\/.*\.ko(?:\.(xz|zst|gz))?$/;
const BUILTIN = /^(?:usr\/)?lib\/modules\/[^/]+\/modules\.builtin$/;
const MODULE_FORMATS: Readonly<Record<string, CompressionFormat>> = { xz: 'xz', zst: 'zstd', gz: 'gzip' };
const MAX_MODULE_BYTES = 64 << 20;
/** What virtio drivers are known to need; anything else costs another pass over the package. */
const LIKELY = ['virtio', 'virtio_ring', 'rng_core'];

/**
 * @param open opens the package file from its start; called again when a pass finds new dependencies
 * @throws VmError MODULE_MISSING, ARCHIVE_CORRUPT
 */
export async function unpackKernelPackage(
  open: () => AsyncIterable<Uint8Array>,
  packageName: string,
  decompressor: Decompressor,
  wishes: readonly ModuleWish[] = MACHINE_MODULES,
): Promise<KernelFiles> {
  const modules = new Map<string, Uint8Array>();
  const builtin = new Set<string>();
  let vmlinuz: Uint8Array | undefined;
  let release = '';
  const searched = new Set([...wishes.map((wish) => wish.name), ...LIKELY]);

  const pass = async (): Promise<void> => {
    const first = vmlinuz === undefined;
    const found = (): boolean =>
      vmlinuz !== undefined &&
      wishes.every((wish) => modules.has(wish.name)) &&
      orderModules(wishes, modules, builtin).missing.length === 0;
    const packed: { name: string; format: CompressionFormat; data: Uint8Array }[] = [];
    const want = (path: string): boolean =>
      (MODULE.test(path) && searched.has(moduleName(path)) && !modules.has(moduleName(path))) ||
      (first && (VMLINUZ.test(path) || BUILTIN.test(path)));
    for await (const file of readDeb(open(), decompressor, want)) {
      const kernel = VMLINUZ.exec(file.path);
      if (kernel !== null) {
        vmlinuz = file.data;
        release = kernel[1] ?? '';
      } else if (BUILTIN.test(file.path)) {
        const paths = new TextDecoder().decode(file.data).split('\n');
        for (const path of paths) if (path !== '') builtin.add(moduleName(path));
      } else {
        const format = MODULE_FORMATS[MODULE.exec(file.path)?.[1] ?? ''];
        if (format === undefined) modules.set(moduleName(file.path), file.data);
        else packed.push({ name: moduleName(file.path), format, data: file.data });
        if (found()) break; // Unpacking the rest would cost seconds.
      }
    }
    for (const { name, format, data } of packed) {
      modules.set(name, await collect(decompressor.decompress(format, oneChunk(data)), MAX_MODULE_BYTES));
    }
  };

  for (;;) {
    await pass().catch((cause: unknown) => {
      throw new VmError('ARCHIVE_CORRUPT', {
        message: `The package ${packageName} does not unpack`,
        remedy:
          'Remove the cache folder and try again; if it happens again, name another mirror with --mirror URL',
        cause,
      });
    });
    if (vmlinuz === undefined) {
      throw new VmError('ARCHIVE_CORRUPT', {
        message: `The package ${packageName} has no file boot/vmlinuz-…`,
        remedy: 'Choose another kernel',
      });
    }
    const order = orderModules(wishes, modules, builtin);
    const unseen = order.missing.filter((name) => !searched.has(name));
    if (unseen.length > 0) {
      for (const name of unseen) searched.add(name);
      continue;
    }
    if (order.missing.length > 0) {
      throw new VmError('MODULE_MISSING', {
        message: `The kernel package ${packageName} lacks ${order.missing.map((name) => `${name}.ko`).join(', ')}`,
        remedy:
          'Choose another kernel: one of Debian’s cloud or generic amd64 kernels has all that is needed',
        data: { missing: order.missing },
      });
    }
    const chosen = order.names.map((name) => ({
      name,
      data: withoutSignature(modules.get(name) as Uint8Array),
    }));
    return { release, vmlinuz, modules: chosen };
  }
}
