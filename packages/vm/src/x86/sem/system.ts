/**
 * System instructions. What happens often or is simple is staged here; the rest puts its operands into the ARG
 * slots and goes on in TypeScript (engine/system). Sections are Intel SDM volumes 2 and 3.
 */
import type { E, Operand } from '../expr.ts';
import { i32, select } from '../expr.ts';
import { type Ops, VECTOR } from '../ops.ts';
import type { Semantics } from '../row.ts';
import * as S from '../state.ts';
import { useKernelTlb } from './privilege.ts';

const IF = BigInt(S.FLAG.IF);
const AC = BigInt(S.FLAG.AC);
const RAX = 0;
const RCX = 1;
const RDX = 2;
const CR4_TSD = 4n;
/** Control registers, as bits, that are only stored. */
const STORED_CONTROL = 0b11101;
/** The largest value of CR3 that is valid whatever the width of physical addresses. */
const CR3_PLAIN = 0xf_ffff_ffffn;
const CR4_FSGSBASE = 0x1_0000n;

/** Puts the operands where TypeScript finds them and hands the instruction over. */
export function hand(o: Ops, name: string, arg0?: Operand, arg1?: Operand, segment = 0): void {
  if (arg0 !== undefined) o.setState64(S.ARG0, arg0);
  if (arg1 !== undefined) o.setState64(S.ARG1, arg1);
  o.setState32(S.ARG_FORM, o.size | (o.form.memory ? 0x100 : 0) | (segment << 16));
  o.system(name);
}

/** An operation without operands. */
export function cold(name: string): Semantics {
  return (o) => hand(o, name);
}
/** As `cold`, for CPL 0 only. */
export function coldPrivileged(name: string): Semantics {
  return (o) => {
    o.requireCpl0();
    hand(o, name);
  };
}
/** An operation whose operand `i` is its argument. */
export function coldValue(name: string, i = 0): Semantics {
  return (o) => hand(o, name, o.get(i));
}
export function coldPrivilegedValue(name: string): Semantics {
  return (o) => {
    o.requireCpl0();
    hand(o, name, o.get(0));
  };
}

// ---- flags ----

/** Volume 1, 3.4.3: IF belongs to who has CPL ≤ IOPL. */
function requireIopl(o: Ops): void {
  const iopl = o.state64(S.RFLAGS_SYSTEM).shrU(12).and(3).wrap();
  o.raiseIf(o.state32(S.CPL).gtU(iopl), VECTOR.GP, 0);
}

/** Interrupts have just been enabled: somebody may wait for that. */
export function openWindow(o: Ops): void {
  const budget = o.state32(S.BUDGET);
  o.if(o.state32(S.INTERRUPT_WINDOW).ne(0).and(budget.gtS(0)), () =>
    o.setState32(S.BUDGET, budget.sub(S.BUDGET_LEAVE)),
  );
}

export const cli: Semantics = (o) => {
  requireIopl(o);
  o.setState64(S.RFLAGS_SYSTEM, o.state64(S.RFLAGS_SYSTEM).and(~IF));
};

export const sti: Semantics = (o) => {
  requireIopl(o);
  const flags = o.state64(S.RFLAGS_SYSTEM);
  o.if(flags.and(IF).eqz(), () => {
    o.setState64(S.RFLAGS_SYSTEM, flags.or(IF));
    o.setState32(S.INTERRUPT_SHADOW, 1);
    o.setState64(S.SHADOW_RIP, o.nextRip);
    openWindow(o);
  });
};

export const pushf: Semantics = (o) => {
  const hidden = BigInt(S.FLAG.VM | S.FLAG.RF);
  const image = o.state64(S.RFLAGS_SYSTEM).and(~hidden).or(o.arithmeticFlags()).or(2);
  o.push(o.let(image.zeroExtend(o.size)));
};

/** Changes of the arithmetic flags, DF and (with privilege) IF happen here, all others in TypeScript. */
export const popf: Semantics = (o) => {
  const image = o.peek();
  const old = o.state64(S.RFLAGS_SYSTEM);
  const simple = BigInt(S.ARITHMETIC_FLAGS | S.FLAG.IF | S.FLAG.DF | 2);
  const changed = o.let(
    image
      .xor(old)
      .and(~simple)
      .and(o.size === 2 ? 0x7fd7 : 0x3f7fd7),
  );
  o.moveStack(o.size);
  o.if(changed.eqz().eqz(), () => hand(o, 'POPF', image));
  const iopl = old.shrU(12).and(3).wrap();
  const mask = o.let(select(o.state32(S.CPL).leU(iopl), IF | 0x400n, 0x400n));
  o.setArithmeticFlags(image);
  o.setState64(S.RFLAGS_SYSTEM, old.and(mask.not()).or(image.and(mask)));
  o.if(image.and(mask).and(old.not()).and(IF).wrap(), () => openWindow(o));
  o.jump(o.nextRip);
};

