/** Far JMP and CALL, direct and through call gates (SDM 3A, 5.8). Hardware task switches are not supported: #GP. */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { type MemoryUnit, STATUS } from '../unit.ts';
import { ATTRIBUTE, type Cpu, isCanonical } from './cpu.ts';
import type { Delivery } from './delivery.ts';
import { type DescriptorTables, SYSTEM_TYPE, TSS } from './descriptors.ts';
import type { LinearMemory } from './linear.ts';
import type { Operations } from './operation.ts';
import type { Segments } from './segments.ts';
import type { Stack } from './stack.ts';

export class Transfers {
  readonly #cpu: Cpu;
  readonly #linear: LinearMemory;
  readonly #tables: DescriptorTables;
  readonly #segments: Segments;
  readonly #stack: Stack;
  readonly #delivery: Delivery;
  readonly #unit: MemoryUnit;

  constructor(
    cpu: Cpu,
    linear: LinearMemory,
    tables: DescriptorTables,
    segments: Segments,
    stack: Stack,
    delivery: Delivery,
    unit: MemoryUnit,
  ) {
    this.#cpu = cpu;
    this.#linear = linear;
    this.#tables = tables;
    this.#segments = segments;
    this.#stack = stack;
    this.#delivery = delivery;
    this.#unit = unit;
  }

  operations(): Operations {
    return {
      FAR_JMP: (record) => this.#transfer(record, null),
      FAR_CALL: (record) => this.#transfer(record, this.#cpu.nextRip(record)),
    };
  }

  /** @param back return address of a CALL */
  #transfer(record: number, back: bigint | null): number {
    const cpu = this.#cpu;
    const tables = this.#tables;
    const offset = cpu.get64(S.ARG0);
    const direct = (cpu.get32(S.ARG_FORM) & 0x100) === 0;
    const selector = direct
      ? cpu.memory.getUint16(record + S.REC.DISP, true)
      : Number(cpu.get64(S.ARG1) & 0xffffn);
    const code = selector & 0xfffc;
    if (!cpu.protectedMode) return cpu.fault(VECTOR.UD);
    if (code === 0) return cpu.faultCode(VECTOR.GP, 0);
    if (!tables.read(selector, VECTOR.GP)) return STATUS.EXIT;
    if (!tables.isSegment) return this.#gate(selector, back);
    const cpl = cpu.cpl;
    if (!tables.isCode) return cpu.faultCode(VECTOR.GP, code);
    if (tables.isConforming ? tables.dpl > cpl : (selector & 3) > cpl || tables.dpl !== cpl)
      return cpu.faultCode(VECTOR.GP, code);
    if (!tables.present) return cpu.faultCode(VECTOR.NP, code);
    if (back !== null) {
      const size = cpu.operandSize;
      this.#stack.begin();
      this.#stack.push(size, BigInt(cpu.selector(S.SEG.CS)));
      this.#stack.push(size, back);
      if (this.#linear.failed) return STATUS.EXIT;
    }
    if (!this.checkTarget(offset, selector)) return STATUS.EXIT;
    if (!tables.setType(ATTRIBUTE.ACCESSED)) return STATUS.EXIT;
    if (back !== null) this.#stack.commit();
    return this.enter(offset, selector, cpl);
  }

  /** Does the offset fit the code segment in the tables? */
  checkTarget(offset: bigint, selector: number): boolean {
    const cpu = this.#cpu;
    const tables = this.#tables;
    const long = cpu.longMode && (tables.attributes & ATTRIBUTE.LONG) !== 0;
    if (long && (tables.attributes & ATTRIBUTE.BIG) !== 0) {
      cpu.faultCode(VECTOR.GP, selector & 0xfffc);
      return false;
    }
    if (long ? isCanonical(offset) : offset <= BigInt(tables.limit)) return true;
    cpu.faultCode(VECTOR.GP, 0);
    return false;
  }

  /** Loads CS from the tables and goes on at `offset`. */
  enter(offset: bigint, selector: number, cpl: number): number {
    const cpu = this.#cpu;
    this.#tables.install(S.SEG.CS, (selector & 0xfffc) | cpl);
    cpu.cpl = cpl;
    cpu.rip = offset;
    cpu.updateCodeMode();
    this.#unit.modeChanged();
    return STATUS.JUMP;
  }

