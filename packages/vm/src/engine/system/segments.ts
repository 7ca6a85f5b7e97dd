/** Segment registers: loading them with every check (SDM 3A, 5.5 to 5.7), LDTR and TR, and LAR LSL VERR VERW. */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { type MemoryUnit, STATUS } from '../unit.ts';
import { ATTRIBUTE, type Cpu, MODE } from './cpu.ts';
import { type DescriptorTables, SYSTEM_TYPE } from './descriptors.ts';
import type { LinearMemory } from './linear.ts';
import type { Operations } from './operation.ts';

const { SS } = S.SEG;
/** Attributes of a null SS at privilege level `cpl`: not present. */
function nullStack(cpl: number): number {
  return cpl << ATTRIBUTE.DPL_SHIFT;
}

export class Segments {
  readonly #cpu: Cpu;
  readonly #linear: LinearMemory;
  readonly #tables: DescriptorTables;
  readonly #unit: MemoryUnit;

  constructor(cpu: Cpu, linear: LinearMemory, tables: DescriptorTables, unit: MemoryUnit) {
    this.#cpu = cpu;
    this.#linear = linear;
    this.#tables = tables;
    this.#unit = unit;
  }

  /** Loads ES, SS, DS, FS or GS as MOV does. False: a fault is set and nothing changed. */
  load(segment: number, selector: number): boolean {
    const cpu = this.#cpu;
    if (!cpu.protectedMode) {
      cpu.setSegment(segment, selector, BigInt(selector << 4), 0xffff, 0x93);
      return true;
    }
    if (segment === SS) return this.loadStack(selector, cpu.cpl, VECTOR.GP);
    if ((selector & 0xfffc) === 0) {
      cpu.setSegment(segment, selector, 0n, 0, 0);
      return true;
    }
    const tables = this.#tables;
    if (!tables.read(selector, VECTOR.GP)) return false;
    const readable = tables.isSegment && (!tables.isCode || (tables.type & ATTRIBUTE.WRITABLE) !== 0);
    const conforming = tables.isCode && tables.isConforming;
    const privileged = !conforming && Math.max(selector & 3, cpu.cpl) > tables.dpl;
    if (!readable || privileged) {
      cpu.faultCode(VECTOR.GP, selector & 0xfffc);
      return false;
    }
    if (!tables.present) {
      cpu.faultCode(VECTOR.NP, selector & 0xfffc);
      return false;
    }
    if (!tables.setType(ATTRIBUTE.ACCESSED)) return false;
    tables.install(segment, selector);
    return true;
  }

