/**
 * The x87 register stack and how an instruction commits (SDM volume 1, 8.1 and 8.5). An instruction collects its
 * exceptions in X87_EXCEPTIONS; `x87_commit` moves them to FSW and tells whether the result may be stored.
 */
import { type B, type Definition, define } from '../block.ts';
import { call, type E, i32, i64, select } from '../expr.ts';
import * as S from '../state.ts';
import {
  callExt,
  type Ext,
  exponent,
  FSW_BIT,
  INDEFINITE_SE,
  INDEFINITE_SIG,
  isDenormal,
  isNan,
  isSignaling,
  isSpecial,
  isUnsupported,
  isZero,
  returnExt,
  sign,
  signal,
} from './ext80.ts';

export const CONDITION_CODES: number = FSW_BIT.C3 | FSW_BIT.C2 | FSW_BIT.C1 | FSW_BIT.C0;

/** Number of the physical register that is ST(i). */
function physical(b: B, i: E | number): E {
  return b.let(b.state32(S.FSW).shrU(11).add(i).and(7));
}
export function isEmpty(b: B, i: E | number): E {
  return b.let(b.state32(S.FTW).shrU(physical(b, i)).and(1).eqz());
}
export function readStack(b: B, i: E | number): Ext {
  const address = b.let(b.cpu.add(physical(b, i).shl(4)));
  return {
    sig: b.hostLoad('i64.load', address, S.X87),
    se: b.hostLoad('i32.load16_u', address, S.X87 + 8),
  };
}
/** Writes ST(i) and marks it full. */
export function writeStack(b: B, i: E | number, x: Ext): void {
  const n = physical(b, i);
  const address = b.let(b.cpu.add(n.shl(4)));
  b.hostStore('i64.store', address, x.sig, S.X87);
  b.hostStore('i32.store16', address, x.se, S.X87 + 8);
  b.setState32(S.FTW, b.state32(S.FTW).or(i32(1).shl(n)));
}
/** Adds `n` to TOP. */
export function moveTop(b: B, n: number): void {
  const fsw = b.state32(S.FSW);
  b.setState32(S.FSW, fsw.and(~0x3800).or(fsw.add(n << 11).and(0x3800)));
}
export function popStack(b: B): void {
  const bit = i32(1).shl(physical(b, 0));
  b.setState32(S.FTW, b.state32(S.FTW).and(bit.not()));
  moveTop(b, 1);
}
export const INDEFINITE: Ext = { sig: i64(INDEFINITE_SIG), se: i32(INDEFINITE_SE) };

/** Replaces the exceptions so far by a stack underflow. */
export function stackUnderflow(b: B): void {
  b.setState32(S.X87_EXCEPTIONS, FSW_BIT.IE | FSW_BIT.SF);
}
export function stackOverflow(b: B): void {
  b.setState32(S.X87_EXCEPTIONS, FSW_BIT.IE | FSW_BIT.SF | FSW_BIT.C1);
}
/** A value that two branches give. */
export function extVariable(b: B): { get: () => Ext; set: (x: Ext) => void } {
  const sig = b.var('i64');
  const se = b.var('i32');
  return {
    get: () => ({ sig: sig.get(), se: se.get() }),
    set: (x) => {
      sig.set(x.sig);
      se.set(x.se);
    },
  };
}
/** `value`, or the default NaN and a stack underflow when `empty`. */
export function unlessEmpty(b: B, empty: E, value: () => Ext): Ext {
  const result = extVariable(b);
  b.if(
    empty,
    () => {
      stackUnderflow(b);
      result.set(INDEFINITE);
    },
    () => result.set(value()),
  );
  return result.get();
}
export function ifCommitted(b: B, then: () => void): void {
  b.if(call('x87_commit', 'i32'), then);
}