  #gate(selector: number, back: bigint | null): number {
    const cpu = this.#cpu;
    const tables = this.#tables;
    const long = cpu.longMode;
    const { type } = tables;
    const code = selector & 0xfffc;
    if (type !== SYSTEM_TYPE.CALL_GATE && (long || type !== SYSTEM_TYPE.CALL_GATE16))
      return cpu.faultCode(VECTOR.GP, code);
    if (tables.dpl < Math.max(cpu.cpl, selector & 3)) return cpu.faultCode(VECTOR.GP, code);
    if (!tables.present) return cpu.faultCode(VECTOR.NP, code);
    if (!tables.readUpper(selector, VECTOR.GP)) return STATUS.EXIT;
    const wide = type === SYSTEM_TYPE.CALL_GATE;
    const target = tables.gateSelector;
    const offset = wide ? tables.gateOffset : tables.gateOffset & 0xffffn;
    const parameters = tables.high & 0x1f;
    const bytes = long ? 8 : wide ? 4 : 2;
    const targetCode = target & 0xfffc;
    if (targetCode === 0) return cpu.faultCode(VECTOR.GP, 0);
    if (!tables.read(target, VECTOR.GP)) return STATUS.EXIT;
    const cpl = cpu.cpl;
    const inner = back !== null && !tables.isConforming && tables.dpl < cpl;
    if (!tables.isCode || tables.dpl > cpl) return cpu.faultCode(VECTOR.GP, targetCode);
    if (back === null && !tables.isConforming && tables.dpl !== cpl)
      return cpu.faultCode(VECTOR.GP, targetCode);
    const size = tables.attributes & (ATTRIBUTE.LONG | ATTRIBUTE.BIG);
    if (long && size !== ATTRIBUTE.LONG) return cpu.faultCode(VECTOR.GP, targetCode);
    if (!tables.present) return cpu.faultCode(VECTOR.NP, targetCode);
    if (inner && back !== null)
      return long
        ? this.#callInner64(target, offset, back)
        : this.#callInner32(target, offset, back, bytes as 2 | 4, parameters);
    if (back !== null) {
      this.#stack.begin();
      this.#stack.push(bytes, BigInt(cpu.selector(S.SEG.CS)));
      this.#stack.push(bytes, back);
      if (this.#linear.failed) return STATUS.EXIT;
    }
    if (!this.checkTarget(offset, target) || !tables.setType(ATTRIBUTE.ACCESSED)) return STATUS.EXIT;
    if (back !== null) this.#stack.commit();
    return this.enter(offset, target, cpl);
  }

  #callInner64(target: number, offset: bigint, back: bigint): number {
    const cpu = this.#cpu;
    const linear = this.#linear;
    const cpl = this.#tables.dpl;
    const entry = TSS.RSP0 + cpl * 8;
    if (entry + 7 > cpu.segmentLimit(S.SEG.TR))
      return cpu.faultCode(VECTOR.TS, cpu.selector(S.SEG.TR) & 0xfffc);
    linear.begin();
    const rsp = linear.read(cpu.segmentBase(S.SEG.TR) + BigInt(entry), 8, 0);
    if (linear.failed) return STATUS.EXIT;
    if (!isCanonical(rsp)) return cpu.faultCode(VECTOR.SS, 0);
    const frame = [back, BigInt(cpu.selector(S.SEG.CS)), cpu.gpr(4), BigInt(cpu.selector(S.SEG.SS))];
    const top = BigInt.asUintN(64, rsp - 32n);
    linear.writeFrame(top, frame, 0, VECTOR.SS);
    if (linear.failed) return STATUS.EXIT;
    if (!this.checkTarget(offset, target) || !this.#tables.setType(ATTRIBUTE.ACCESSED)) return STATUS.EXIT;
    this.#segments.setNullStack(cpl, cpl);
    cpu.setGpr(4, top);
    return this.enter(offset, target, cpl);
  }

  #callInner32(target: number, offset: bigint, back: bigint, bytes: 2 | 4, parameters: number): number {
    const cpu = this.#cpu;
    const linear = this.#linear;
    const tables = this.#tables;
    const cpl = tables.dpl;
    this.#stack.begin();
    const inner = this.#delivery.readInnerStack(cpl, 0);
    if (inner === null) return STATUS.EXIT;
    const words = [BigInt(cpu.selector(S.SEG.SS)), cpu.gpr(4)];
    const copied = Array.from({ length: parameters }, () => this.#stack.pop(bytes));
    if (linear.failed) return STATUS.EXIT;
    words.push(...copied.reverse(), BigInt(cpu.selector(S.SEG.CS)), back);
    if (!this.#segments.checkStack(inner.selector, cpl, VECTOR.TS, 0, false)) return STATUS.EXIT;
    if (!tables.setType(ATTRIBUTE.ACCESSED)) return STATUS.EXIT;
    const stack = { base: tables.base, limit: tables.limit, attributes: tables.attributes };
    const mask = (stack.attributes & ATTRIBUTE.BIG) !== 0 ? 0xffff_ffffn : 0xffffn;
    let pointer = inner.pointer;
    for (const word of words) {
      pointer -= BigInt(bytes);
      const va = BigInt.asUintN(32, stack.base + (pointer & mask));
      linear.write(va, bytes, BigInt.asUintN(bytes * 8, word), 0, VECTOR.SS);
    }
    if (linear.failed || !tables.read(target, VECTOR.GP)) return STATUS.EXIT;
    if (!this.checkTarget(offset, target) || !tables.setType(ATTRIBUTE.ACCESSED)) return STATUS.EXIT;
    cpu.setSegment(S.SEG.SS, inner.selector, stack.base, stack.limit, stack.attributes);
    cpu.setStackPointer(pointer, mask);
    return this.enter(offset, target, cpl);
  }
}