  /** Loads SS for privilege level `cpl`. @param vector of privilege and type faults: #GP or #TS */
  loadStack(selector: number, cpl: number, vector: number): boolean {
    if (!this.checkStack(selector, cpl, vector, 0, this.#cpu.codeMode === MODE.BITS_64)) return false;
    if ((selector & 0xfffc) === 0) this.setNullStack(selector, cpl);
    else {
      if (!this.#tables.setType(ATTRIBUTE.ACCESSED)) return false;
      this.#tables.install(SS, selector);
    }
    return true;
  }

  /** The checks of `loadStack` alone; the descriptor stays in the tables. @param null64 64-bit code may have none */
  checkStack(selector: number, cpl: number, vector: number, ext: number, null64: boolean): boolean {
    const cpu = this.#cpu;
    const tables = this.#tables;
    if ((selector & 0xfffc) === 0) {
      const allowed = null64 && cpl < 3 && (selector & 3) === cpl;
      if (!allowed) cpu.faultCode(vector, ext);
      return allowed;
    }
    if (!tables.read(selector, vector, ext)) return false;
    if ((selector & 3) !== cpl || !tables.isWritableData || tables.dpl !== cpl) {
      cpu.faultCode(vector, (selector & 0xfffc) | ext);
      return false;
    }
    if (!tables.present) {
      cpu.faultCode(VECTOR.SS, (selector & 0xfffc) | ext);
      return false;
    }
    return true;
  }

  setNullStack(selector: number, cpl: number): void {
    this.#cpu.setSegment(SS, selector, 0n, 0, nullStack(cpl));
  }

  /** A return to an outer level drops data segments that level may not use (volume 2, RET). */
  dropPrivileged(cpl: number): void {
    const cpu = this.#cpu;
    for (const segment of [S.SEG.ES, S.SEG.DS, S.SEG.FS, S.SEG.GS]) {
      const attributes = cpu.attributes(segment);
      const conforming = (attributes & 0x1c) === 0x1c;
      if (conforming || ((attributes >>> ATTRIBUTE.DPL_SHIFT) & 3) >= cpl) continue;
      if ((attributes & ATTRIBUTE.PRESENT) === 0 && (cpu.selector(segment) & 0xfffc) === 0) {
        cpu.set32(S.SEGMENTS + segment * S.SEGMENT_STRIDE + S.SEG_SELECTOR, 0);
        continue;
      }
      cpu.setSegment(segment, 0, 0n, 0, 0);
    }
  }

  /** Ends a segment load: SS casts a shadow, and outside 64-bit mode decoding may depend on the new segment. */
  #loaded(segment: number, record: number): number {
    const cpu = this.#cpu;
    const next = cpu.nextRip(record);
    if (segment === SS) {
      cpu.set32(S.INTERRUPT_SHADOW, 2);
      cpu.set64(S.SHADOW_RIP, next);
    }
    if (cpu.codeMode === MODE.BITS_64) return STATUS.NEXT;
    this.#unit.modeChanged();
    cpu.rip = next;
    return STATUS.JUMP;
  }

  #pop(record: number): number {
    const cpu = this.#cpu;
    const segment = cpu.get32(S.ARG_FORM) >>> 16;
    const mask = cpu.stackMask;
    const rsp = cpu.gpr(4) + BigInt(cpu.operandSize);
    if (!this.load(segment, Number(cpu.get64(S.ARG0) & 0xffffn))) return STATUS.EXIT;
    cpu.setStackPointer(rsp, mask);
    return this.#loaded(segment, record);
  }

  #loadFarPointer(record: number): number {
    const cpu = this.#cpu;
    const segment = cpu.get32(S.ARG_FORM) >>> 16;
    const size = cpu.operandSize;
    const offset = cpu.get64(S.ARG1);
    if (!this.load(segment, Number(cpu.get64(S.ARG0) & 0xffffn))) return STATUS.EXIT;
    cpu.writeRegister(cpu.regOffset(record), size, offset);
    return this.#loaded(segment, record);
  }

  // ---- what a selector names ----