/** ES and B from the flags and masks. */
const summarise = define('x87_summarise', [], null, (b) => {
  const fsw = b.let(b.state32(S.FSW).and(0x7f7f));
  const pending = fsw.and(b.state32(S.FCW).not()).and(0x3f);
  b.setState32(S.FSW, fsw.or(select(pending.ne(0), i32(FSW_BIT.ES | FSW_BIT.B), i32(0))));
});

const commit = define('x87_commit', [], 'i32', (b) => {
  const all = b.state32(S.X87_EXCEPTIONS);
  const unmasked = b.let(b.state32(S.FCW).not().and(0x3f));
  // ES was clear when the instruction began, and stays so
  b.if(all.and(unmasked).eqz(), () => {
    b.setState32(S.FSW, b.state32(S.FSW).and(~FSW_BIT.C1).or(all));
    b.return(i32(1));
  });
  const early = FSW_BIT.IE | FSW_BIT.DE | FSW_BIT.ZE;
  const stopped = b.let(all.and(unmasked).and(early).ne(0));
  // an exception found before the operation keeps the later ones from happening
  const late = FSW_BIT.OE | FSW_BIT.UE | FSW_BIT.PE;
  const lost = b.let(select(stopped, select(all.and(FSW_BIT.SF), i32(late), i32(late | FSW_BIT.C1)), i32(0)));
  const exceptions = b.let(all.and(lost.not()));
  b.setState32(S.FSW, b.state32(S.FSW).and(~FSW_BIT.C1).or(exceptions));
  b.callVoid('x87_summarise');
  b.return(stopped.eqz());
});

/** Whether a store to memory happens: no exception but PE may be unmasked. */
const storable = define('x87_storable', [], 'i32', (b) => {
  const unmasked = b.state32(S.X87_EXCEPTIONS).and(b.state32(S.FCW).not());
  b.return(unmasked.and(0x1f).eqz());
});

/** Ends a store: exceptions to FSW; pops unless the store was suppressed. */
const finishStore = define('x87_finish_store', ['i32'], null, (b, pop) => {
  const stored = b.let(call('x87_storable', 'i32'));
  // a suppressed store rounds nothing
  const kept = select(stored, i32(-1), i32(~(FSW_BIT.PE | FSW_BIT.C1)));
  b.setState32(S.X87_EXCEPTIONS, b.state32(S.X87_EXCEPTIONS).and(kept));
  b.if(call('x87_commit', 'i32'), () => {});
  b.if(stored.and(pop), () => popStack(b));
});

const push = define('x87_push', ['i64', 'i32'], null, (b, sig, se) => {
  const value = extVariable(b);
  value.set({ sig, se });
  b.if(isEmpty(b, 7).eqz(), () => {
    stackOverflow(b);
    value.set(INDEFINITE);
  });
  // an unmasked denormal operand of FLD is loaded all the same
  const committed = call('x87_commit', 'i32').or(b.state32(S.X87_EXCEPTIONS).and(FSW_BIT.IE).eqz());
  b.if(committed, () => {
    moveTop(b, -1);
    writeStack(b, 0, value.get());
  });
});

function load(name: string, widening: string): Definition {
  return define(name, ['i64'], null, (b, bits) => {
    const x = callExt(b, widening, bits);
    signal(b, b.state32(S.X87_DENORMAL));
    b.if(isSignaling(x), () => signal(b, FSW_BIT.IE));
    b.callVoid('x87_push', x.sig.or(select(isNan(x), i64(1n << 62n), i64(0))), x.se);
  });
}

/** FLD ST(i). */
const loadStack = define('x87_load_st', ['i32'], null, (b, i) => {
  b.if(isEmpty(b, i).and(isEmpty(b, 7).eqz()), () => {
    // underflow comes before overflow
    stackUnderflow(b);
    ifCommitted(b, () => {
      moveTop(b, -1);
      writeStack(b, 0, INDEFINITE);
    });
    b.return();
  });
  const x = unlessEmpty(b, isEmpty(b, i), () => readStack(b, i));
  b.callVoid('x87_push', x.sig, x.se);
});

