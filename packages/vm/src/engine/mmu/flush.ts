/**
 * What is dropped when translations change (SDM volume 3, 4.10.4): entries of the data TLBs, by the journals that `fill`
 * keeps, and what the jump cache and the instruction TLB know of one generation (x86/state.ts KEY_KERNEL).
 */
import { type B, type Definition, define } from '../../x86/block.ts';
import { call, type E, i32, select } from '../../x86/expr.ts';
import * as S from '../../x86/state.ts';
import { WALK_GLOBAL, WALK_LARGE } from './walk.ts';

/** In its place in JUMP_KEY. Empty entries of the caches have 0. */
export const FIRST_GENERATION = 0x200;
/** Bit of JUMP_KEY at CPL 3. */
const USER = 0x100;
const LARGE_PAGES_BYTES = 512;
/** Tables that are ever filled: user, kernel, kernel with AC. */
const FILLED_TABLES = 3;
const ENTRY_FLAGS = 20;

/** Gives the TLB entry at host address `entry` tags that no address with its index matches. */
function resetEntry(b: B, entry: E): void {
  const place = b.let(entry.sub(b.cpu).sub(S.TLB));
  const index = place.shrU(5).and(S.TLB_ENTRIES - 1);
  const tag = b.let(index.xor(1).shl(12).u64());
  b.hostStore('i64.store', entry, tag, 0);
  b.hostStore('i64.store', entry, tag, 8);
  b.hostStore('i32.store', entry, 0, 16);
}

/** Empties all TLBs. */
const resetTlbs = define('reset_tlbs', [], null, (b) => {
  const entry = b.var('i32', b.cpu.add(S.TLB));
  b.while(
    () => entry.get().ltU(b.cpu.add(S.TLB + 4 * S.TLB_BYTES)),
    () => {
      resetEntry(b, entry.get());
      entry.set(entry.get().add(S.TLB_ENTRY));
    },
  );
  b.setState32(S.JOURNAL_COUNT, 0);
  b.setState32(S.JOURNAL_GLOBAL_COUNT, 0);
});

/** Runs `body` for each entry of a journal, which an overflow makes the function empty all TLBs and return instead. */
function eachEntry(b: B, journal: number, counter: number, body: (entry: E) => void): void {
  const count = b.state32(counter);
  b.if(count.gtU(S.JOURNAL_ENTRIES), () => {
    b.callVoid('reset_tlbs');
    b.return();
  });
  const at = b.var('i32', b.cpu);
  const end = b.let(b.cpu.add(count.shl(2)));
  b.while(
    () => at.get().ltU(end),
    () => {
      body(b.hostLoad('i32.load', at.get(), journal));
      at.set(at.get().add(4));
    },
  );
}

/** Drops the TLB entries of a journal; one that has gone to a global page since stays, unless all go. */
function journalDrop(name: string, journal: number, counter: number, all: boolean): Definition {
  return define(name, [], null, (b) => {
    eachEntry(b, journal, counter, (entry) => {
      if (all) resetEntry(b, entry);
      else {
        const flags = b.hostLoad('i32.load', entry, ENTRY_FLAGS);
        b.if(flags.and(WALK_GLOBAL).eqz(), () => resetEntry(b, entry));
      }
    });
    b.setState32(counter, 0);
  });
}

/** Drops every piece of a large page that may lie in the 1 GiB around `va`. */
function journalInvalidate(name: string, journal: number, counter: number): Definition {
  return define(name, ['i64'], null, (b, va) => {
    eachEntry(b, journal, counter, (entry) => {
      const large = b.hostLoad('i32.load', entry, ENTRY_FLAGS).and(WALK_LARGE);
      const tag = b.hostLoad('i64.load', entry);
      const near = tag.shrS(30).eq(va.shrS(30));
      b.if(large.ne(0).and(near), () => resetEntry(b, entry));
    });
  });
}

/** Drops all translations of data, or all but global pages. */
const flushTlbs = define('flush_tlbs', ['i32'], null, (b, global) => {
  b.if(global.eqz(), () => {
    b.callVoid('drop_local');
    b.return();
  });
  b.callVoid('drop_all_local');
  b.callVoid('drop_global');
  b.hostFill(b.cpu.add(S.LARGE_PAGES), i32(0), i32(LARGE_PAGES_BYTES));
});

/**
 * The next generation for CPL 3 or below it. When the numbers are used up both begin again, with empty caches and without
 * decoded blocks, whose links have keys too.
 */
