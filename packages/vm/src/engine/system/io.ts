/** IN, OUT, INS, OUTS with IOPL and the I/O permission bitmap (SDM 1, chapter 18). */
import type { IoBus } from '../../machine/bus.ts';
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { type Cpu, MODE } from './cpu.ts';
import type { Debug } from './debug.ts';
import { SYSTEM_TYPE, TSS } from './descriptors.ts';
import type { LinearMemory } from './linear.ts';
import type { Operations } from './operation.ts';

type Width = 1 | 2 | 4;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;
/** Iterations of a repeated string instruction before the run loop gets a look at events. */
const BURST = 128;

export class PortIo {
  readonly #cpu: Cpu;
  readonly #linear: LinearMemory;
  readonly #bus: IoBus;
  readonly #debug: Debug;

  constructor(cpu: Cpu, linear: LinearMemory, bus: IoBus, debug: Debug) {
    this.#cpu = cpu;
    this.#linear = linear;
    this.#bus = bus;
    this.#debug = debug;
  }

  operations(): Operations {
    return {
      IN: () => this.#in(),
      OUT: () => this.#out(),
      INS: (record) => this.#string(record, RDI),
      OUTS: (record) => this.#string(record, RSI),
    };
  }

  /** False: #GP or a page fault of the bitmap is set. */
  #permitted(port: number, size: number): boolean {
    const cpu = this.#cpu;
    const iopl = (cpu.systemFlags >>> 12) & 3;
    if (!cpu.protectedMode || cpu.cpl <= iopl) return true;
    const linear = this.#linear;
    const limit = cpu.segmentLimit(S.SEG.TR);
    const base = cpu.segmentBase(S.SEG.TR);
    const type = cpu.attributes(S.SEG.TR) & 0x9f;
    if ((type & 0x9d) === (0x80 | SYSTEM_TYPE.TSS) && limit >= TSS.IO_MAP_BASE + 1) {
      linear.begin();
      const map = linear.readNumber(base + BigInt(TSS.IO_MAP_BASE), 2, 0);
      const at = map + (port >> 3);
      if (!linear.failed && at + 1 <= limit) {
        const bits = linear.readNumber(base + BigInt(at), 2, 0) >>> (port & 7);
        if (!linear.failed && (bits & ((1 << size) - 1)) === 0) return true;
      }
      if (linear.failed) return false;
    }
    cpu.faultCode(VECTOR.GP, 0);
    return false;
  }

  #in(): number {
    const cpu = this.#cpu;
    const port = cpu.get32(S.ARG0);
    const size = cpu.operandSize as Width;
    if (!this.#permitted(port, size)) return STATUS.EXIT;
    const value = this.#bus.readPort(port, size);
    cpu.writeRegister(S.GPR + RAX * 8, size, BigInt(value >>> 0));
    this.#debug.matchPort(port, size);
    return STATUS.NEXT;
  }

  #out(): number {
    const cpu = this.#cpu;
    const port = cpu.get32(S.ARG0);
    const size = cpu.operandSize as Width;
    if (!this.#permitted(port, size)) return STATUS.EXIT;
    this.#write(port, size, cpu.gpr32(RAX));
    this.#debug.matchPort(port, size);
    return STATUS.NEXT;
  }

  #write(port: number, size: Width, value: number): void {
    const mask = size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff;
    this.#bus.writePort(port, size, (value & mask) >>> 0);
  }

  /** INS (pointer RDI) and OUTS (RSI), with or without REP: a burst, then the same instruction again. */
  #string(record: number, pointer: number): number {
    const cpu = this.#cpu;
    const flags = cpu.memory.getUint8(record + S.REC.FLAGS);
    const repeat = (flags & (S.RECORD_FLAG.REP | S.RECORD_FLAG.REPNE)) !== 0;
    const long = cpu.codeMode === MODE.BITS_64;
    const mask =
      (flags & S.RECORD_FLAG.ADDRESS_16) !== 0
        ? 0xffffn
        : (flags & S.RECORD_FLAG.ADDRESS_32) !== 0 || !long
          ? 0xffff_ffffn
          : 0xffff_ffff_ffff_ffffn;
    const port = cpu.gpr32(RDX) & 0xffff;
    const size = cpu.operandSize as Width;
    if (!this.#permitted(port, size)) return STATUS.EXIT;
    if (repeat && (cpu.gpr(RCX) & mask) === 0n) return STATUS.NEXT;
    const segment = pointer === RDI ? S.SEG.ES : cpu.memory.getUint8(record + S.REC.SEGMENT);
    const based = !long || segment === S.SEG.FS || segment === S.SEG.GS;
    const base = based ? cpu.segmentBase(segment) : 0n;
    const step = BigInt((cpu.systemFlags & S.FLAG.DF) !== 0 ? -size : size);
    const burst = cpu.get32(S.EXACT_COUNT) === 0 ? BURST : 1;
    for (let i = 0; i < burst; i++) {
      const offset = cpu.gpr(pointer) & mask;
      const va = base + offset;
      const ok = pointer === RDI ? this.#inTo(va, port, size) : this.#outFrom(va, port, size);
      if (!ok) return STATUS.EXIT;
      this.#advance(pointer, offset + step, mask);
      if (!repeat) break;
      const count = ((cpu.gpr(RCX) & mask) - 1n) & mask;
      this.#advance(RCX, count, mask);
      if (count === 0n) break;
      if (i === burst - 1) {
        cpu.rip = cpu.instructionRip(record);
        return STATUS.JUMP;
      }
    }
    this.#debug.matchPort(port, size);
    return STATUS.NEXT;
  }

  #advance(register: number, value: bigint, mask: bigint): void {
    const old = mask === 0xffffn ? this.#cpu.gpr(register) & ~mask : 0n;
    this.#cpu.setGpr(register, old | (value & mask));
  }

  /** The destination is checked before the device is asked: a fault must lose no data. */
  #inTo(va: bigint, port: number, size: Width): boolean {
    const linear = this.#linear;
    linear.begin();
    linear.probeWrite(va, size, linear.userAccess);
    if (linear.failed) return false;
    linear.write(va, size, BigInt(this.#bus.readPort(port, size) >>> 0), linear.userAccess);
    return !linear.failed;
  }

  #outFrom(va: bigint, port: number, size: Width): boolean {
    const linear = this.#linear;
    linear.begin();
    const value = linear.readNumber(va, size, linear.userAccess);
    if (linear.failed) return false;
    this.#write(port, size, value);
    return true;
  }
}
