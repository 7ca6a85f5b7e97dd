/** Profiles of machines on Node: symbols out of files, the report for people. Loaded when asked for. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VmError } from '../../base/errors.ts';
import { type KernelSymbols, kernelSymbols } from '../../debug/symbols/kernel-symbols.ts';
import { type ProgramSymbols, programSymbols } from '../../debug/symbols/program-symbols.ts';
import { extractVmlinux } from '../../firmware/kernel/vmlinux.ts';
import { readCpioFiles } from '../../image/cpio.ts';
import type { Profile } from '../../vm/profile/profile.ts';
import { foldedStacks, profileTable } from '../../vm/profile/report.ts';
import { nodeDecompressor } from './decompressor.ts';

export interface ProfileReport {
  /** Functions and processes with the most samples: lines for people. */
  readonly table: readonly string[];
  /** "process;outer;inner samples": flamegraph.pl, speedscope and others read it. */
  readonly stacks: readonly string[];
}

export interface SymbolSources {
  /** vmlinux or bzImage. */
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array | undefined;
  /** Programs, libraries, or folders of such. */
  readonly paths: readonly string[];
}

/** A larger file is no program that one wants to see by its functions. */
const MOST_BYTES = 2 ** 30;

/** Names of what may run in a guest. */
export class GuestSymbols {
  readonly kernel: KernelSymbols | undefined;
  readonly #programs: readonly ProgramSymbols[];

  private constructor(kernel: KernelSymbols | undefined, programs: readonly ProgramSymbols[]) {
    this.kernel = kernel;
    this.#programs = programs;
  }

  /** @throws VmError FILE_NOT_FOUND, KERNEL_NOT_A_KERNEL, KERNEL_CORRUPT */
  static async read({ kernel, initrd, paths }: SymbolSources): Promise<GuestSymbols> {
    const programs = (await Promise.all(paths.map(programsAt))).flat();
    for (const { path, data } of readCpioFiles(initrd ?? new Uint8Array(0))) {
      const found = programSymbols(data.slice(), basename(path));
      if (found !== undefined) programs.push(found);
    }
    return new GuestSymbols(kernelSymbols(await extractVmlinux(kernel, nodeDecompressor)), programs);
  }

  report(profile: Profile): ProfileReport {
    const symbols = { kernel: this.kernel?.functions, programs: this.#programs };
    return { table: profileTable(profile, symbols), stacks: foldedStacks(profile, symbols) };
  }
}

async function programsAt(path: string): Promise<ProgramSymbols[]> {
  const found: ProgramSymbols[] = [];
  for (const file of await filesAt(path)) {
    const symbols = programSymbols(await readFile(file), basename(file));
    if (symbols !== undefined) found.push(symbols);
  }
  return found;
}

async function filesAt(path: string): Promise<string[]> {
  try {
    const what = await stat(path);
    if (!what.isDirectory()) return what.isFile() && what.size <= MOST_BYTES ? [path] : [];
    const entries = await readdir(path, { withFileTypes: true, recursive: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (cause) {
    throw new VmError('FILE_NOT_FOUND', {
      message: `Symbols cannot be read from ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'Check the path',
      cause,
    });
  }
}