  #setZero(zero: boolean): number {
    const cpu = this.#cpu;
    cpu.arithmeticFlags = (cpu.arithmeticFlags & ~S.FLAG.ZF) | (zero ? S.FLAG.ZF : 0);
    return STATUS.NEXT;
  }

  /** Finds the descriptor and checks privilege as LAR, LSL, VERR and VERW do. */
  #visible(selector: number): boolean {
    const tables = this.#tables;
    if (!tables.find(selector)) return false;
    if (tables.isCode && tables.isConforming) return true;
    return Math.max(this.#cpu.cpl, selector & 3) <= tables.dpl;
  }

  #query(record: number, types: number, value: () => number): number {
    const cpu = this.#cpu;
    if (!cpu.protectedMode) return cpu.fault(VECTOR.UD);
    this.#linear.begin();
    const visible = this.#visible(Number(cpu.get64(S.ARG0) & 0xffffn));
    if (this.#linear.failed) return STATUS.EXIT;
    const tables = this.#tables;
    const valid = visible && (tables.isSegment || ((types >>> tables.type) & 1) !== 0);
    if (valid) cpu.writeRegister(cpu.regOffset(record), cpu.operandSize, BigInt(value() >>> 0));
    return this.#setZero(valid);
  }

  #verify(allowed: () => boolean): number {
    const cpu = this.#cpu;
    if (!cpu.protectedMode) return cpu.fault(VECTOR.UD);
    this.#linear.begin();
    const visible = this.#visible(Number(cpu.get64(S.ARG0) & 0xffffn));
    if (this.#linear.failed) return STATUS.EXIT;
    return this.#setZero(visible && allowed());
  }

  // ---- LDTR, TR ----

  #loadLdt(): number {
    const cpu = this.#cpu;
    if (!cpu.protectedMode) return cpu.fault(VECTOR.UD);
    const selector = Number(cpu.get64(S.ARG0) & 0xffffn);
    if ((selector & 0xfffc) === 0) {
      cpu.setSegment(S.SEG.LDTR, selector, 0n, 0, 0);
      return STATUS.NEXT;
    }
    return this.#loadSystem(S.SEG.LDTR, selector, [SYSTEM_TYPE.LDT]);
  }

  #loadTask(): number {
    const cpu = this.#cpu;
    if (!cpu.protectedMode) return cpu.fault(VECTOR.UD);
    const selector = Number(cpu.get64(S.ARG0) & 0xffffn);
    if ((selector & 0xfffc) === 0) return cpu.faultCode(VECTOR.GP, 0);
    return this.#loadSystem(
      S.SEG.TR,
      selector,
      cpu.longMode ? [SYSTEM_TYPE.TSS] : [SYSTEM_TYPE.TSS, SYSTEM_TYPE.TSS16],
    );
  }

  #loadSystem(segment: number, selector: number, types: readonly number[]): number {
    const cpu = this.#cpu;
    const tables = this.#tables;
    const code = selector & 0xfffc;
    if ((selector & 4) !== 0) return cpu.faultCode(VECTOR.GP, code);
    if (!tables.read(selector, VECTOR.GP)) return STATUS.EXIT;
    if (!types.includes(tables.type)) return cpu.faultCode(VECTOR.GP, code);
    if (!tables.present) return cpu.faultCode(VECTOR.NP, code);
    if (!tables.readUpper(selector, VECTOR.GP)) return STATUS.EXIT;
    if (segment === S.SEG.TR && !tables.setType(2)) return STATUS.EXIT;
    cpu.setSegment(segment, selector, tables.base64, tables.limit, tables.attributes);
    return STATUS.NEXT;
  }

  operations(): Operations {
    const cpu = this.#cpu;
    const tables = this.#tables;
    const bit = (...types: number[]): number => types.reduce((bits, type) => bits | (1 << type), 0);
    const T = SYSTEM_TYPE;
    const long = bit(T.LDT, T.TSS, T.TSS_BUSY);
    const legacy = long | bit(T.TSS16, T.TSS16_BUSY);
    return {
      LOAD_SEGMENT: (record) => {
        const segment = Number(cpu.get64(S.ARG1));
        if (!this.load(segment, Number(cpu.get64(S.ARG0) & 0xffffn))) return STATUS.EXIT;
        return this.#loaded(segment, record);
      },
      POP_SEGMENT: (record) => this.#pop(record),
      LOAD_FAR_POINTER: (record) => this.#loadFarPointer(record),
      LAR: (record) =>
        this.#query(
          record,
          cpu.longMode ? long | bit(T.CALL_GATE) : legacy | bit(T.CALL_GATE, T.CALL_GATE16, T.TASK_GATE),
          () => tables.high & (cpu.operandSize === 2 ? 0xff00 : 0xf0_ff00),
        ),
      LSL: (record) => this.#query(record, cpu.longMode ? long : legacy, () => tables.limit),
      VERR: () =>
        this.#verify(() => tables.isSegment && (!tables.isCode || (tables.type & ATTRIBUTE.WRITABLE) !== 0)),
      VERW: () => this.#verify(() => tables.isWritableData),
      LLDT: () => this.#loadLdt(),
      LTR: () => this.#loadTask(),
    };
  }
}