/** FST/FSTP ST(i). */
const storeStack = define('x87_store_st', ['i32', 'i32'], null, (b, i, pop) => {
  const x = unlessEmpty(b, isEmpty(b, 0), () => readStack(b, 0));
  ifCommitted(b, () => {
    writeStack(b, i, x);
    b.if(pop, () => popStack(b));
  });
});

/** FSTPNCE: as FSTP, but an empty ST(0) is only popped. */
const storePopQuietly = define('x87_store_pop_quietly', ['i32'], null, (b, i) => {
  b.if(isEmpty(b, 0).eqz(), () => writeStack(b, i, readStack(b, 0)));
  popStack(b);
  b.setState32(S.FSW, b.state32(S.FSW).and(~FSW_BIT.C1));
});

/** ST(0) op ST(i) → ST(destination). */
const arithStack = define(
  'x87_arith_st',
  ['i32', 'i32', 'i32', 'i32'],
  null,
  (b, op, i, destination, pop) => {
    const r = unlessEmpty(b, isEmpty(b, 0).or(isEmpty(b, i)), () => {
      const x = readStack(b, 0);
      const y = readStack(b, i);
      return callExt(b, 'ext80_operation', op, x.sig, x.se, y.sig, y.se, b.state32(S.FCW));
    });
    ifCommitted(b, () => {
      writeStack(b, destination, r);
      b.if(pop, () => popStack(b));
    });
  },
);

/** ST(0) op a memory operand → ST(0). */
const arithMemory = define('x87_arith_mem', ['i32', 'i64', 'i32'], null, (b, op, sig, se) => {
  const r = unlessEmpty(b, isEmpty(b, 0), () => {
    const x = readStack(b, 0);
    return callExt(b, 'ext80_operation', op, x.sig, x.se, sig, se, b.state32(S.FCW));
  });
  ifCommitted(b, () => writeStack(b, 0, r));
});

function clearConditionCodes(b: B): void {
  b.setState32(S.FSW, b.state32(S.FSW).and(~CONDITION_CODES));
}
const UNORDERED = FSW_BIT.C3 | FSW_BIT.C2 | FSW_BIT.C0;

/** Compares ST(0), pops `pops` times; unless `empty`, in which case the result is unordered. */
function compareAndPop(b: B, empty: E, y: () => Ext, quiet: E, pops: E): void {
  clearConditionCodes(b);
  const codes = b.var('i32', UNORDERED);
  b.if(
    empty,
    () => stackUnderflow(b),
    () => {
      const x = readStack(b, 0);
      const value = y();
      codes.set(call('ext80_compare', 'i32', x.sig, x.se, value.sig, value.se, quiet));
    },
  );
  signal(b, codes.get());
  ifCommitted(b, () => {
    b.if(pops.ne(0), () => popStack(b));
    b.if(pops.eq(2), () => popStack(b));
  });
}
const compareStack = define('x87_compare_st', ['i32', 'i32', 'i32'], null, (b, i, quiet, pops) => {
  compareAndPop(b, isEmpty(b, 0).or(isEmpty(b, i)), () => readStack(b, i), quiet, pops);
});
const compareMemory = define('x87_compare_mem', ['i64', 'i32', 'i32'], null, (b, sig, se, pops) => {
  compareAndPop(b, isEmpty(b, 0), () => ({ sig, se }), i32(0), pops);
});

/** FCOMI and its kin: gives ZF PF CF at their places in RFLAGS. C1 only changes with a stack fault. */
const compareFlags = define('x87_compare_flags', ['i32', 'i32', 'i32'], 'i32', (b, i, quiet, pop) => {
  const codes = b.var('i32', UNORDERED);
  const kept = b.var('i32', 0);
  b.if(
    isEmpty(b, 0).or(isEmpty(b, i)),
    () => stackUnderflow(b),
    () => {
      kept.set(b.state32(S.FSW).and(FSW_BIT.C1));
      const x = readStack(b, 0);
      const y = readStack(b, i);
      codes.set(call('ext80_compare', 'i32', x.sig, x.se, y.sig, y.se, quiet));
    },
  );
  ifCommitted(b, () => b.if(pop, () => popStack(b)));
  b.setState32(S.FSW, b.state32(S.FSW).or(kept.get()));
  b.return(codes.get().shrU(8));
});