/** STAC and CLAC. While data breakpoints are armed every access stays on the slow path, whose table is never filled. */
function setAlignmentFlag(flags: (old: E) => E): Semantics {
  return (o) => {
    o.raiseIf(o.state32(S.CPL), VECTOR.UD);
    o.setState64(S.RFLAGS_SYSTEM, flags(o.state64(S.RFLAGS_SYSTEM)));
    o.if(o.state32(S.DATA_BREAKPOINTS).eqz(), () => useKernelTlb(o));
  };
}

export const stac: Semantics = setAlignmentFlag((old) => old.or(AC));
export const clac: Semantics = setAlignmentFlag((old) => old.and(~AC));

// ---- segment bases and selectors ----

function segmentState(index: number): number {
  return S.SEGMENTS + index * S.SEGMENT_STRIDE;
}

export const swapgs: Semantics = (o) => {
  o.requireCpl0();
  const gs = segmentState(S.SEG.GS) + S.SEG_BASE;
  const current = o.state64(gs);
  const other = o.state64(S.MSR_KERNEL_GS_BASE);
  o.setState64(gs, other);
  o.setState64(S.MSR_KERNEL_GS_BASE, current);
};

function requireFsgsbase(o: Ops): void {
  o.raiseIf(o.state64(S.CR4).and(CR4_FSGSBASE).eqz(), VECTOR.UD);
}

export function readBase(index: number): Semantics {
  return (o) => {
    requireFsgsbase(o);
    o.set(0, o.state64(segmentState(index) + S.SEG_BASE).zeroExtend(o.size));
  };
}

export function writeBase(index: number): Semantics {
  return (o) => {
    requireFsgsbase(o);
    const base = o.let(o.get(0));
    requireCanonical(o, base);
    o.setState64(segmentState(index) + S.SEG_BASE, base);
  };
}

function requireCanonical(o: Ops, address: E): void {
  if (o.size === 8) o.raiseIf(address.shl(16).shrS(16).ne(address), VECTOR.GP, 0);
}

/** MOV from a segment register. */
export const readSegment: Semantics = (o) => {
  const n = o.registerNumber(1);
  const selector = o.hostLoad('i64.load16_u', o.cpu.add(n.shl(5)), S.SEGMENTS + S.SEG_SELECTOR);
  o.set(0, selector);
};

/** MOV to a segment register; CS is invalid. */
export const writeSegment: Semantics = (o) => {
  const n = o.registerNumber(0);
  o.raiseIf(n.eq(S.SEG.CS), VECTOR.UD);
  hand(o, 'LOAD_SEGMENT', o.get(1), n.u64());
};

export function readSelector(index: number): Semantics {
  return (o) => {
    const selector = o.hostLoad('i64.load16_u', o.cpu, segmentState(index) + S.SEG_SELECTOR);
    o.set(0, selector);
  };
}

/** PUSH of a selector: with operand size 32 only 16 bits are written (volume 2, PUSH), with 64 all. */
export function pushSegment(index: number): Semantics {
  return (o) => {
    const selector = o.hostLoad('i64.load16_u', o.cpu, segmentState(index) + S.SEG_SELECTOR);
    if (o.size !== 4) {
      o.push(selector);
      return;
    }
    const mask = o.let(o.stackMask());
    const rsp = o.let(o.reg(4).sub(4).and(mask));
    o.store(2, o.let(rsp.add(o.segmentBase(S.SEG.SS)).and(mask)), selector);
    o.setReg(4, rsp);
  };
}

export function popSegment(index: number): Semantics {
  // of a 64-bit slot silicon reads only the selector
  return (o) => hand(o, 'POP_SEGMENT', o.peek(o.size === 8 ? 2 : o.size), undefined, index);
}

/** LDS, LES, LSS, LFS, LGS: offset, then selector in memory. */
export function loadFarPointer(index: number): Semantics {
  return (o) => {
    const address = o.let(o.address(1));
    const offset = o.load(o.size, address);
    const selector = o.load(2, o.let(address.add(o.size)));
    hand(o, 'LOAD_FAR_POINTER', selector, offset, index);
  };
}

/** ARPL (not in 64-bit mode): raises the RPL of the first selector to that of the second. */
export const arpl: Semantics = (o) => {
  // silicon reads first and writes only what changes
  const va = o.isMemory(0) ? o.let(o.address(0)) : null;
  const target = va === null ? o.let(o.get(0)) : o.load(2, va);
  const rpl = o.let(o.get(1).and(3));
  const adjust = o.let(target.and(3).ltU(rpl));
  o.if(adjust, () => {
    const value = target.and(0xfffc).or(rpl);
    if (va === null) o.set(0, value);
    else o.store(2, va, value);
  });
  const flags = o.arithmeticFlags();
  o.setArithmeticFlags(flags.and(~0x40n).or(adjust.u64().shl(6)));
};

/** LAR, LSL: selector in operand 1, destination in ModR/M.reg. */
export function queryDescriptor(name: string): Semantics {
  return coldValue(name, 1);
}

// ---- descriptor table registers: 16-bit limit, then a base of 8, 4 or (16-bit operands) 3 bytes ----

