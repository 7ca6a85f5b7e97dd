/** What an uncompressed Linux kernel says about itself: names of functions, and where the running task is found. */
import { parseElf } from '../../firmware/loaders/elf.ts';
import type { TaskPlace } from '../../vm/profile/profile.ts';
import { TypeInformation } from './btf.ts';
import { type KernelSymbol, parseKallsyms } from './kallsyms.ts';
import { SymbolTable } from './symbol-table.ts';

export interface KernelSymbols {
  readonly functions: SymbolTable;
  /** Undefined: the kernel has no type information. */
  readonly task?: TaskPlace;
}

/** @param vmlinux ELF @returns undefined when it has no symbols of its own */
export function kernelSymbols(vmlinux: Uint8Array): KernelSymbols | undefined {
  for (const segment of parseElf(vmlinux).segments) {
    const symbols = parseKallsyms(segment.bytes);
    if (symbols === null) continue;
    const address = (name: string): bigint | undefined => symbols.find((s) => s.name === name)?.address;
    const [first, end] = [address('__start_BTF'), address('__stop_BTF')];
    const types =
      first === undefined || end === undefined
        ? null
        : TypeInformation.parse(
            segment.bytes.subarray(Number(first - segment.vaddr), Number(end - segment.vaddr)),
          );
    const task = types === null ? undefined : taskPlace(types, address);
    return { functions: new SymbolTable(functions(symbols)), ...(task === undefined ? {} : { task }) };
  }
  return undefined;
}

function functions(symbols: readonly KernelSymbol[]): KernelSymbol[] {
  // an address below zero only: variables of a CPU begin at 0
  return symbols.filter(({ type, address }) => /[TtWw]/.test(type) && address >> 63n === 1n);
}

/** `current_task` is a variable of each CPU: by itself up to 6.1, the first of a structure afterwards. */
function taskPlace(
  types: TypeInformation,
  address: (name: string) => bigint | undefined,
): TaskPlace | undefined {
  const hot = address('pcpu_hot');
  const inside = hot === undefined ? null : types.offset('pcpu_hot', 'current_task');
  const current = address('current_task') ?? (inside === null ? undefined : (hot ?? 0n) + BigInt(inside));
  const name = types.offset('task_struct', 'comm');
  if (current === undefined || name === null) return undefined;
  return { current: Number(current), name };
}
