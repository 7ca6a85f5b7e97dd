/** What stands around the code of every region: state into locals and back, and the way on to the next region. */
import type { Ty } from '../../wasm/opcodes.ts';
import type { Bytes } from '../../wasm/module.ts';
import type { Stmt } from '../../x86/block.ts';
import { type EmitContext, emitExpression, emitStatements } from '../../x86/emit.ts';
import { apply, E, i32, local } from '../../x86/expr.ts';
import * as S from '../../x86/state.ts';
import { LOCAL, LOCAL_TYPES } from './locals.ts';

const CPU = new E('cpu', 'i32');
/** By number: general 0–15, xmm 16–31. */
const REGISTERS = Array.from({ length: 32 }, (_, n) => n);
const offsetOf = (n: number): number => (n < 16 ? S.GPR + n * 8 : S.XMM + (n - 16) * 16);

function fixed(i: number): E {
  return local(LOCAL_TYPES[i] as Ty, i);
}
function set(i: number, value: E): Stmt {
  return { k: 'set', local: i, value };
}
function store(op: string, value: E, offset: number, address = CPU): Stmt {
  return { k: 'store', op, address, value, offset };
}

const LOAD = REGISTERS.map((n) => set(n, apply(n < 16 ? 'i64.load' : 'v128.load', [CPU], offsetOf(n))));
const STORE = REGISTERS.map((n) => store(n < 16 ? 'i64.store' : 'v128.store', fixed(n), offsetOf(n)));

const LOAD_FIXED = [
  set(LOCAL.FLAGS_A, apply('i64.load', [CPU], S.FLAG_RESULT)),
  set(LOCAL.FLAGS_B, apply('i64.load', [CPU], S.FLAG_CARRIES)),
  set(LOCAL.BUDGET, apply('i32.load', [CPU], S.BUDGET)),
  set(LOCAL.TLB, apply('i32.load', [CPU], S.TLB_TABLE)),
  set(LOCAL.BASE, apply('i64.load', [CPU], S.RIP)),
];
const STORE_FIXED = [
  store('i64.store', fixed(LOCAL.RIP), S.RIP),
  store('i32.store', fixed(LOCAL.BUDGET), S.BUDGET),
  store('i32.store', i32(0), S.FAULT),
];
const STORE_FLAGS: Stmt = {
  k: 'if',
  condition: fixed(LOCAL.FLAGS_KIND),
  then: [
    {
      k: 'call',
      name: 'region_flags',
      args: [fixed(LOCAL.FLAGS_KIND), fixed(LOCAL.FLAGS_A), fixed(LOCAL.FLAGS_B)],
    },
  ],
  else: [
    store('i64.store', fixed(LOCAL.FLAGS_A), S.FLAG_RESULT),
    store('i64.store', fixed(LOCAL.FLAGS_B), S.FLAG_CARRIES),
  ],
};

/** @param used registers, as bits */
export function loadState(used: number): Stmt[] {
  return [...LOAD.filter((_, n) => (used & (1 << n)) !== 0), ...LOAD_FIXED];
}

/** @param written registers, as bits */
export function storeState(written: number, withFlags: boolean): Stmt[] {
  const list = [...STORE.filter((_, n) => (written & (1 << n)) !== 0), ...STORE_FIXED];
  if (withFlags) list.push(STORE_FLAGS);
  return list;
}

/**
 * The region at RIP, if the jump cache knows one, is entered without a return to the run loop. What the run loop does
 * before that (interp/generate.ts), this does too. Locals whose values are stored by now serve for others:
 * TLB: host address of the jump cache's entry, then of the slot's count; BUDGET: slot; FLAGS_KIND: count.
 */
const NEXT_REGION: {
  readonly findEntry: readonly Stmt[];
  readonly isKnown: E;
  readonly findSlot: readonly Stmt[];
  /** The run loop is told when a region has been entered often. */
  readonly isCold: E;
  readonly count: readonly Stmt[];
  readonly slot: E;
} = (() => {
  const rip = fixed(LOCAL.RIP);
  const index = rip
    .xor(rip.shrU(12))
    .wrap()
    .and(S.JUMP_CACHE_ENTRIES - 1)
    .shl(4);
  const entry = fixed(LOCAL.TLB);
  const slot = fixed(LOCAL.BUDGET);
  const count = fixed(LOCAL.FLAGS_KIND);
  const mayGoOn = fixed(LOCAL.STATUS)
    .eqz()
    .and(fixed(LOCAL.BUDGET).gtS(0))
    .and(apply('i32.load', [CPU]).eqz());
  const isThere = apply('i64.load', [entry], S.JUMP_CACHE)
    .eq(rip)
    .and(apply('i32.load', [entry], S.JUMP_CACHE + 12).eq(apply('i32.load', [CPU], S.JUMP_KEY)))
    .and(apply('i32.load', [entry], S.JUMP_CACHE + 8));
  return {
    findEntry: [set(LOCAL.TLB, CPU.add(index))],
    isKnown: mayGoOn.and(isThere),
    findSlot: [
      set(LOCAL.BUDGET, apply('i32.load', [entry], S.JUMP_CACHE + 8).shrU(3)),
      set(LOCAL.TLB, CPU.add(slot.shl(2))),
      set(LOCAL.FLAGS_KIND, apply('i32.load', [entry], S.REGION_COUNTS).add(1)),
    ],
    isCold: count.ne(S.REGION_HOT),
    count: [store('i32.store', count, S.REGION_COUNTS, entry)],
    slot,
  };
})();

/** What `emitNextRegion` finds in locals, for a function that begins with it. */
export const LOAD_NEXT: readonly Stmt[] = [
  set(LOCAL.RIP, apply('i64.load', [CPU], S.RIP)),
  set(LOCAL.BUDGET, apply('i32.load', [CPU], S.BUDGET)),
];

const OP_IF = 0x04;
const OP_END = 0x0b;
const OP_RETURN_CALL_INDIRECT = 0x13;
const VOID = 0x40;

/**
 * @param regionType number of the type (i32) → i32, and `table` that of the table of regions, in the module
 * @param counted emits what else is counted when it goes on
 */
export function emitNextRegion(
  out: Bytes,
  context: EmitContext,
  regionType: number,
  table: number,
  counted: () => void,
): void {
  const { findEntry, isKnown, findSlot, isCold, count, slot } = NEXT_REGION;
  emitStatements(findEntry, out, context);
  emitExpression(isKnown, out, context);
  out.put(OP_IF, VOID);
  emitStatements(findSlot, out, context);
  emitExpression(isCold, out, context);
  out.put(OP_IF, VOID);
  emitStatements(count, out, context);
  counted();
  emitExpression(CPU, out, context);
  emitExpression(slot, out, context);
  out.byte(OP_RETURN_CALL_INDIRECT);
  out.u32(regionType);
  out.put(table, OP_END, OP_END);
}
