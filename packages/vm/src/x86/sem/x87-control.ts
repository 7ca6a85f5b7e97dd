/** x87 control and state instructions: control and status words, environment, FNSAVE, FXSAVE. */
import { call, type E, type Ops, VECTOR, vectorOf } from '../ops.ts';
import type { Semantics } from '../row.ts';
import * as S from '../state.ts';
import { checkPending } from './x87.ts';
import { readStack, writeStack } from './x87-stack.ts';

export const initialise: Semantics = (o) => {
  o.callVoid('x87_init');
};
export const clearExceptions: Semantics = (o) => {
  o.setState32(S.FSW, o.state32(S.FSW).and(0x7f00));
};
export const storeControl: Semantics = (o) => {
  o.set(0, o.state32(S.FCW).u64());
};
export const storeStatus: Semantics = (o) => {
  o.set(0, o.state32(S.FSW).u64());
};
export const loadControl: Semantics = (o) => {
  checkPending(o);
  o.callVoid('x87_set_control', o.get(0).wrap());
};

// ---- environment: seven fields of 16 or 32 bits (SDM volume 1, figures 8-9 to 8-12, protected mode) ----

function fieldBytes(o: Ops): number {
  return o.size === 2 ? 2 : 4;
}
/** Unused upper halves of the 32-bit fields are stored as ones. */
function environment(o: Ops): E[] {
  const control = o.state32(S.FCW);
  const status = o.state32(S.FSW);
  const tags = o.let(call('x87_tag_word', 'i32'));
  const fip = o.state64(S.FIP).wrap();
  const fdp = o.state64(S.FDP).wrap();
  const fcs = o.state32(S.FCS);
  const fds = o.state32(S.FDS);
  if (fieldBytes(o) === 2) return [control, status, tags, fip, fcs, fdp, fds];
  const ones = (e: E): E => e.or(0xffff0000 | 0);
  const opcode = o.state32(S.FOP);
  return [ones(control), ones(status), ones(tags), fip, fcs.or(opcode.shl(16)), fdp, ones(fds)];
}
function storeEnvironmentAt(o: Ops, address: E): void {
  const bytes = fieldBytes(o);
  environment(o).forEach((field, i) => {
    o.store(bytes, o.let(address.add(i * bytes)), field.u64().zeroExtend(bytes));
  });
}
function readEnvironmentAt(o: Ops, address: E): E[] {
  const bytes = fieldBytes(o);
  return [0, 1, 2, 3, 4, 5, 6].map((i) => o.let(o.load(bytes, o.let(address.add(i * bytes)))));
}
function setEnvironment(o: Ops, fields: readonly E[]): void {
  const [control, status, tags, fip, code, fdp] = fields as [E, E, E, E, E, E, E];
  o.setState32(S.FSW, status.wrap().and(0xffff));
  o.callVoid('x87_set_control', control.wrap());
  o.callVoid('x87_set_tag_word', tags.wrap().and(0xffff));
  o.setState64(S.FIP, fip);
  o.setState64(S.FDP, fdp);
  if (fieldBytes(o) === 4) o.setState32(S.FOP, code.shrU(16).wrap().and(0x7ff));
  else o.setState32(S.FOP, 0);
}
/** Faults now if any of the two pages of `bytes` at `address` cannot be written. */
function probe(o: Ops, address: E, bytes: number): void {
  o.probeWrite(1, address);
  o.probeWrite(1, o.let(address.add(bytes - 1)));
}

export const storeEnvironment: Semantics = (o) => {
  const address = o.let(o.address(0));
  probe(o, address, 7 * fieldBytes(o));
  storeEnvironmentAt(o, address);
  o.callVoid('x87_set_control', o.state32(S.FCW).or(0x3f));
};
export const loadEnvironment: Semantics = (o) => {
  checkPending(o);
  setEnvironment(o, readEnvironmentAt(o, o.let(o.address(0))));
};
export const save: Semantics = (o) => {
  const address = o.let(o.address(0));
  const start = 7 * fieldBytes(o);
  probe(o, address, start + 80);
  storeEnvironmentAt(o, address);
  for (let i = 0; i < 8; i++) {
    const x = readStack(o, i);
    o.store(8, o.let(address.add(start + 10 * i)), x.sig);
    o.store(2, o.let(address.add(start + 10 * i + 8)), x.se.u64());
  }
  o.callVoid('x87_init');
};
export const restore: Semantics = (o) => {
  checkPending(o);
  const address = o.let(o.address(0));
  const start = 7 * fieldBytes(o);
  const fields = readEnvironmentAt(o, address);
  const values = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => ({
    sig: o.let(o.load(8, o.let(address.add(start + 10 * i)))),
    se: o.let(o.load(2, o.let(address.add(start + 10 * i + 8))).wrap()),
  }));
  o.setState32(S.FSW, (fields[1] as E).wrap().and(0xffff));
  values.forEach((x, i) => {
    writeStack(o, i, x);
  });
  setEnvironment(o, fields);
};

