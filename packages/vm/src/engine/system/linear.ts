/**
 * Guest memory by linear address for cold operations. Failure is sticky: an access that faults sets `failed`
 * (and FAULT, FAULT_CODE, FAULT_ADDRESS) and reads give 0, so a sequence of reads is checked once, before
 * anything is changed. `begin` clears it.
 */
import type { IoBus } from '../../machine/bus.ts';
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { ACCESS, type MemoryUnit } from '../unit.ts';
import { type Cpu, isCanonical } from './cpu.ts';

export class LinearMemory {
  failed = false;
  readonly #cpu: Cpu;
  readonly #unit: MemoryUnit;
  readonly #bus: IoBus;

  constructor(cpu: Cpu, unit: MemoryUnit, bus: IoBus) {
    this.#cpu = cpu;
    this.#unit = unit;
    this.#bus = bus;
  }

  begin(): void {
    this.failed = false;
  }

  /** Access bits of an access by the current privilege level. */
  get userAccess(): number {
    return this.#cpu.cpl === 3 ? ACCESS.USER : 0;
  }

  /** @param access USER or 0; @param vector of the fault for a non-canonical address */
  read(va: bigint, bytes: 1 | 2 | 4 | 8, access: number, vector: number = VECTOR.GP): bigint {
    if (bytes === 8 && Number(va & 0xfffn) <= 0xff8) {
      const host = this.#host(va, access, vector);
      if (host > 1) return this.#cpu.memory.getBigUint64(host, true);
      if (host === 0) return 0n;
    }
    const low = this.readNumber(va, bytes === 8 ? 4 : bytes, access, vector);
    if (bytes !== 8) return BigInt(low);
    return BigInt(low) | (BigInt(this.readNumber(va + 4n, 4, access, vector)) << 32n);
  }

  readNumber(va: bigint, bytes: 1 | 2 | 4, access: number, vector: number = VECTOR.GP): number {
    const host = this.#host(va, access, vector);
    if (host === 0) return 0;
    const memory = this.#cpu.memory;
    if (Number(va & 0xfffn) + bytes > 0x1000) {
      let value = 0;
      for (let i = bytes - 1; i >= 0; i--)
        value = value * 256 + this.readNumber(va + BigInt(i), 1, access, vector);
      return value;
    }
    if (host === 1) return this.#bus.readMmio(Number(this.#cpu.get64(S.WALK_GPA)), bytes);
    if (bytes === 4) return memory.getUint32(host, true);
    return bytes === 2 ? memory.getUint16(host, true) : memory.getUint8(host);
  }

  /** Writes nothing unless all of it can be written. */
  write(va: bigint, bytes: 1 | 2 | 4 | 8, value: bigint, access: number, vector: number = VECTOR.GP): void {
    if (this.failed) return;
    const host = this.#host(va, access | ACCESS.WRITE, vector);
    if (host === 0) return;
    const memory = this.#cpu.memory;
    const first = 0x1000 - Number(va & 0xfffn);
    if (first < bytes) {
      const second = this.#host(va + BigInt(first), access | ACCESS.WRITE, vector);
      if (second === 0) return;
      for (let i = 0; i < bytes; i++)
        this.write(va + BigInt(i), 1, (value >> BigInt(8 * i)) & 0xffn, access, vector);
      return;
    }
    if (host === 1) {
      const gpa = Number(this.#cpu.get64(S.WALK_GPA));
      const word = Number(BigInt.asUintN(32, value));
      if (bytes === 8) {
        this.#bus.writeMmio(gpa, 4, word);
        this.#bus.writeMmio(gpa + 4, 4, Number(BigInt.asUintN(32, value >> 32n)));
      } else this.#bus.writeMmio(gpa, bytes, bytes === 4 ? word : bytes === 2 ? word & 0xffff : word & 0xff);
      return;
    }
    if (bytes === 8) memory.setBigUint64(host, value, true);
    else if (bytes === 4) memory.setUint32(host, Number(BigInt.asUintN(32, value)), true);
    else if (bytes === 2) memory.setUint16(host, Number(value & 0xffffn), true);
    else memory.setUint8(host, Number(value & 0xffn));
    if (this.#cpu.markDirty(host)) this.#unit.written(host, bytes);
  }

  /** Fails if `bytes` at `va` could not be written. */
  probeWrite(va: bigint, bytes: number, access: number, vector: number = VECTOR.GP): void {
    this.#host(va, access | ACCESS.WRITE, vector);
    if (Number(va & 0xfffn) + bytes > 0x1000)
      this.#host(va + BigInt(bytes - 1), access | ACCESS.WRITE, vector);
  }

  /** Writes consecutive words of 8 bytes, lowest address first: stack frames, which mostly lie in one page. */
  writeFrame(va: bigint, words: readonly bigint[], access: number, vector: number): void {
    const bytes = words.length * 8;
    if (!this.failed && Number(va & 0xfffn) + bytes <= 0x1000) {
      const host = this.#host(va, access | ACCESS.WRITE, vector);
      if (host > 1) {
        words.forEach((word, i) => {
          this.#cpu.memory.setBigUint64(host + i * 8, word, true);
        });
        if (this.#cpu.markDirty(host)) this.#unit.written(host, bytes);
        return;
      }
    }
    words.forEach((word, i) => {
      this.write(va + BigInt(i * 8), 8, word, access, vector);
    });
  }

  /** Host address, 1 = device memory, 0 = fault. */
  #host(va: bigint, access: number, vector: number): number {
    if (this.failed) return 0;
    let address = va;
    if (this.#cpu.longMode) {
      address = BigInt.asUintN(64, va);
      if (!isCanonical(address)) {
        this.failed = true;
        this.#cpu.faultCode(vector, 0);
        return 0;
      }
    } else address = BigInt.asUintN(32, va);
    const host = this.#unit.translate(address, access);
    if (host === 0) this.failed = true;
    return host >>> 0;
  }
}
