/**
 * String instructions (SDM volume 1, 7.3.9). With REP each iteration is committed before the next, so a fault or an
 * interrupt in the middle leaves exact registers and RIP at the instruction.
 */
import { type Definition, define } from '../block.ts';
import { call, type E, i32, i64, type Ops, select } from '../ops.ts';
import * as S from '../state.ts';

/** Register ± delta under the address size. */
function advance(o: Ops, n: number, delta: E, mask: E): void {
  const old = o.reg(n);
  o.setReg(n, select(mask.eq(0xffff), old.and(~0xffffn), 0).or(old.add(delta).and(mask)));
}
function step(o: Ops): E {
  return o.let(select(o.state64(S.RFLAGS_SYSTEM).and(S.FLAG.DF).ne(0), i64(-o.size), i64(o.size)));
}
/** Linear addresses of the elements at (R/E)SI and (R/E)DI. */
function sourceAt(o: Ops, base: E, mask: E): E {
  return o.linear(base, o.let(o.reg(6).and(mask)), o.sourceSegment, o.size, false);
}
function targetAt(o: Ops, base: E, mask: E, write: boolean): E {
  return o.linear(base, o.let(o.reg(7).and(mask)), i32(S.SEG.ES), o.size, write);
}
/** Ends the instruction to be resumed when somebody wants attention, or in single-step mode. */
function poll(o: Ops): void {
  o.if(attention(o), () => {
    countLast(o);
    o.jump(o.rip);
  });
}
function attention(o: Ops): E {
  const stepping = o.state32(S.BLOCK_MODE).and(S.BLOCK_MODE_BIT.STEP);
  return o.hostLoad('i32.load', o.cpu, 0).or(stepping).or(o.state32(S.BUDGET).leS(0));
}
/**
 * Charges `n` elements: where instructions are counted exactly each is one, otherwise 128 bytes moved at once cost
 * about as much as an instruction.
 */
function charge(o: Ops, n: E): void {
  const cost = select(o.state32(S.EXACT_COUNT), n, n.mul(o.size).shrU(7));
  o.setState32(S.BUDGET, o.state32(S.BUDGET).sub(cost.wrap()));
}
/** The last element was charged, and is counted once more as the instruction that ends. */
function countLast(o: Ops): void {
  o.setState32(S.BUDGET, o.state32(S.BUDGET).add(o.state32(S.EXACT_COUNT)));
}
/** At most so many elements that the budget holds, where it counts exactly; the instruction is alone in its block then. */
function affordable(o: Ops, count: E): E {
  const n = o.var('i64', count);
  o.if(o.state32(S.EXACT_COUNT), () => {
    const left = o.let(o.state32(S.BUDGET).s64());
    o.if(left.ltU(count), () => n.set(left));
  });
  return n.get();
}
/** The count register under the address size; ends a loop (or the instruction) at zero. */
function remaining(o: Ops, mask: E): E {
  const count = o.let(o.reg(1).and(mask));
  o.if(count.eqz(), () => o.break());
  return count;
}

function repeat(
  o: Ops,
  mask: E,
  once: () => void,
  chunk: ((count: E) => E) | null,
  advanceBy: (n: E) => void,
): void {
  o.if(
    o.repeat.eqz(),
    () => {
      once();
      advanceBy(i64(1));
    },
    () =>
      o.loop(() => {
        const count = remaining(o, mask);
        const done = o.var('i64', 0);
        if (chunk !== null) done.set(chunk(affordable(o, count)));
        o.if(done.get().eqz(), () => {
          once();
          done.set(1);
        });
        const n = o.let(done.get());
        advance(o, 1, i64(0).sub(n), mask);
        advanceBy(n);
        charge(o, n);
        o.if(
          count.ne(n),
          () => poll(o),
          () => countLast(o),
        );
      }),
  );
}

export function movs(o: Ops): void {
  const mask = o.addressMask;
  const delta = step(o);
  const from = o.sourceSegmentBase;
  const to = o.segmentBase(S.SEG.ES);
  const source = (): E => sourceAt(o, from, mask);
  const target = (): E => targetAt(o, to, mask, true);
  repeat(
    o,
    mask,
    () => o.store(o.size, target(), o.load(o.size, source())),
    (count) => call('rep_movs', 'i64', source(), target(), count, i32(o.size)),
    (n) => {
      const bytes = o.let(n.mul(delta));
      advance(o, 6, bytes, mask);
      advance(o, 7, bytes, mask);
    },
  );
}
export function stos(o: Ops): void {
  const mask = o.addressMask;
  const delta = step(o);
  const to = o.segmentBase(S.SEG.ES);
  const target = (): E => targetAt(o, to, mask, true);
  const value = o.reg(0, o.size);
  repeat(
    o,
    mask,
    () => o.store(o.size, target(), value),
    (count) => call('rep_stos', 'i64', target(), value, count, i32(o.size)),
    (n) => advance(o, 7, o.let(n.mul(delta)), mask),
  );
}
export function lods(o: Ops): void {
  const mask = o.addressMask;
  const delta = step(o);
  const from = o.sourceSegmentBase;
  repeat(
    o,
    mask,
    () => o.setReg(0, o.load(o.size, sourceAt(o, from, mask)), o.size),
    null,
    (n) => advance(o, 6, o.let(n.mul(delta)), mask),
  );
}

/**
 * CMPS and SCAS: REPE goes on while equal, REPNE while not. RFLAGS change only where the instruction stops: a fault
 * in the middle leaves them as they were.
 */
