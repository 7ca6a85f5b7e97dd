/**
 * SYSCALL, SYSRET and IRET where nothing unusual happens: 64-bit code, no debugging, no alignment checks. Every
 * other case goes on in TypeScript (engine/system/syscall.ts, returns.ts) and must come to the same.
 */
import type { E } from '../expr.ts';
import { call, type Ops, VECTOR } from '../ops.ts';
import type { Semantics } from '../row.ts';
import * as S from '../state.ts';
import { setPrivilege, watched } from './privilege.ts';
import { hand, openWindow } from './system.ts';

const { FLAG } = S;
const EFER_SCE = 1n;
const FLAT = -1;
const CODE_64 = 0xa09b;
const DATA = 0xc093;
const DPL_3 = 0x60;
/** Flags that SYSRET takes from R11, arithmetic ones apart. */
const SYSRET_SYSTEM = BigInt(0x3c_7fd7 & ~(S.ARITHMETIC_FLAGS | 2));
const SYSTEM = BigInt(~(S.ARITHMETIC_FLAGS | 2));

function segmentField(segment: number, field: number): number {
  return S.SEGMENTS + segment * S.SEGMENT_STRIDE + field;
}

function setFlat(o: Ops, segment: number, selector: E, attributes: number): void {
  o.setState64(segmentField(segment, S.SEG_BASE), 0);
  o.setState32(segmentField(segment, S.SEG_LIMIT), FLAT);
  o.setState32(segmentField(segment, S.SEG_ATTRIBUTES), attributes);
  o.setState32(segmentField(segment, S.SEG_SELECTOR), selector);
}

export const syscall: Semantics = (o) => {
  o.raiseIf(o.state64(S.EFER).and(EFER_SCE).eqz(), VECTOR.UD);
  const system = o.state64(S.RFLAGS_SYSTEM);
  o.if(system.and(FLAG.TF).ne(0).or(watched(o)), () => hand(o, 'SYSCALL'));
  const kept = o.let(o.state64(S.MSR_SFMASK).not());
  const arithmetic = o.arithmeticFlags();
  const visible = o.let(system.and(~BigInt(FLAG.RF)));
  o.setReg(1, o.nextRip);
  o.setReg(11, visible.or(arithmetic).or(2));
  o.setState64(S.RFLAGS_SYSTEM, visible.and(kept));
  o.setArithmeticFlags(arithmetic.and(kept));
  const selector = o.let(o.state64(S.MSR_STAR).shrU(32).wrap().and(0xfffc));
  setFlat(o, S.SEG.CS, selector, CODE_64);
  setFlat(o, S.SEG.SS, selector.add(8).and(0xfffc), DATA);
  setPrivilege(o, 0);
  o.jump(o.state64(S.MSR_LSTAR));
};

export const sysret: Semantics = (o) => {
  o.requireCpl0();
  o.raiseIf(o.state64(S.EFER).and(EFER_SCE).eqz(), VECTOR.UD);
  if (o.size !== 8) {
    hand(o, 'SYSRET');
    return;
  }
  const rip = o.reg(1);
  const image = o.reg(11);
  o.raiseIf(rip.shl(16).shrS(16).ne(rip), VECTOR.GP, 0);
  const unusual = BigInt(FLAG.TF | FLAG.AC);
  const plain = image.or(o.state64(S.RFLAGS_SYSTEM)).and(unusual).eqz();
  o.if(plain.eqz().or(watched(o)), () => hand(o, 'SYSRET'));
  o.setState64(S.RFLAGS_SYSTEM, image.and(SYSRET_SYSTEM));
  o.setArithmeticFlags(image);
  const selector = o.let(o.state64(S.MSR_STAR).shrU(48).wrap());
  setFlat(o, S.SEG.CS, selector.add(16).and(0xfffc).or(3), CODE_64 | DPL_3);
  setFlat(o, S.SEG.SS, selector.add(8).and(0xfffc).or(3), DATA | DPL_3);
  setPrivilege(o, 3);
  o.if(image.and(FLAG.IF).wrap(), () => openWindow(o));
  o.jump(rip);
};

/** IRETQ of the kernel, to itself or to 64-bit code at CPL 3: no unusual flags, not from an NMI. */
export const iret: Semantics = (o) => {
  if (o.size !== 8) {
    hand(o, 'IRET');
    return;
  }
  const breakpoints = o.state32(S.DR + 7 * 8).and(0xff);
  const blocked = o.state32(S.NMI_BLOCKED).or(o.state32(S.CPL)).or(breakpoints);
  o.if(blocked.or(watched(o)), () => hand(o, 'IRET'));
  const rsp = o.reg(4);
  const at = (offset: number): E => o.load(8, o.let(rsp.add(offset)));
  const rip = at(0);
  const code = at(8);
  const image = at(16);
  const stack = at(24);
  const data = at(32);
  const system = o.state64(S.RFLAGS_SYSTEM);
  const selector = (segment: number): E =>
    o.hostLoad('i64.load16_u', o.cpu, segmentField(segment, S.SEG_SELECTOR));
  // RF matters only to instruction breakpoints; NT faults
  const unusual = SYSTEM & ~BigInt(FLAG.IF | FLAG.DF | FLAG.RF) & 0x3f_7fd7n;
  const changed = image.xor(system).or(system.and(FLAG.NT)).and(unusual);
  o.if(changed.or(rip.shl(16).shrS(16).xor(rip)).ne(0), () => hand(o, 'IRET'));
  const same = code
    .and(0xffff)
    .xor(selector(S.SEG.CS))
    .or(data.and(0xffff).xor(selector(S.SEG.SS)))
    .eqz();
  const ready = o.var('i32', same);
  const outer = o.let(ready.get().eqz());
  o.if(outer, () => ready.set(call('outer_segments', 'i32', code.wrap(), data.wrap())));
  o.if(ready.get().eqz(), () => hand(o, 'IRET'));
  const free = BigInt(FLAG.IF | FLAG.DF);
  o.setState64(S.RFLAGS_SYSTEM, system.and(~(free | BigInt(FLAG.RF))).or(image.and(free)));
  o.setArithmeticFlags(image);
  o.setReg(4, stack);
  o.if(outer, () => setPrivilege(o, 3));
  o.if(image.and(FLAG.IF).wrap(), () => openWindow(o));
  o.jump(rip);
};