/** FXAM. */
const examine = define('x87_examine', [], null, (b) => {
  const x = readStack(b, 0);
  const { C0, C1, C2, C3 } = FSW_BIT;
  const codes = select(
    isEmpty(b, 0),
    i32(C3 | C0),
    select(
      isUnsupported(x),
      i32(0),
      select(
        isNan(x),
        i32(C0),
        select(
          isSpecial(x),
          i32(C2 | C0),
          select(isZero(x), i32(C3), select(isDenormal(x), i32(C3 | C2), i32(C2))),
        ),
      ),
    ),
  );
  const all = b.let(codes.or(select(sign(x), i32(C1), i32(0))));
  clearConditionCodes(b);
  b.setState32(S.FSW, b.state32(S.FSW).or(all));
});

/** FXCH. */
const exchange = define('x87_exchange', ['i32'], null, (b, i) => {
  const value = (n: E | number): Ext => {
    const r = extVariable(b);
    r.set(readStack(b, n));
    b.if(isEmpty(b, n), () => {
      stackUnderflow(b);
      r.set(INDEFINITE);
    });
    return r.get();
  };
  const x = value(0);
  const y = value(i);
  ifCommitted(b, () => {
    writeStack(b, i, x);
    writeStack(b, 0, y);
  });
});

/** FCMOVcc. */
const move = define('x87_move', ['i32', 'i32'], null, (b, condition, i) => {
  b.if(isEmpty(b, 0).or(isEmpty(b, i)), () => {
    stackUnderflow(b);
    ifCommitted(b, () => writeStack(b, 0, INDEFINITE));
    b.return();
  });
  b.if(condition, () => writeStack(b, 0, readStack(b, i)));
});

/** FABS and FCHS: ST(0)'s sign and `and`, then xor. */
const changeSign = define('x87_sign', ['i32', 'i32'], null, (b, and, xor) => {
  const r = unlessEmpty(b, isEmpty(b, 0), () => {
    const x = readStack(b, 0);
    return { sig: x.sig, se: b.let(x.se.and(and).xor(xor)) };
  });
  ifCommitted(b, () => writeStack(b, 0, r));
});

const free = define('x87_free', ['i32'], null, (b, i) => {
  b.setState32(S.FTW, b.state32(S.FTW).and(i32(1).shl(physical(b, i)).not()));
  b.setState32(S.FSW, b.state32(S.FSW).and(~FSW_BIT.C1));
});
const freePop = define('x87_free_pop', ['i32'], null, (b, i) => {
  b.callVoid('x87_free', i);
  popStack(b);
});
const rotate = define('x87_rotate', ['i32'], null, (b, n) => {
  const fsw = b.state32(S.FSW);
  b.setState32(S.FSW, fsw.and(~(0x3800 | FSW_BIT.C1)).or(fsw.add(n.shl(11)).and(0x3800)));
});

/** Value of ST(0) for a store: reads it, or signals a stack underflow and gives the default NaN. */
const storeValue = define('x87_store_value', [], 'i64', (b) => {
  const x = unlessEmpty(b, isEmpty(b, 0), () => readStack(b, 0));
  returnExt(b, x.sig, x.se);
});

/** ST(0) as the bits of a single or double for a store. */
function storeNarrow(name: string, narrowing: string, indefinite: bigint): Definition {
  return define(name, [], 'i64', (b) => {
    b.if(isEmpty(b, 0), () => {
      stackUnderflow(b);
      b.return(i64(indefinite));
    });
    const x = readStack(b, 0);
    b.return(call(narrowing, 'i64', x.sig, x.se, b.state32(S.FCW)));
  });
}

