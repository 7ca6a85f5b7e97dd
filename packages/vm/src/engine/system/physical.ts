/** Guest-physical memory for what the engine itself writes: kvm-clock pages, clock pairing. */
import { HIGH_RAM_BASE } from '../../machine/layout.ts';
import * as S from '../../x86/state.ts';
import type { MemoryUnit } from '../unit.ts';
import type { Cpu } from './cpu.ts';

export class PhysicalMemory {
  readonly #cpu: Cpu;
  readonly #unit: MemoryUnit;

  constructor(cpu: Cpu, unit: MemoryUnit) {
    this.#cpu = cpu;
    this.#unit = unit;
  }

  /** Host address of `length` bytes of RAM inside one page at `gpa`; 0 when they are not RAM. */
  locate(gpa: bigint, length: number): number {
    const cpu = this.#cpu;
    const low = cpu.get64(S.RAM_LOW_SIZE);
    const high = cpu.get64(S.RAM_HIGH_SIZE);
    const ram = cpu.get32(S.RAM_OFFSET);
    if ((gpa & 0xfffn) + BigInt(length) > 0x1000n) return 0;
    if (gpa < low) return ram + Number(gpa);
    const above = gpa - BigInt(HIGH_RAM_BASE);
    return above >= 0n && above < high ? ram + Number(low + above) : 0;
  }

  /** Must follow every write to what `locate` gave. */
  written(host: number, length: number): void {
    if (this.#cpu.markDirty(host)) this.#unit.written(host, length);
  }
}
