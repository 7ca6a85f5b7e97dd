/**
 * Segment and gate descriptors (SDM 3A, 3.4.5 and 5.8) in the GDT and LDT. The last descriptor read stays in
 * `low`, `high`, `upper` and `address`.
 *
 *   low   31-16 base 15:0 | 15-0 limit 15:0          gate:  31-16 selector | 15-0 offset 15:0
 *   high  31-24 base · 23 G · 22 D/B · 21 L · 20 AVL · 19-16 limit · 15 P · 14-13 DPL · 12 S · 11-8 type · 7-0 base
 *   upper base or offset 63:32 of system descriptors and gates in IA-32e mode
 */
import * as S from '../../x86/state.ts';
import { ATTRIBUTE, type Cpu } from './cpu.ts';
import type { LinearMemory } from './linear.ts';

/** Types of system descriptors (3.5, table 3-2). */
export const SYSTEM_TYPE = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS: 9,
  TSS_BUSY: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;

export class DescriptorTables {
  low = 0;
  high = 0;
  upper = 0;
  address = 0n;
  readonly #cpu: Cpu;
  readonly #linear: LinearMemory;

  constructor(cpu: Cpu, linear: LinearMemory) {
    this.#cpu = cpu;
    this.#linear = linear;
  }

  /** Linear address of the descriptor, or -1 when it lies outside its table. */
  #locate(selector: number, bytes: number): bigint {
    const cpu = this.#cpu;
    const offset = selector & 0xfff8;
    if ((selector & 4) === 0) {
      if (offset + bytes - 1 > cpu.get32(S.GDTR + 8)) return -1n;
      return cpu.get64(S.GDTR) + BigInt(offset);
    }
    if ((cpu.attributes(S.SEG.LDTR) & ATTRIBUTE.PRESENT) === 0) return -1n;
    if (offset + bytes - 1 > cpu.segmentLimit(S.SEG.LDTR)) return -1n;
    return cpu.segmentBase(S.SEG.LDTR) + BigInt(offset);
  }

  /** Reads the descriptor if it exists. False: none, or (`linear.failed`) a fault. */
  find(selector: number): boolean {
    this.#linear.begin();
    if ((selector & 0xfffc) === 0) return false;
    const address = this.#locate(selector, 8);
    if (address < 0n) return false;
    this.address = address;
    this.low = this.#linear.readNumber(address, 4, 0);
    this.high = this.#linear.readNumber(address + 4n, 4, 0);
    return !this.#linear.failed;
  }

  /** Reads the descriptor or raises `vector` with the selector (and EXT) as error code. */
  read(selector: number, vector: number, ext = 0): boolean {
    if (this.find(selector)) return true;
    if (!this.#linear.failed) this.#cpu.faultCode(vector, (selector & 0xfffc) | ext);
    return false;
  }

  /** In IA-32e mode: reads the upper half of the system descriptor that `read` found. */
  readUpper(selector: number, vector: number): boolean {
    this.upper = 0;
    if (!this.#cpu.longMode) return true;
    const inside = this.#locate(selector, 16) >= 0n;
    if (inside) {
      this.upper = this.#linear.readNumber(this.address + 8n, 4, 0);
      const type = this.#linear.readNumber(this.address + 12n, 4, 0);
      if (this.#linear.failed) return false;
      if ((type & 0x1f00) === 0) return true;
    }
    this.#cpu.faultCode(vector, selector & 0xfffc);
    return false;
  }

  get attributes(): number {
    return (this.high >>> 8) & 0xf0ff;
  }
  get dpl(): number {
    return (this.high >>> 13) & 3;
  }
  get present(): boolean {
    return (this.high & 0x8000) !== 0;
  }
  /** Code or data, as opposed to a system descriptor. */
  get isSegment(): boolean {
    return (this.high & 0x1000) !== 0;
  }
  get isCode(): boolean {
    return (this.high & 0x1800) === 0x1800;
  }
  get isConforming(): boolean {
    return (this.high & 0x0400) !== 0;
  }
  get isWritableData(): boolean {
    return (this.high & 0x1a00) === 0x1200;
  }
  /** Type with the S bit as bit 4. */
  get type(): number {
    return (this.high >>> 8) & 0x1f;
  }
  get base(): bigint {
    return BigInt(((this.low >>> 16) | ((this.high & 0xff) << 16) | (this.high & 0xff00_0000)) >>> 0);
  }
  get base64(): bigint {
    return this.base | (BigInt(this.upper) << 32n);
  }
  get limit(): number {
    const limit = (this.low & 0xffff) | (this.high & 0xf_0000);
    return (this.high & 0x80_0000) === 0 ? limit : ((limit << 12) | 0xfff) >>> 0;
  }
  get gateSelector(): number {
    return this.low >>> 16;
  }
  /** Offset in a 32-bit or (with `upper`) 64-bit gate. */
  get gateOffset(): bigint {
    const offset = BigInt(((this.high & 0xffff_0000) | (this.low & 0xffff)) >>> 0);
    return offset | (BigInt(this.upper) << 32n);
  }

  /** Sets bits of the type in memory and in `high`: accessed (1) or busy (2). False on a fault. */
  setType(bits: number): boolean {
    if ((this.high & (bits << 8)) !== 0) return true;
    this.high |= bits << 8;
    this.#linear.write(this.address + 5n, 1, BigInt((this.high >>> 8) & 0xff), 0);
    return !this.#linear.failed;
  }

  /** Puts the descriptor into a segment register. */
  install(segment: number, selector: number): void {
    this.#cpu.setSegment(segment, selector, this.base, this.limit, this.attributes);
  }
}

/** Index of the privilege-level stack or IST entry in the task-state segment (7.2.1, 7.7). */
export const TSS = {
  /** 64-bit: RSP0 at 4, IST1 at 0x24. */
  RSP0: 4,
  IST1: 0x24,
  IO_MAP_BASE: 0x66,
  /** 32-bit: ESP0 at 4, SS0 at 8, then every 8 bytes. */
  ESP0: 4,
  /** 16-bit: SP0 at 2, SS0 at 4, then every 4 bytes. */
  SP0: 2,
} as const;