/** ST(0) as an integer of `bits` for a store. */
const storeInteger = define('x87_store_int', ['i32', 'i32'], 'i64', (b, bits, truncate) => {
  b.if(isEmpty(b, 0), () => {
    stackUnderflow(b);
    b.return(i64(1).shl(bits.sub(1).u64()).neg());
  });
  const x = readStack(b, 0);
  const control = b.state32(S.FCW).or(select(truncate, i32(0xc00), i32(0)));
  b.return(call('ext80_to_int', 'i64', x.sig, x.se, control, bits));
});

/** ST(0) as packed decimal for a store: low 8 bytes in X87_LOW. */
const storeDecimal = define('x87_store_bcd', [], 'i64', (b) => {
  b.if(isEmpty(b, 0), () => {
    stackUnderflow(b);
    b.setState64(S.X87_LOW, 0xc000000000000000n);
    b.return(i64(0xffff));
  });
  const x = readStack(b, 0);
  b.return(call('ext80_to_bcd', 'i64', x.sig, x.se, b.state32(S.FCW)));
});

/** The full tag word from the abridged one and the registers' contents. */
const tagWord = define('x87_tag_word', [], 'i32', (b) => {
  const tags = b.var('i32', 0);
  const n = b.var('i32', 0);
  b.loop(() => {
    b.if(n.get().eq(8), () => b.break());
    const address = b.let(b.cpu.add(n.get().shl(4)));
    const x = {
      sig: b.hostLoad('i64.load', address, S.X87),
      se: b.hostLoad('i32.load16_u', address, S.X87 + 8),
    };
    const special = isSpecial(x).or(exponent(x).eq(0)).or(x.sig.geS(0));
    const kind = select(isZero(x), i32(1), select(special, i32(2), i32(0)));
    const full = b.state32(S.FTW).shrU(n.get()).and(1);
    tags.set(tags.get().or(select(full, kind, i32(3)).shl(n.get().shl(1))));
    n.set(n.get().add(1));
  });
  b.return(tags.get());
});
const setTagWord = define('x87_set_tag_word', ['i32'], null, (b, word) => {
  // a register is empty when both of its bits are set
  const pairs = b.var('i32', word.and(word.shrU(1)).xor(-1).and(0x5555));
  pairs.set(pairs.get().or(pairs.get().shrU(1)).and(0x3333));
  pairs.set(pairs.get().or(pairs.get().shrU(2)).and(0x0f0f));
  b.setState32(S.FTW, pairs.get().or(pairs.get().shrU(4)).and(0xff));
});

const initialise = define('x87_init', [], null, (b) => {
  b.setState32(S.FCW, 0x37f);
  b.setState32(S.FSW, 0);
  b.setState32(S.FTW, 0);
  b.setState32(S.FOP, 0);
  b.setState64(S.FIP, 0n);
  b.setState64(S.FDP, 0n);
  b.setState32(S.FCS, 0);
  b.setState32(S.FDS, 0);
});
/** Writes FCW and updates ES. */
const setControl = define('x87_set_control', ['i32'], null, (b, value) => {
  b.setState32(S.FCW, value.and(0x1f3f).or(0x40));
  b.callVoid('x87_summarise');
});

export const X87_STACK: readonly Definition[] = [
  summarise,
  commit,
  storable,
  finishStore,
  push,
  load('x87_load_f32', 'ext80_from_f32'),
  load('x87_load_f64', 'ext80_from_f64'),
  loadStack,
  storeStack,
  storePopQuietly,
  arithStack,
  arithMemory,
  compareStack,
  compareMemory,
  compareFlags,
  examine,
  exchange,
  move,
  changeSign,
  free,
  freePop,
  rotate,
  storeValue,
  storeNarrow('x87_store_f32', 'ext80_to_f32', 0xffc00000n),
  storeNarrow('x87_store_f64', 'ext80_to_f64', 0xfff8000000000000n),
  storeInteger,
  storeDecimal,
  tagWord,
  setTagWord,
  initialise,
  setControl,
];