// ---- FXSAVE area (SDM volume 1, 10.5.1): 32 bytes of header, 8 × 16 ST/MM, 16 × 16 XMM, 96 not touched ----

const MXCSR_MASK = 0xffffn;
const FX_BYTES = 512;
const FX_STACK = 32;
const FX_XMM = 160;

function requireAligned(o: Ops, address: E): void {
  o.raiseIf(address.and(15).ne(0), VECTOR.GP, 0);
}
function wide(o: Ops): boolean {
  return o.has('w1');
}
/** In 64-bit mode all 16 xmm registers belong to the area, else the lower 8. */
function forXmm(o: Ops, body: (n: number) => void): void {
  for (let n = 0; n < 8; n++) body(n);
  const upper = (): void => {
    for (let n = 8; n < 16; n++) body(n);
  };
  if (wide(o)) upper();
  else o.if(o.state32(S.CODE_MODE).eq(2), upper);
}

export const saveExtended: Semantics = (o) => {
  const address = o.let(o.address(0));
  requireAligned(o, address);
  // as silicon does: the last byte is looked at first
  o.probeWrite(1, o.let(address.add(FX_BYTES - 1)));
  o.probeWrite(1, address);
  const at = (offset: number): E => o.let(address.add(offset));
  const pointer = (offset: number): E => {
    const value = o.state64(offset);
    return wide(o) ? value : value.and(0xffffffffn);
  };
  const words = o
    .state32(S.FCW)
    .u64()
    .or(o.state32(S.FSW).u64().shl(16))
    .or(o.state32(S.FTW).u64().shl(32))
    .or(o.state32(S.FOP).u64().shl(48));
  o.store128(address, vectorOf(words, pointer(S.FIP)));
  const mxcsr = o
    .state32(S.MXCSR)
    .u64()
    .or(MXCSR_MASK << 32n);
  o.store128(at(16), vectorOf(pointer(S.FDP), mxcsr));
  for (let i = 0; i < 8; i++) {
    const x = readStack(o, i);
    o.store128(at(FX_STACK + 16 * i), vectorOf(x.sig, x.se.u64()));
  }
  forXmm(o, (n) => o.store128(at(FX_XMM + 16 * n), o.xmm(n)));
};

export const restoreExtended: Semantics = (o) => {
  const address = o.let(o.address(0));
  requireAligned(o, address);
  const read = (offset: number): E => o.let(o.load128(o.let(address.add(offset))));
  const half = (v: E, lane: 0 | 1): E => o.let(v.lane('i64x2.extract_lane', lane));
  // a second page faults before anything changes
  o.load(1, o.let(address.add(FX_BYTES - 1)));
  const first = read(0);
  const second = read(16);
  const mxcsr = o.let(half(second, 1).wrap());
  o.raiseIf(mxcsr.and(~Number(MXCSR_MASK)).ne(0), VECTOR.GP, 0);
  const words = half(first, 0);
  o.setState32(S.FSW, words.shrU(16).wrap().and(0xffff));
  for (let i = 0; i < 8; i++) {
    const x = read(FX_STACK + 16 * i);
    writeStack(o, i, { sig: half(x, 0), se: half(x, 1).wrap() });
  }
  o.setState32(S.FTW, words.shrU(32).wrap().and(0xff));
  o.setState32(S.FOP, words.shrU(48).wrap().and(0x7ff));
  const pointer = (value: E): E => (wide(o) ? value : value.and(0xffffffffn));
  o.setState64(S.FIP, pointer(half(first, 1)));
  o.setState64(S.FDP, pointer(half(second, 0)));
  o.callVoid('x87_set_control', words.wrap());
  o.setState32(S.MXCSR, mxcsr);
  forXmm(o, (n) => o.hostStore('v128.store', o.cpu, read(FX_XMM + 16 * n), S.XMM + 16 * n));
};
