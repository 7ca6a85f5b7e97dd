/**
 * Names of a profile's addresses. Where a program lies in a process is not asked of the guest: the code that was
 * sampled is looked for in the files that were given, and found at one place only, it tells.
 */
import type { ProgramSymbols } from '../../debug/symbols/program-symbols.ts';
import type { SymbolTable } from '../../debug/symbols/symbol-table.ts';
import type { Profile, Sample } from './profile.ts';

export interface ProfileSymbols {
  readonly kernel?: SymbolTable | undefined;
  /** Programs and libraries that may run in the guest. */
  readonly programs: readonly ProgramSymbols[];
}

interface Placed {
  readonly program: ProgramSymbols;
  /** Address in the guest minus address in the file. */
  readonly base: bigint;
}

const FIRST_KERNEL = 1n << 63n;
/** Where Linux puts modules (Documentation/arch/x86/x86_64/mm.rst). */
const MODULES = 0xffff_ffff_a000_0000n;
/** Fewer bytes of code are too easily found by chance. */
const LEAST_CODE = 12;

export class Symbolizer {
  readonly #symbols: ProfileSymbols;
  readonly #placed = new Map<string, Placed[]>();

  constructor(profile: Profile, symbols: ProfileSymbols) {
    this.#symbols = symbols;
    for (const sample of profile.samples) this.#place(sample);
  }

  /** Function, or page where there is none. @param caller the address is one that a call returns to */
  name(process: string, address: bigint, caller: boolean): string {
    const at = caller ? address - 1n : address;
    if (at >= FIRST_KERNEL) {
      const found = this.#symbols.kernel?.at(at);
      return `${found?.name ?? (at >= MODULES ? '[module]' : '[kernel]')}_[k]`;
    }
    const placed = this.#find(process, at);
    if (placed === undefined) return `[${(at & ~0xfffn).toString(16)}]`;
    const inside = at - placed.base;
    const found = placed.program.functions.at(inside);
    return `${placed.program.name}\`${found?.name ?? `[${(inside & ~0xfffn).toString(16)}]`}`;
  }

  #find(process: string, address: bigint): Placed | undefined {
    return this.#placed.get(process)?.find(({ program, base }) => codeAt(program, address - base) !== null);
  }

  #place({ process, frames: [address], code }: Sample): void {
    if (address === undefined || address >= FIRST_KERNEL || code.length < LEAST_CODE) return;
    if (this.#find(process, address) !== undefined) return;
    for (const program of this.#symbols.programs) {
      const base = baseOf(program, address, code);
      if (base === null) continue;
      const places = this.#placed.get(process) ?? [];
      this.#placed.set(process, [...places, { program, base }]);
      return;
    }
  }
}

/** Code of a program from `address` on. */
function codeAt(program: ProgramSymbols, address: bigint): Uint8Array | null {
  for (const part of program.code) {
    const offset = address - part.address;
    if (offset >= 0n && offset < BigInt(part.bytes.length)) return part.bytes.subarray(Number(offset));
  }
  return null;
}

/** How far a program was moved, if `code` at `address` is its code; null: it is not, or that cannot be told. */
function baseOf(program: ProgramSymbols, address: bigint, code: Uint8Array): bigint | null {
  const equal = (bytes: Uint8Array | null): boolean =>
    bytes !== null && bytes.length >= code.length && code.every((byte, i) => bytes[i] === byte);
  if (!program.movable) return equal(codeAt(program, address)) ? 0n : null;
  let base: bigint | null = null;
  for (const part of program.code) {
    // it is moved by whole pages
    const first = Number((address - part.address) & 0xfffn);
    for (let at = first; at < part.bytes.length; at += 0x1000) {
      if (!equal(part.bytes.subarray(at))) continue;
      if (base !== null) return null;
      base = address - part.address - BigInt(at);
    }
  }
  return base;
}
