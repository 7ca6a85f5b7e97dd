/**
 * Delivery of interrupts and exceptions through the IDT (SDM 3A, 6.12 to 6.15). Nothing of the state changes
 * until all of a frame is on the stack; a fault on the way leaves FAULT set and gives false.
 */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { ACCESS, type MemoryUnit } from '../unit.ts';
import { ATTRIBUTE, type Cpu, isCanonical, MODE } from './cpu.ts';
import { type DescriptorTables, SYSTEM_TYPE, TSS } from './descriptors.ts';
import type { LinearMemory } from './linear.ts';
import type { Segments } from './segments.ts';

/** An event on its way to its handler. */
export interface Event {
  readonly vector: number;
  readonly errorCode: number | null;
  /** INT n, INT3, INTO: the gate's DPL counts, and EXT stays clear in error codes. */
  readonly software: boolean;
  /** Where the handler returns to. */
  readonly rip: bigint;
  /** RFLAGS as pushed. */
  readonly flags: number;
}

export class Delivery {
  readonly #cpu: Cpu;
  readonly #linear: LinearMemory;
  readonly #tables: DescriptorTables;
  readonly #segments: Segments;
  readonly #unit: MemoryUnit;

  constructor(
    cpu: Cpu,
    linear: LinearMemory,
    tables: DescriptorTables,
    segments: Segments,
    unit: MemoryUnit,
  ) {
    this.#cpu = cpu;
    this.#linear = linear;
    this.#tables = tables;
    this.#segments = segments;
    this.#unit = unit;
  }

  deliver(event: Event): boolean {
    this.#linear.begin();
    if (!this.#cpu.protectedMode) return this.#fail(VECTOR.GP, 0);
    return this.#cpu.longMode ? this.#deliver64(event) : this.#deliver32(event);
  }

  #fail(vector: number, code: number): false {
    this.#cpu.faultCode(vector, code);
    return false;
  }