function compare(o: Ops, mask: E, operands: () => [E, E], advanceOnce: () => void): void {
  const flags = ([a, b]: [E, E]): void => o.flagsSub(a, b, o.let(a.sub(b)));
  o.if(
    o.repeat.eqz(),
    () => {
      flags(operands());
      advanceOnce();
    },
    () =>
      o.loop(() => {
        const count = remaining(o, mask);
        const pair = operands();
        advance(o, 1, i64(-1), mask);
        advanceOnce();
        o.setState32(S.BUDGET, o.state32(S.BUDGET).sub(o.state32(S.EXACT_COUNT)));
        const wanted = o.repeat.eq(S.RECORD_FLAG.REP);
        o.if(o.let(pair[0].eq(pair[1])).ne(wanted).or(count.eq(1)), () => {
          flags(pair);
          countLast(o);
          o.break();
        });
        o.if(attention(o), () => {
          flags(pair);
          countLast(o);
          o.jump(o.rip);
        });
      }),
  );
}
export function cmps(o: Ops): void {
  const mask = o.addressMask;
  const delta = step(o);
  const from = o.sourceSegmentBase;
  const to = o.segmentBase(S.SEG.ES);
  compare(
    o,
    mask,
    () => {
      const b = o.load(o.size, targetAt(o, to, mask, false)); // silicon looks here first
      return [o.load(o.size, sourceAt(o, from, mask)), b];
    },
    () => {
      advance(o, 6, delta, mask);
      advance(o, 7, delta, mask);
    },
  );
}
export function scas(o: Ops): void {
  const mask = o.addressMask;
  const delta = step(o);
  const to = o.segmentBase(S.SEG.ES);
  const a = o.reg(0, o.size);
  compare(
    o,
    mask,
    () => [a, o.load(o.size, targetAt(o, to, mask, false))],
    () => advance(o, 7, delta, mask),
  );
}

/** How many elements of `size` from `va` lie in its page. */
function room(va: E, size: E): E {
  return i64(4096).sub(va.and(0xfff)).divU(size.u64());
}
/** Host address when `va` is in the TLB with the tag at `tag`, else 0. */
const tlbLookup = define('tlb_lookup', ['i64', 'i32'], 'i32', (b, va, tag) => {
  const entry = b.let(
    b.state32(S.TLB_TABLE).add(
      va
        .shrU(12)
        .wrap()
        .and(S.TLB_ENTRIES - 1)
        .shl(5),
    ),
  );
  const offset = b.let(va.xor(b.hostLoad('i64.load', entry.add(tag))));
  b.if(offset.gtU(4095), () => b.return(i32(0)));
  b.return(b.hostLoad('i32.load', entry, 16).add(offset.wrap()));
});

/** Moves as many elements upwards as lie in both pages; 0 = do one the slow way. */
const repMovs = define('rep_movs', ['i64', 'i64', 'i64', 'i32'], 'i64', (b, from, to, count, size) => {
  b.if(
    b
      .state64(S.RFLAGS_SYSTEM)
      .and(S.FLAG.DF)
      .ne(0)
      .or(b.state32(S.BLOCK_MODE).and(S.BLOCK_MODE_BIT.STEP | S.BLOCK_MODE_BIT.SEGMENTED)),
    () => b.return(i64(0)),
  );
  const source = b.let(call('tlb_lookup', 'i32', from, i32(0)));
  const target = b.let(call('tlb_lookup', 'i32', to, i32(8)));
  b.if(source.eqz().or(target.eqz()), () => b.return(i64(0)));
  const n = b.var('i64', count);
  const a = b.let(room(from, size));
  const z = b.let(room(to, size));
  b.if(a.ltU(n.get()), () => n.set(a));
  b.if(z.ltU(n.get()), () => n.set(z));
  const bytes = b.let(n.get().wrap().mul(size));
  // an overlap above the source repeats a pattern: element by element
  b.if(target.sub(source).ltU(bytes).and(target.ne(source)), () => b.return(i64(0)));
  b.hostCopy(target, source, bytes);
  b.return(n.get());
});

const repStos = define('rep_stos', ['i64', 'i64', 'i64', 'i32'], 'i64', (b, to, value, count, size) => {
  b.if(
    b
      .state64(S.RFLAGS_SYSTEM)
      .and(S.FLAG.DF)
      .ne(0)
      .or(b.state32(S.BLOCK_MODE).and(S.BLOCK_MODE_BIT.STEP | S.BLOCK_MODE_BIT.SEGMENTED)),
    () => b.return(i64(0)),
  );
  const target = b.let(call('tlb_lookup', 'i32', to, i32(8)));
  b.if(target.eqz(), () => b.return(i64(0)));
  const n = b.var('i64', count);
  const z = b.let(room(to, size));
  b.if(z.ltU(n.get()), () => n.set(z));
  b.if(size.eq(1).or(value.eqz()), () => {
    b.hostFill(target, value.wrap(), n.get().wrap().mul(size));
    b.return(n.get());
  });
  const i = b.var('i32', 0);
  const end = b.let(n.get().wrap().mul(size));
  b.while(
    () => i.get().ltU(end),
    () => {
      const at = b.let(target.add(i.get()));
      b.if(size.eq(8), () => b.hostStore('i64.store', at, value));
      b.if(size.eq(4), () => b.hostStore('i64.store32', at, value));
      b.if(size.eq(2), () => b.hostStore('i64.store16', at, value));
      i.set(i.get().add(size));
    },
  );
  b.return(n.get());
});

export const STRING_DEFINITIONS: readonly Definition[] = [tlbLookup, repMovs, repStos];
