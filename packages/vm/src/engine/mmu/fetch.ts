/** From RIP to the decoded block that starts there. */
import { type Definition, define } from '../../x86/block.ts';
import { call, type E, i32 } from '../../x86/expr.ts';
import { HAS_ERROR_CODE, VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { DEVICE, WALK_GLOBAL } from './walk.ts';

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
    b.hostStore('i64.store', entry, tag, S.ITLB);
    b.hostStore('i32.store', entry, host.sub(offset), S.ITLB + 8);
    b.hostStore('i32.store', entry, key, S.ITLB + 12);
  });
  b.return(host);
});

/**
 * Record of the block at RIP (state), entered into the jump cache; 0 = FAULT is set, or the code at FETCH_HOST has
 * to be decoded first.
 */
const findBlock = define('find_block', ['i64'], 'i32', (b, rip) => {
  b.if(rip.gtU(b.state64(S.CODE_LIMIT)), () => {
    b.setState32(S.FAULT, VECTOR.GP | HAS_ERROR_CODE);
    b.setState32(S.FAULT_CODE, 0);
    b.return(i32(0));
  });
  const linear = b.let(rip.add(b.state64(S.CODE_BASE)).and(b.state64(S.LINEAR_MASK)));
  const host = b.let(call('fetch_host', 'i32', linear));
  b.setState32(S.FETCH_HOST, host);
  b.if(host.eqz(), () => b.return(i32(0)));
  const mode = b.state32(S.BLOCK_MODE);
  const home = b.let(b.cpu.add(host.mul(S.BLOCK_HASH).shrU(S.BLOCK_HASH_SHIFT).shl(4)));
  const slot = b.var('i32', home);
  const matches = (): E =>
    b
      .hostLoad('i32.load', slot.get(), S.BLOCK_TABLE)
      .eq(host)
      .and(b.hostLoad('i32.load', slot.get(), S.BLOCK_TABLE + 4).eq(mode));
  b.if(matches().eqz(), () => {
    slot.set(home.xor(16));
    b.if(matches().eqz(), () => b.return(i32(0)));
  });
  const record = b.hostLoad('i32.load', slot.get(), S.BLOCK_TABLE + 8);
  const cached = b.let(
    b.cpu.add(
      rip
        .xor(rip.shrU(12))
        .wrap()
        .and(S.JUMP_CACHE_ENTRIES - 1)
        .shl(4),
    ),
  );
  b.hostStore('i64.store', cached, rip, S.JUMP_CACHE);
  b.hostStore('i32.store', cached, record, S.JUMP_CACHE + 8);
  b.hostStore('i32.store', cached, b.state32(S.JUMP_KEY), S.JUMP_CACHE + 12);
  b.return(record);
});

export const FETCH_DEFINITIONS: readonly Definition[] = [fetchHost, findBlock];
