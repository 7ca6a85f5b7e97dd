/**
 * Kernel modules: what one needs, and the order to load a set in. `modules.dep` is made at installation, so the
 * dependencies come from each module's `.modinfo` section: NUL-separated `key=value` (include/linux/module.h).
 */
import { VmError } from '../base/errors.ts';

/** A module the machine wants; without an optional one it boots all the same. */
export interface ModuleWish {
  readonly name: string;
  readonly optional: boolean;
}

/** Module names treat `-` and `_` as equal. */
export const moduleName = (fileName: string): string =>
  fileName
    .replace(/^.*\//, '')
    .replace(/\.ko(\.(xz|zst|gz))?$/, '')
    .replaceAll('-', '_');

const ELF_MAGIC = 0x7f454c46;

/** Sections of an ELF64 file by name; the last of equal names wins. */
function sections(file: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const found = new Map<string, Uint8Array>();
  if (view.getUint32(0) !== ELF_MAGIC) throw new RangeError('no ELF file');
  const table = Number(view.getBigUint64(40, true));
  const [entrySize, count, nameIndex] = [58, 60, 62].map((at) => view.getUint16(at, true)) as [
    number,
    number,
    number,
  ];
  const header = (index: number): { name: number; bytes: Uint8Array } => {
    const at = table + index * entrySize;
    const offset = Number(view.getBigUint64(at + 24, true));
    const size = view.getUint32(at + 4, true) === 8 ? 0 : Number(view.getBigUint64(at + 32, true));
    if (offset + size > file.length) throw new RangeError('a section lies outside the file');
    return { name: view.getUint32(at, true), bytes: file.subarray(offset, offset + size) };
  };
  const names = header(nameIndex).bytes;
  for (let index = 1; index < count; index++) {
    const { name, bytes } = header(index);
    const end = names.indexOf(0, name);
    found.set(new TextDecoder().decode(names.subarray(name, end < 0 ? undefined : end)), bytes);
  }
  return found;
}

/** Names of the modules that must be loaded before this one. */
export function moduleDependencies(file: Uint8Array, name: string): string[] {
  let modinfo: Uint8Array | undefined;
  try {
    modinfo = sections(file).get('.modinfo');
  } catch (cause) {
    throw new VmError('ARCHIVE_CORRUPT', {
      message: `The kernel module ${name} is no proper ELF file`,
      remedy: 'Remove the cache folder and try again',
      cause,
    });
  }
  const entries = new TextDecoder('latin1').decode(modinfo ?? new Uint8Array(0)).split('\0');
  const depends = entries.find((entry) => entry.startsWith('depends='))?.slice('depends='.length) ?? '';
  return depends
    .split(',')
    .filter((dependency) => dependency !== '')
    .map((dependency) => dependency.replaceAll('-', '_'));
}

const SIGNATURE_MARK = '~Module signature appended~\n';

/**
 * A module without its appended signature (include/linux/module_signature.h): module, signature, 12 bytes that end
 * with the signature's length, mark. The package it comes from has been verified; checking a 4096-bit signature for
 * each module again would cost the guest more than all else that it does until its first prompt.
 */
export function withoutSignature(file: Uint8Array): Uint8Array {
  const end = file.length - SIGNATURE_MARK.length;
  if (end < 12 || new TextDecoder('latin1').decode(file.subarray(end)) !== SIGNATURE_MARK) return file;
  const signatureBytes = new DataView(file.buffer, file.byteOffset + end - 4, 4).getUint32(0);
  return signatureBytes > end - 12 ? file : file.subarray(0, end - 12 - signatureBytes);
}

export interface ModuleOrder {
  /** Each after everything it needs. */
  readonly names: readonly string[];
  /** Needed, and among neither the modules nor the built-in ones. */
  readonly missing: readonly string[];
}

/** @param modules by name; @param builtin names of what the kernel has inside */
export function orderModules(
  wishes: readonly ModuleWish[],
  modules: ReadonlyMap<string, Uint8Array>,
  builtin: ReadonlySet<string>,
): ModuleOrder {
  const names: string[] = [];
  const missing: string[] = [];
  const seen = new Set<string>();
  const visit = (name: string, optional: boolean): void => {
    if (seen.has(name) || builtin.has(name)) return;
    seen.add(name);
    const file = modules.get(name);
    if (file === undefined) {
      if (!optional) missing.push(name);
      return;
    }
    for (const dependency of moduleDependencies(file, name)) visit(dependency, false);
    names.push(name);
  };
  for (const wish of wishes) visit(wish.name, wish.optional);
  return { names, missing };
}