export function loadTable(register: number): Semantics {
  return (o) => {
    o.requireCpl0();
    const address = o.let(o.address(0));
    const limit = o.load(2, address);
    const word = o.load(o.size === 8 ? 8 : 4, o.let(address.add(2)));
    const base = o.let(o.size === 2 ? word.and(0xffffff) : word);
    requireCanonical(o, base);
    o.setState64(register, base);
    o.setState32(register + 8, limit.wrap());
  };
}

export function storeTable(register: number): Semantics {
  return (o) => {
    const address = o.let(o.address(0));
    o.probeWrite(o.size === 8 ? 10 : 6, address);
    o.store(2, address, o.hostLoad('i64.load32_u', o.cpu, register + 8));
    o.store(o.size === 8 ? 8 : 4, o.let(address.add(2)), o.state64(register));
  };
}

// ---- control and debug registers ----

export const smsw: Semantics = (o) => o.set(0, o.state64(S.CR0).zeroExtend(o.bytes(0)));

/** MOV from CR0, CR2, CR3, CR4 at CPL 0; every other number goes on in TypeScript. */
export const readControl: Semantics = (o) => {
  const n = o.var('i32', o.registerNumber(1)).get();
  const stored = i32(STORED_CONTROL).shrU(n).and(1);
  o.if(o.state32(S.CPL).or(stored.eqz()), () => hand(o, 'READ_CR', n.u64()));
  // CR0, CR2, CR3, CR4 stand side by side
  const place = o.let(n.sub(n.ne(0)).shl(3));
  o.set(0, o.hostLoad('i64.load', o.cpu.add(place), S.CR0).zeroExtend(o.bytes(0)));
};

/** MOV to a control register: here CR3 at CPL 0 in 64-bit code, for an address that every processor has. */
export const writeControl: Semantics = (o) => {
  const n = o.var('i32', o.registerNumber(0)).get();
  const value = o.let(o.get(1));
  const usual = n.eq(3).and(o.state32(S.CODE_MODE).eq(2)).and(value.leU(CR3_PLAIN));
  o.if(usual.eqz().or(o.state32(S.CPL)), () => hand(o, 'WRITE_CR', n.u64()));
  o.setState64(S.CR3, value);
  o.callVoid('change_address_space');
  o.jump(o.nextRip);
};

export const readDebug: Semantics = (o) => hand(o, 'READ_DR', o.registerNumber(1).u64());
export const writeDebug: Semantics = (o) => hand(o, 'WRITE_DR', o.registerNumber(0).u64());

export const invlpg: Semantics = (o) => {
  o.requireCpl0();
  o.callVoid('invalidate_page', o.address(0));
  o.jump(o.nextRip);
};

/** CLFLUSH is checked like a load of one byte; there is no cache to flush. */
export const clflush: Semantics = (o) => {
  o.load(1, o.let(o.address(0)));
};

/** INVD, WBINVD: nothing to write back. */
export const flushCaches: Semantics = (o) => o.requireCpl0();

/** RDTSC and RDTSCP, which gives IA32_TSC_AUX too: CR4.TSD keeps them from user mode. */
export function readTimestamp(withAux: boolean): Semantics {
  return (o) => {
    const forbidden = o.state64(S.CR4).and(CR4_TSD).eqz().eqz();
    o.raiseIf(forbidden.and(o.state32(S.CPL).ne(0)), VECTOR.GP, 0);
    const value = o.timestamp();
    o.setReg(RAX, value, 4);
    o.setReg(RDX, value.shrU(32), 4);
    if (withAux) o.setReg(RCX, o.state64(S.MSR_TSC_AUX), 4);
  };
}

// ---- transfers ----

/** JMP and CALL with the pointer in the instruction: the selector stays in the record (REC.DISP). */
export function farDirect(name: string): Semantics {
  return (o) => hand(o, name, o.get(0).zeroExtend(o.size));
}

export function farIndirect(name: string): Semantics {
  return (o) => {
    const address = o.let(o.address(0));
    const offset = o.load(o.size, address);
    hand(o, name, offset, o.load(2, o.let(address.add(o.size))));
  };
}

export const farReturn: Semantics = (o) => hand(o, 'FAR_RET', o.row.operands.length === 0 ? 0 : o.get(0));

/** INTO (not in 64-bit mode). */
export const into: Semantics = (o) => {
  o.if(o.of(), () => hand(o, 'INTO'));
  o.jump(o.nextRip);
};

export const undefinedInstruction: Semantics = (o) => o.raise(VECTOR.UD);

// ---- ports ----

/** IN: port in operand 1. OUT: port in operand 0. There is no 64-bit form. */
export function port(name: string, bytes: number, operand: number): Semantics {
  return (o) => {
    const size = bytes === 0 ? Math.min(o.form.opsize, 4) : bytes;
    o.setState64(S.ARG0, o.get(operand).and(0xffff));
    o.setState32(S.ARG_FORM, size);
    o.system(name);
  };
}

export function portString(name: string, bytes: number): Semantics {
  return (o) => {
    o.setState32(S.ARG_FORM, bytes === 0 ? Math.min(o.form.opsize, 4) : bytes);
    o.system(name);
  };
}
