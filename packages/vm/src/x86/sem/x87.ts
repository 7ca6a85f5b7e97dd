/**
 * Staged semantics of the x87 data instructions; the work is done by the functions of x87-stack.ts. #NM for CR0.EM
 * and CR0.TS comes from the decoder.
 */
import { call, type E, i32, i64, type Ops, VECTOR } from '../ops.ts';
import type { Semantics } from '../row.ts';
import * as S from '../state.ts';
import { type Ext, FSW_BIT } from './ext80.ts';

const CR0_MP = 2;
const CR0_TS = 8;

/** #MF for an unmasked exception of an earlier instruction. */
export function checkPending(o: Ops): void {
  o.raiseIf(o.state32(S.FSW).and(FSW_BIT.ES).ne(0), VECTOR.MF);
}
function begin(o: Ops): void {
  checkPending(o);
  // X87_DENORMAL too
  o.setState64(S.X87_EXCEPTIONS, 0n);
}
/**
 * Notes where the instruction is. Operand pointer and opcode only change when an unmasked exception is pending
 * (FDP_EXCPTN_ONLY), the selectors read as zero (CPUID.7.EBX bits 6 and 13).
 */
function finish(o: Ops): void {
  o.setState64(S.FIP, o.rip);
  o.if(o.state32(S.FSW).and(FSW_BIT.ES).ne(0), () => {
    if (o.form.memory) o.setState64(S.FDP, o.effectiveAddress(0));
    // the low 11 bits of the opcode
    o.setState32(S.FOP, o.modrm.or((o.row.encoding.opcode & 7) << 8));
  });
}
/** A data instruction whose work is `body`. */
function instruction(body: (o: Ops) => void): Semantics {
  return (o) => {
    begin(o);
    body(o);
    finish(o);
  };
}
function stackOperand(o: Ops): E {
  const i = o.row.operands.findIndex((spec) => spec.size === 'STi');
  return i < 0 ? i32(o.row.encoding.ext & 7) : o.registerNumber(i);
}

/** Calls a warm function with constants and nothing else. */
export function warm(name: string, ...args: number[]): Semantics {
  return instruction((o) => o.callVoid(name, ...args.map((n) => i32(n))));
}
/** Calls a warm function with the number of ST(i), then constants. */
export function warmStack(name: string, ...args: number[]): Semantics {
  return instruction((o) => o.callVoid(name, stackOperand(o), ...args.map((n) => i32(n))));
}

// ---- operands in memory ----