  /** Checks the handler's code segment; its descriptor stays in the tables. */
  #checkCode(selector: number, ext: number): boolean {
    const tables = this.#tables;
    if ((selector & 0xfffc) === 0) return this.#fail(VECTOR.GP, ext);
    if (!tables.read(selector, VECTOR.GP, ext)) return false;
    const code = (selector & 0xfffc) | ext;
    if (!tables.isCode || tables.dpl > this.#cpu.cpl) return this.#fail(VECTOR.GP, code);
    if (!tables.present) return this.#fail(VECTOR.NP, code);
    const size = tables.attributes & (ATTRIBUTE.LONG | ATTRIBUTE.BIG);
    if (this.#cpu.longMode && size !== ATTRIBUTE.LONG) return this.#fail(VECTOR.GP, code);
    return true;
  }

  #deliver64(event: Event): boolean {
    const cpu = this.#cpu;
    const linear = this.#linear;
    const tables = this.#tables;
    const ext = event.software ? 0 : 1;
    const gateCode = event.vector * 8 + 2 + ext;
    if (event.vector * 16 + 15 > cpu.get32(S.IDTR + 8)) return this.#fail(VECTOR.GP, gateCode);
    const entry = cpu.get64(S.IDTR) + BigInt(event.vector * 16);
    const low = linear.readNumber(entry, 4, 0);
    const high = linear.readNumber(entry + 4n, 4, 0);
    const upper = linear.readNumber(entry + 8n, 4, 0);
    if (linear.failed) return false;
    const type = (high >>> 8) & 0x1f;
    if (type !== SYSTEM_TYPE.INTERRUPT_GATE && type !== SYSTEM_TYPE.TRAP_GATE)
      return this.#fail(VECTOR.GP, gateCode);
    const oldCpl = cpu.cpl;
    if (event.software && ((high >>> 13) & 3) < oldCpl) return this.#fail(VECTOR.GP, gateCode);
    if ((high & 0x8000) === 0) return this.#fail(VECTOR.NP, gateCode);
    const selector = low >>> 16;
    if (!this.#checkCode(selector, ext)) return false;
    const cpl = tables.isConforming ? oldCpl : tables.dpl;
    const target = BigInt(((high & 0xffff_0000) | (low & 0xffff)) >>> 0) | (BigInt(upper) << 32n);
    const ist = high & 7;
    let rsp = cpu.gpr(4);
    if (cpl < oldCpl || ist !== 0) {
      const offset = ist === 0 ? TSS.RSP0 + cpl * 8 : TSS.IST1 + (ist - 1) * 8;
      if (offset + 7 > cpu.segmentLimit(S.SEG.TR))
        return this.#fail(VECTOR.TS, (cpu.selector(S.SEG.TR) & 0xfffc) | ext);
      rsp = linear.read(cpu.segmentBase(S.SEG.TR) + BigInt(offset), 8, 0);
      if (linear.failed) return false;
    }
    const frame = [
      event.rip,
      BigInt(cpu.selector(S.SEG.CS)),
      BigInt(event.flags),
      cpu.gpr(4),
      BigInt(cpu.selector(S.SEG.SS)),
    ];
    if (event.errorCode !== null) frame.unshift(BigInt(event.errorCode >>> 0));
    const top = BigInt.asUintN(64, (rsp & ~0xfn) - BigInt(frame.length * 8));
    if (!isCanonical(rsp) || !isCanonical(top)) return this.#fail(VECTOR.SS, ext);
    linear.writeFrame(top, frame, cpl === 3 ? ACCESS.USER : 0, VECTOR.SS);
    if (linear.failed) return false;
    if (!isCanonical(target)) return this.#fail(VECTOR.GP, ext);
    if (!tables.setType(ATTRIBUTE.ACCESSED)) return false;
    tables.install(S.SEG.CS, (selector & 0xfffc) | cpl);
    if (cpl !== oldCpl) this.#segments.setNullStack(cpl, cpl);
    cpu.setGpr(4, top);
    this.#enter(target, cpl, type === SYSTEM_TYPE.INTERRUPT_GATE);
    return true;
  }

  #deliver32(event: Event): boolean {
    const cpu = this.#cpu;
    const linear = this.#linear;
    const tables = this.#tables;
    const ext = event.software ? 0 : 1;
    const gateCode = event.vector * 8 + 2 + ext;
    if (event.vector * 8 + 7 > cpu.get32(S.IDTR + 8)) return this.#fail(VECTOR.GP, gateCode);
    const entry = cpu.get64(S.IDTR) + BigInt(event.vector * 8);
    const low = linear.readNumber(entry, 4, 0);
    const high = linear.readNumber(entry + 4n, 4, 0);
    if (linear.failed) return false;
    const type = (high >>> 8) & 0x1f;
    // Task gates are not supported: bits 1 and 2 tell interrupt and trap gates from them.
    if (type > 15 || (type & 6) !== 6) return this.#fail(VECTOR.GP, gateCode);
    const oldCpl = cpu.cpl;
    if (event.software && ((high >>> 13) & 3) < oldCpl) return this.#fail(VECTOR.GP, gateCode);
    if ((high & 0x8000) === 0) return this.#fail(VECTOR.NP, gateCode);
    const selector = low >>> 16;
    if (!this.#checkCode(selector, ext)) return false;
    const bytes = type >= 8 ? 4 : 2;
    const cpl = tables.isConforming ? oldCpl : tables.dpl;
    const target = BigInt(((bytes === 4 ? high & 0xffff_0000 : 0) | (low & 0xffff)) >>> 0);
    const limit = tables.limit;
    const frame = [BigInt(event.flags), BigInt(cpu.selector(S.SEG.CS)), event.rip];
    if (event.errorCode !== null) frame.push(BigInt(event.errorCode >>> 0));
    let stack = { selector: 0, base: cpu.segmentBase(S.SEG.SS), limit: 0, attributes: 0 };
    let rsp = cpu.gpr(4);
    let mask = cpu.stackMask;
    if (cpl < oldCpl) {
      const inner = this.readInnerStack(cpl, ext);
      if (inner === null) return false;
      if (!this.#segments.checkStack(inner.selector, cpl, VECTOR.TS, ext, false)) return false;
      if (!tables.setType(ATTRIBUTE.ACCESSED)) return false;
      stack = {
        selector: inner.selector,
        base: tables.base,
        limit: tables.limit,
        attributes: tables.attributes,
      };
      frame.unshift(BigInt(cpu.selector(S.SEG.SS)), rsp);
      rsp = inner.pointer;
      mask = (tables.attributes & ATTRIBUTE.BIG) !== 0 ? 0xffff_ffffn : 0xffffn;
      if (!tables.read(selector, VECTOR.GP, ext)) return false;
    }
    for (const word of frame) {
      rsp -= BigInt(bytes);
      const va = BigInt.asUintN(32, stack.base + (rsp & mask));
      linear.write(va, bytes, BigInt.asUintN(bytes * 8, word), cpl === 3 ? ACCESS.USER : 0, VECTOR.SS);
    }
    if (linear.failed) return false;
    if (target > BigInt(limit)) return this.#fail(VECTOR.GP, ext);
    if (!tables.setType(ATTRIBUTE.ACCESSED)) return false;
    tables.install(S.SEG.CS, (selector & 0xfffc) | cpl);
    if (cpl < oldCpl) cpu.setSegment(S.SEG.SS, stack.selector, stack.base, stack.limit, stack.attributes);
    cpu.setStackPointer(rsp, mask);
    this.#enter(target, cpl, (type & 1) === 0);
    return true;
  }

  /** Stack of privilege level `cpl` in a 32-bit or 16-bit task-state segment; null after a fault. */
  readInnerStack(cpl: number, ext: number): { selector: number; pointer: bigint } | null {
    const cpu = this.#cpu;
    const linear = this.#linear;
    const wide = (cpu.attributes(S.SEG.TR) & 0xf) >= SYSTEM_TYPE.TSS;
    const offset = wide ? TSS.ESP0 + cpl * 8 : TSS.SP0 + cpl * 4;
    if (offset + (wide ? 5 : 3) > cpu.segmentLimit(S.SEG.TR)) {
      this.#fail(VECTOR.TS, (cpu.selector(S.SEG.TR) & 0xfffc) | ext);
      return null;
    }
    const address = cpu.segmentBase(S.SEG.TR) + BigInt(offset);
    const pointer = linear.readNumber(address, wide ? 4 : 2, 0);
    const selector = linear.readNumber(address + (wide ? 4n : 2n), 2, 0);
    return linear.failed ? null : { selector, pointer: BigInt(pointer) };
  }

  #enter(target: bigint, cpl: number, maskInterrupts: boolean): void {
    const cpu = this.#cpu;
    const cleared = S.FLAG.TF | S.FLAG.NT | S.FLAG.RF | S.FLAG.VM | (maskInterrupts ? S.FLAG.IF : 0);
    cpu.systemFlags = cpu.systemFlags & ~cleared;
    cpu.rip = target;
    cpu.cpl = cpl;
    if (cpu.longMode) cpu.set32(S.CODE_MODE, MODE.BITS_64);
    else cpu.updateCodeMode();
    this.#unit.modeChanged();
  }
}
