/** Linear to guest-physical translation for a debugger: it checks no rights and sets no accessed bits (SDM 3A 4.5). */
import type { Gpa } from '../base/brand.ts';
import type { GuestMemory } from '../machine/memory.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';

const CR0_PG = 0x8000_0000n;
const EFER_LMA = 0x400n;
const CR4_LA57 = 0x1000n;
const ADDRESS_MASK = 0x000f_ffff_ffff_f000n;
const PRESENT = 1n;
const PAGE_SIZE = 0x80n;

function entryAt(memory: GuestMemory, gpa: bigint): bigint | undefined {
  const low = memory.readUint(Number(gpa), 4);
  const high = memory.readUint(Number(gpa) + 4, 4);
  if (low < 0 || high < 0) return undefined;
  return (BigInt(high) << 32n) | BigInt(low);
}

/** The registers that address translation depends on. */
export type Paging = Pick<VcpuRecord, 'cr0' | 'cr3' | 'cr4' | 'efer'>;

/** Guest-physical address of linear `address`, or undefined where nothing is mapped. */
export function translate(memory: GuestMemory, cpu: Paging, address: bigint): Gpa | undefined {
  if ((cpu.cr0 & CR0_PG) === 0n) return Number(address & 0xffff_ffffn);
  const long = (cpu.efer & EFER_LMA) !== 0n;
  // The levels that remain, each naming the lowest address bit its index comes from; PAE starts at bit 30.
  let shift = long ? ((cpu.cr4 & CR4_LA57) !== 0n ? 48n : 39n) : 30n;
  const linear = long ? address : address & 0xffff_ffffn;
  let table = long ? cpu.cr3 & ADDRESS_MASK : cpu.cr3 & 0xffff_ffe0n;
  for (; ; shift -= 9n) {
    const entry = entryAt(memory, table + ((linear >> shift) & 0x1ffn) * 8n);
    if (entry === undefined || (entry & PRESENT) === 0n) return undefined;
    const isPage =
      shift === 12n || ((shift === 21n || (shift === 30n && long)) && (entry & PAGE_SIZE) !== 0n);
    if (isPage) {
      const offsetMask = (1n << shift) - 1n;
      return Number((entry & ADDRESS_MASK & ~offsetMask) | (linear & offsetMask));
    }
    table = entry & ADDRESS_MASK;
  }
}

/** Splits [address, address + length) at page borders, in order. */
export function* pagesOf(address: bigint, length: number): Generator<{ address: bigint; length: number }> {
  let at = address;
  for (let left = length; left > 0; ) {
    const chunk = Math.min(left, 4096 - Number(at & 0xfffn));
    yield { address: at, length: chunk };
    at = BigInt.asUintN(64, at + BigInt(chunk));
    left -= chunk;
  }
}
