/** From RIP to the decoded block that starts there. */
import { type B, type Definition, define } from '../../x86/block.ts';
import { call, type E, i32, select } from '../../x86/expr.ts';
import { HAS_ERROR_CODE, VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { REGION_STATUS } from '../translate/region.ts';
import { FIRST_FORM, MICRO } from '../interp/handlers.ts';
import { DEVICE, WALK_GLOBAL, WALK_LARGE } from './walk.ts';

/** Remembers that instructions come from the page that was just walked. */
function noteCodePage(b: B, va: E): void {
  const large = b.state32(S.WALK_FLAGS).and(WALK_LARGE).ne(0);
  const half = S.CODE_PAGES_BYTES * 4;
  const number = b.let(
    select(
      large,
      va.shrU(30).wrap().or(half),
      va
        .shrU(12)
        .wrap()
        .and(half - 1),
    ).and(half * 2 - 1),
  );
  const bitmap = select(b.state32(S.CPL).eq(3), b.cpu, b.cpu.add(S.CODE_PAGES_BYTES));
  const word = b.let(bitmap.add(number.shrU(3).and(-4)));
  const bits = b.hostLoad('i32.load', word, S.CODE_PAGES);
  b.hostStore('i32.store', word, bits.or(i32(1).shl(number)), S.CODE_PAGES);
}

/** Host address of the instruction byte at a linear address; 0 = FAULT is set. Through the instruction TLB. */
const fetchHost = define('fetch_host', ['i64'], 'i32', (b, rip) => {
  const entry = b.let(
    b.cpu.add(
      rip
        .shrU(12)
        .wrap()
        .and(S.ITLB_ENTRIES - 1)
        .shl(4),
    ),
  );
  const tag = b.let(rip.and(~0xfffn));
  const key = b.state32(S.JUMP_KEY);
  const offset = b.let(rip.wrap().and(0xfff));
  b.if(
    b
      .hostLoad('i64.load', entry, S.ITLB)
      .eq(tag)
      .and(b.hostLoad('i32.load', entry, S.ITLB + 12).eq(key)),
    () => {
      b.return(b.hostLoad('i32.load', entry, S.ITLB + 8).add(offset));
    },
  );
  const host = b.let(call('walk', 'i32', rip, b.state32(S.CPL).eq(3).shl(1).or(4)));
  b.if(host.eq(DEVICE), () => {
    // no instruction can be fetched from device memory: all ones decode to an undefined instruction
    b.setState32(S.FAULT, VECTOR.UD);
    b.return(i32(0));
  });
  b.if(host.ne(0), () => {
    const global = b.state32(S.WALK_FLAGS).and(WALK_GLOBAL).ne(0);
    b.if(
      b
        .state32(S.CPL)
        .ne(3)
        .and(global.and(rip.ltS(0)).eqz()),
      () => b.setState32(S.KERNEL_CODE_MOVES, 1),
    );
    noteCodePage(b, rip);
    b.hostStore('i64.store', entry, tag, S.ITLB);
    b.hostStore('i32.store', entry, host.sub(offset), S.ITLB + 8);
    b.hostStore('i32.store', entry, key, S.ITLB + 12);
  });
  b.return(host);
});

/** Record of the block at linear address RIP, or 0: FAULT is set, or the code at FETCH_HOST has to be decoded first. */
const plainBlock = define('plain_block', ['i64'], 'i32', (b, rip) => {
  const linear = b.let(rip.add(b.state64(S.CODE_BASE)).and(b.state64(S.LINEAR_MASK)));
  const host = b.let(call('fetch_host', 'i32', linear));
  b.setState32(S.FETCH_HOST, host);
  b.if(host.eqz(), () => b.return(i32(0)));
  const mode = b.state32(S.BLOCK_MODE);
  const entry = b.let(b.cpu.add(host.mul(S.BLOCK_HASH).shrU(S.BLOCK_HASH_SHIFT).shl(2)));
  const block = b.var('i32', b.hostLoad('i32.load', entry, S.BLOCK_TABLE));
  b.while(
    () => block.get().ne(0),
    () => {
      const found = b
        .hostLoad('i32.load', block.get(), S.BLOCK.HOST)
        .eq(host)
        .and(b.hostLoad('i32.load', block.get(), S.BLOCK.MODE).eq(mode));
      b.if(found, () => b.return(block.get().add(S.BLOCK.SIZE)));
      block.set(b.hostLoad('i32.load', block.get(), S.BLOCK.NEXT));
    },
  );
  b.return(i32(0));
});

/**
 * Are the pages of the region in `slot`, entered at linear address `rip`, mapped as they were when it was made?
 * Touches them as fetching would; FAULT stays clear.
 */
const regionMapped = define('region_mapped', ['i64', 'i32'], 'i32', (b, rip, slot) => {
  const entry = b.let(b.cpu.add(slot.shl(S.REGION_SLOT_SHIFT)));
  const end = b.let(entry.add(b.hostLoad('i32.load', entry, S.REGION_TABLE).shl(3)));
  const at = b.var('i32', entry);
  const page = b.let(rip.and(~0xfffn));
  const mask = b.state64(S.LINEAR_MASK);
  b.while(
    () => at.get().ltU(end),
    () => {
      const delta = b.hostLoad('i64.load32_s', at.get(), S.REGION_TABLE + S.REGION_PAGES);
      const host = b.let(call('fetch_host', 'i32', page.add(delta.shl(12)).and(mask)));
      b.if(host.ne(b.hostLoad('i32.load', at.get(), S.REGION_TABLE + S.REGION_PAGES + 4)), () => {
        b.setState32(S.FAULT, 0);
        b.setState32(S.FAULT_NON_CANONICAL, 0);
        b.return(i32(0));
      });
      at.set(at.get().add(8));
    },
  );
  b.return(i32(1));
});

/** Host address of the jump-cache entry of `rip`, but for JUMP_CACHE. */
function jumpEntry(b: B, rip: E): E {
  const index = rip
    .xor(rip.shrU(12))
    .wrap()
    .and(S.JUMP_CACHE_ENTRIES - 1);
  return b.let(b.cpu.add(index.shl(4)));
}

/** What is at `rip` is looked up anew. */
export function forgetJump(b: B, rip: E): void {
  b.hostStore('i32.store', jumpEntry(b, rip), 0, S.JUMP_CACHE + 12);
}

/** What the jump cache gets for a block that has a region: the region, or for a while the block's own record. */
const regionOr = define('region_or', ['i64', 'i32', 'i32'], 'i32', (b, rip, record, slot) => {
  const heat = b.let(b.cpu.add(slot.shl(S.REGION_SLOT_SHIFT)));
  b.if(call('region_mapped', 'i32', rip, slot), () => {
    b.hostStore('i32.store', heat, S.HEAT_RETRY, S.REGION_TABLE + 4);
    b.return(slot.shl(3).or(1));
  });
  b.setState64(S.REGION_MISMATCHES, b.state64(S.REGION_MISMATCHES).add(1));
  const wait = b.hostLoad('i32.load', heat, S.REGION_TABLE + 4);
  b.hostStore('i32.store', record.sub(S.BLOCK.SIZE), wait, S.BLOCK.HEAT);
  b.if(wait.ltU(S.HEAT_RETRY_MOST), () => {
    b.hostStore('i32.store', heat, wait.shl(1), S.REGION_TABLE + 4);
  });
  b.return(record);
});

/**
 * What is at RIP (state), entered into the jump cache: the record of a block, or slot << 3 | 1 of a region that may
 * be entered; 0 = FAULT is set, or the code at FETCH_HOST has to be decoded first.
 */
const findBlock = define('find_block', ['i64'], 'i32', (b, rip) => {
  b.if(rip.gtU(b.state64(S.CODE_LIMIT)), () => {
    b.setState32(S.FAULT, VECTOR.GP | HAS_ERROR_CODE);
    b.setState32(S.FAULT_CODE, 0);
    b.return(i32(0));
  });
  const found = b.var('i32', call('plain_block', 'i32', rip));
  b.if(found.get().eqz(), () => b.return(i32(0)));
  const slot = b.hostLoad('i32.load', found.get().sub(S.BLOCK.SIZE), S.BLOCK.SLOT);
  b.if(slot, () => {
    b.if(b.state32(S.REGIONS_ON), () => {
      const linear = b.let(rip.add(b.state64(S.CODE_BASE)).and(b.state64(S.LINEAR_MASK)));
      found.set(call('region_or', 'i32', linear, found.get(), slot));
    });
  });
  const cached = jumpEntry(b, rip);
  b.hostStore('i64.store', cached, rip, S.JUMP_CACHE);
  b.hostStore('i32.store', cached, found.get(), S.JUMP_CACHE + 8);
  b.hostStore('i32.store', cached, b.state32(S.JUMP_KEY), S.JUMP_CACHE + 12);
  b.return(found.get());
});

/** Micro-operations that stand before an instruction's own record. */
const BEFORE = [MICRO.ADDRESS, MICRO.CHECKED_ADDRESS, MICRO.CROSSES, MICRO.FENCE].reduce(
  (m, n) => m | (1 << n),
  0,
);

/** Counts the instruction at `record`, which a region left to the interpreter, by its handler. */
const countLeft = define('count_left', ['i32'], null, (b, record) => {
  const at = b.var('i32', record);
  const handler = b.var('i32', b.hostLoad('i32.load16_u', record, S.REC.HANDLER));
  b.while(
    () => handler.get().ltU(FIRST_FORM).and(i32(BEFORE).shrU(handler.get())),
    () => {
      at.set(at.get().add(S.REC.SIZE));
      handler.set(b.hostLoad('i32.load16_u', at.get(), S.REC.HANDLER));
    },
  );
  const counter = b.let(b.cpu.add(handler.get().shl(2)));
  b.hostStore(
    'i32.store',
    counter,
    b.hostLoad('i32.load', counter, S.HANDLER_COUNTS).add(1),
    S.HANDLER_COUNTS,
  );
});

/** In place of a region that is no more. */
const regionVoid = define('region_void', [], 'i32', (b) => {
  forgetJump(b, b.state64(S.RIP));
  b.return(i32(REGION_STATUS.CHAIN));
});

export const FETCH_DEFINITIONS: readonly Definition[] = [
  fetchHost,
  plainBlock,
  regionMapped,
  regionOr,
  findBlock,
  countLeft,
  regionVoid,
];