export type Source = 'f32' | 'f64' | 'i16' | 'i32';
/** Operand 0 as an 80-bit value; signaling NaNs stay, DE is left in X87_DENORMAL. */
function memoryOperand(o: Ops, source: Source): Ext {
  const bits = o.let(o.get(0));
  const sig =
    source === 'f32' || source === 'f64'
      ? o.let(call(`ext80_from_${source}`, 'i64', bits))
      : o.let(call('ext80_from_int', 'i64', bits.signExtend(source === 'i16' ? 2 : 4)));
  return { sig, se: o.state32(S.X87_SE) };
}
/** FADD … FDIVR with memory; `op` = ModR/M.reg. */
export function arithMemory(op: number, source: Source): Semantics {
  return instruction((o) => {
    const y = memoryOperand(o, source);
    o.callVoid('x87_arith_mem', i32(op), y.sig, y.se);
  });
}
/** FADD … FDIVR of ST(0) and ST(i). @param toStack the result goes to ST(i) */
export function arithStack(op: number, toStack: boolean, pop: boolean): Semantics {
  return instruction((o) => {
    const i = o.let(stackOperand(o));
    o.callVoid('x87_arith_st', i32(op), i, toStack ? i : i32(0), i32(pop ? 1 : 0));
  });
}
export function compareMemory(source: Source, pops: number): Semantics {
  return instruction((o) => {
    const y = memoryOperand(o, source);
    o.callVoid('x87_compare_mem', y.sig, y.se, i32(pops));
  });
}
/** FTST. */
export const test: Semantics = instruction((o) => o.callVoid('x87_compare_mem', i64(0), i32(0), i32(0)));
/** FCOMI, FUCOMI and their popping forms. */
export function compareFlags(quiet: boolean, pop: boolean): Semantics {
  return instruction((o) => {
    const flags = o.let(
      call('x87_compare_flags', 'i32', stackOperand(o), i32(quiet ? 1 : 0), i32(pop ? 1 : 0)),
    );
    o.setArithmeticFlags(flags.u64());
  });
}
export const loadSingle: Semantics = instruction((o) => o.callVoid('x87_load_f32', o.get(0)));
export const loadDouble: Semantics = instruction((o) => o.callVoid('x87_load_f64', o.get(0)));
export const loadInteger: Semantics = instruction((o) => {
  const sig = o.let(call('ext80_from_int', 'i64', o.get(0).signExtend(o.bytes(0))));
  o.callVoid('x87_push', sig, o.state32(S.X87_SE));
});
function loadTen(o: Ops): { low: E; high: E } {
  const address = o.let(o.address(0));
  return { low: o.let(o.load(8, address)), high: o.let(o.load(2, o.let(address.add(8)))) };
}
export const loadExtended: Semantics = instruction((o) => {
  const { low, high } = loadTen(o);
  o.callVoid('x87_push', low, high.wrap());
});
export const loadDecimal: Semantics = instruction((o) => {
  const { low, high } = loadTen(o);
  const sig = o.let(call('ext80_from_bcd', 'i64', low, high));
  o.callVoid('x87_push', sig, o.state32(S.X87_SE));
});
/** Pushes a constant under RC; the four values are those for nearest, down, up and zero. */
export function loadConstant(se: number, sig: bigint, upward: 0 | 1, nearestUp: 0 | 1): Semantics {
  return instruction((o) => {
    const rc = o.let(o.state32(S.FCW).and(0xc00));
    const up = upward === 0 ? i32(0) : nearestUp === 1 ? rc.eqz().or(rc.eq(0x800)) : rc.eq(0x800);
    o.callVoid('x87_push', i64(sig).add(o.let(up.u64())), i32(se));
  });
}

function store(pop: boolean, value: (o: Ops) => E, write: (o: Ops, value: E) => void): Semantics {
  return instruction((o) => {
    const v = o.let(value(o));
    o.if(call('x87_storable', 'i32'), () => write(o, v));
    o.callVoid('x87_finish_store', i32(pop ? 1 : 0));
  });
}
export function storeFloat(format: 'f32' | 'f64', pop: boolean): Semantics {
  return store(
    pop,
    () => call(`x87_store_${format}`, 'i64'),
    (o, v) => o.set(0, v),
  );
}
export function storeInteger(truncate: boolean, pop: boolean): Semantics {
  return store(
    pop,
    (o) => call('x87_store_int', 'i64', i32(o.bytes(0) * 8), i32(truncate ? 1 : 0)),
    (o, v) => o.set(0, v.zeroExtend(o.bytes(0))),
  );
}
function storeTen(o: Ops, low: E, high: E): void {
  const address = o.let(o.address(0));
  // as silicon does: the significand is written even when the rest faults
  o.store(8, address, low);
  o.store(2, o.let(address.add(8)), high);
}
export const storeExtended: Semantics = store(
  true,
  () => call('x87_store_value', 'i64'),
  (o, v) => storeTen(o, v, o.state32(S.X87_SE).u64()),
);
export const storeDecimal: Semantics = store(
  true,
  () => call('x87_store_bcd', 'i64'),
  (o, v) => storeTen(o, o.state64(S.X87_LOW), v),
);

/** FCMOVcc on condition code `cc` as in Jcc. */
export function conditionalMove(cc: number): Semantics {
  return instruction((o) => o.callVoid('x87_move', o.let(o.condition(cc)), stackOperand(o)));
}
export const noOperation: Semantics = instruction(() => {});
/** Control instructions of the 8087 and 287. */
export const nothing: Semantics = () => {};
/** FWAIT: #NM only when CR0.MP and CR0.TS are set. */
export const wait: Semantics = (o) => {
  o.raiseIf(
    o
      .state32(S.CR0)
      .and(CR0_MP | CR0_TS)
      .eq(CR0_MP | CR0_TS),
    VECTOR.NM,
  );
  checkPending(o);
};