function advance(b: B, key: number, pages: number): void {
  const next = b.let(b.state32(key).add(FIRST_GENERATION));
  b.setState32(key, next);
  b.hostFill(b.cpu.add(pages), i32(0), i32(S.CODE_PAGES_BYTES));
  b.if(next.eqz(), () => {
    b.hostFill(b.cpu.add(S.ITLB), i32(0), i32(S.ITLB_ENTRIES * 16));
    b.hostFill(b.cpu.add(S.JUMP_CACHE), i32(0), i32(S.JUMP_CACHE_ENTRIES * 16));
    b.setState32(S.KEY_KERNEL, FIRST_GENERATION);
    b.setState32(S.KEY_USER, FIRST_GENERATION);
    b.callVoid('forget_blocks');
  });
}

/**
 * Makes the entries of the jump cache and the instruction TLB stale: those of CPL 3, and those below it if `kernel` or
 * if some of them may be about pages that move.
 */
const newGeneration = define('new_generation', ['i32'], null, (b, kernel) => {
  advance(b, S.KEY_USER, S.CODE_PAGES);
  b.if(kernel.or(b.state32(S.KERNEL_CODE_MOVES)), () => {
    advance(b, S.KEY_KERNEL, S.CODE_PAGES + S.CODE_PAGES_BYTES);
    b.setState32(S.KERNEL_CODE_MOVES, 0);
  });
  const user = b.let(b.state32(S.CPL).eq(3));
  const key = select(user, b.state32(S.KEY_USER).or(USER), b.state32(S.KEY_KERNEL));
  b.setState32(S.JUMP_KEY, key.or(b.state32(S.BLOCK_MODE)));
});

/** May instructions have come from the page of `va`, small or large, in this generation? */
const hasCode = define('has_code', ['i64', 'i32'], 'i32', (b, va, bitmap) => {
  const half = S.CODE_PAGES_BYTES * 4;
  const bit = (number: E): E => {
    const n = b.let(number);
    const word = b.hostLoad('i32.load', bitmap.add(n.shrU(3).and(-4)), S.CODE_PAGES);
    return b.let(word.shrU(n).and(1));
  };
  const hashed = (shift: number): E =>
    va
      .shrU(shift)
      .wrap()
      .and(half - 1);
  b.return(bit(hashed(12)).or(bit(hashed(30).or(half))));
});

/** INVLPG: drops the page of `va`, be it large. */
const invalidatePage = define('invalidate_page', ['i64'], null, (b, va) => {
  const index = va
    .shrU(12)
    .wrap()
    .and(S.TLB_ENTRIES - 1);
  const entry = b.let(b.cpu.add(S.TLB).add(index.mul(S.TLB_ENTRY)));
  for (let t = 0; t < FILLED_TABLES; t++) resetEntry(b, b.let(entry.add(t * S.TLB_BYTES)));
  const region = b.let(va.shrU(21).wrap().and(0xfff));
  const word = b.hostLoad('i32.load', b.cpu.add(region.shrU(3).and(0x1fc)), S.LARGE_PAGES);
  b.if(word.shrU(region).and(1), () => {
    b.callVoid('invalidate_local', va);
    b.callVoid('invalidate_global', va);
  });
  // most pages hold no code that anything knows by its address
  const kernel = b.let(call('has_code', 'i32', va, b.cpu.add(S.CODE_PAGES_BYTES)));
  b.if(kernel.or(call('has_code', 'i32', va, b.cpu)), () => b.callVoid('new_generation', kernel));
});

/** A change of CR3. */
const changeAddressSpace = define('change_address_space', [], null, (b) => {
  b.callVoid('drop_local');
  b.callVoid('new_generation', i32(0));
});

export const FLUSH_DEFINITIONS: readonly Definition[] = [
  resetTlbs,
  journalDrop('drop_local', S.JOURNAL, S.JOURNAL_COUNT, false),
  journalDrop('drop_all_local', S.JOURNAL, S.JOURNAL_COUNT, true),
  journalDrop('drop_global', S.JOURNAL_GLOBAL, S.JOURNAL_GLOBAL_COUNT, true),
  journalInvalidate('invalidate_local', S.JOURNAL, S.JOURNAL_COUNT),
  journalInvalidate('invalidate_global', S.JOURNAL_GLOBAL, S.JOURNAL_GLOBAL_COUNT),
  flushTlbs,
  newGeneration,
  hasCode,
  invalidatePage,
  changeAddressSpace,
];
