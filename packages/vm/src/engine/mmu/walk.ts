/**
 * Address translation as warm functions: the 4-level page walk (SDM volume 3, 4.5), the fill of the software TLB
 * and guest-physical → host addresses. Access bits are those of engine/unit.ts ACCESS.
 */
import { type B, type Definition, define } from '../../x86/block.ts';
import { apply, call, type E, i32, i64, select } from '../../x86/expr.ts';
import { HAS_ERROR_CODE, VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';

const PTE = { P: 1, W: 2, U: 4, A: 0x20, D: 0x40, PS: 0x80, G: 0x100, NX: 1n << 63n };
const CR0_WP = 1 << 16;
const CR0_PG = 1n << 31n;
const CR4_PGE = 1 << 7;
const CR4_SMEP = 1 << 20;
const CR4_SMAP = 1 << 21;
const EFER_NXE = 1 << 11;
const ADDRESS_BITS = 0x000ffffffffff000n;

/** Results of `walk` beside its value: permissions of the page for the TLB fill (state WALK_FLAGS). */
export const WALK_WRITABLE = 1;
export const WALK_GLOBAL = 2;
export const WALK_USER = 4;
export const WALK_LARGE = 8;

/** The value of address functions when the address is not RAM. */
export const DEVICE = 1;

function pageFault(b: B, va: E, code: E): void {
  b.setState32(S.FAULT, VECTOR.PF | HAS_ERROR_CODE);
  b.setState32(S.FAULT_CODE, code);
  b.setState64(S.FAULT_ADDRESS, va);
  b.return(i32(0));
}

/** Guest-physical → host address of RAM, or DEVICE. */
const hostOf = define('host_of', ['i64'], 'i32', (b, gpa) => {
  const offset = b.var('i64', gpa);
  b.if(gpa.geU(b.state64(S.RAM_LOW_SIZE)), () => {
    offset.set(gpa.sub(1n << 32n));
    b.if(offset.get().geU(b.state64(S.RAM_HIGH_SIZE)), () => b.return(i32(DEVICE)));
    offset.set(offset.get().add(b.state64(S.RAM_LOW_SIZE)));
  });
  b.return(offset.get().wrap().add(b.state32(S.RAM_OFFSET)));
});

/**
 * Walks the page tables for one access at `va`: host address, DEVICE, or 0 with FAULT set. Sets accessed and dirty
 * bits, WALK_GPA and WALK_FLAGS.
 */
const walk = define('walk', ['i64', 'i32'], 'i32', (b, va, access) => {
  b.if(b.state64(S.CR0).and(CR0_PG).eqz(), () => {
    const gpa = b.let(va.and(0xffffffffn));
    b.setState64(S.WALK_GPA, gpa);
    b.setState32(S.WALK_FLAGS, WALK_WRITABLE | WALK_USER);
    b.return(call('host_of', 'i32', gpa));
  });
  // non-canonical: the run loop turns #GP into #SS where the operand's segment is SS
  b.if(va.shl(16).shrS(16).ne(va), () => {
    b.setState32(S.FAULT, VECTOR.GP | HAS_ERROR_CODE);
    b.setState32(S.FAULT_CODE, 0);
    b.setState32(S.FAULT_NON_CANONICAL, 1);
    b.return(i32(0));
  });
  const user = b.let(access.shrU(1).and(1));
  const write = b.let(access.and(1));
  const nxe = b.let(b.state64(S.EFER).wrap().and(EFER_NXE));
  // the I bit of an error code counts only with NX or SMEP
  const fetchBit = select(nxe.u64().or(b.state64(S.CR4).and(CR4_SMEP)).eqz(), i32(0), access.and(4).shl(2));
  const errorBits = b.let(write.shl(1).or(user.shl(2)).or(fetchBit));
  const reserved = b.let(
    b
      .state64(S.PHYSICAL_MASK)
      .not()
      .and(ADDRESS_BITS)
      .or(select(nxe, i64(0), i64(PTE.NX))),
  );
  const table = b.var('i64', b.state64(S.CR3).and(ADDRESS_BITS));
  const level = b.var('i32', 39);
  const allowed = b.var('i64', BigInt(PTE.W | PTE.U));
  const noExecute = b.var('i64', 0);
  b.loop(() => {
    const at = b.let(table.get().add(va.shrU(level.get().u64()).and(511).shl(3)));
    const host = b.let(call('host_of', 'i32', at));
    b.if(host.eq(DEVICE), () => pageFault(b, va, errorBits));
    const entry = b.let(apply('i64.atomic.load', [host], 0));
    b.if(entry.and(PTE.P).eqz(), () => pageFault(b, va, errorBits));
    const large = b.let(entry.and(PTE.PS).ne(0).and(level.get().ne(12)));
    const bad = b.var('i64', entry.and(reserved));
    b.if(large, () => {
      // PS in a PML4 entry is reserved; so are the address bits below a large page, but for PAT (bit 12)
      b.if(level.get().eq(39), () => bad.set(1));
      const below = i64(1)
        .shl(level.get().u64())
        .sub(1)
        .and(ADDRESS_BITS & ~0x1000n);
      bad.set(bad.get().or(entry.and(below)));
    });
    b.if(bad.get().ne(0), () => pageFault(b, va, errorBits.or(9)));
    allowed.set(allowed.get().and(entry));
    noExecute.set(noExecute.get().or(entry.and(PTE.NX)));
    b.if(large.or(level.get().eq(12)), () => {
      const userPage = b.let(allowed.get().and(PTE.U).wrap());
      const writable = b.let(allowed.get().and(PTE.W).wrap());
      const cr4 = b.let(b.state64(S.CR4).wrap());
      const denied = b.var('i32', access.and(4).ne(0).and(noExecute.get().ne(0)));
      b.if(
        user,
        () => {
          denied.set(denied.get().or(userPage.eqz()).or(write.and(writable.eqz())));
        },
        () => {
          const wp = b.state64(S.CR0).wrap().and(CR0_WP).ne(0);
          denied.set(denied.get().or(write.and(writable.eqz()).and(wp)));
          b.if(userPage, () => {
            b.if(access.and(4), () => {
              denied.set(denied.get().or(cr4.and(CR4_SMEP).ne(0)));
            });
            // SMAP: an explicit supervisor access passes with AC; an implicit one (CPL 3) never
            const ac = b.state64(S.RFLAGS_SYSTEM).and(S.FLAG.AC).ne(0).and(b.state32(S.CPL).ne(3));
            b.if(access.and(4).eqz().and(cr4.and(CR4_SMAP).ne(0)).and(ac.eqz()), () => denied.set(1));
          });
        },
      );
      b.if(denied.get(), () => pageFault(b, va, errorBits.or(1)));
      const update = b.let(i64(PTE.A).or(write.u64().shl(6)));
      b.if(entry.and(update).ne(update), () => {
        b.drop(apply('i64.atomic.rmw.or', [host, update], 0));
      });
      const global = entry.and(PTE.G).ne(0).and(cr4.and(CR4_PGE).ne(0));
      const dirty = b.let(entry.or(update).and(PTE.D).ne(0));
      const readOnly = writable.eqz().and(user.or(b.state64(S.CR0).wrap().and(CR0_WP).ne(0)));
      b.setState32(S.WALK_FLAGS, dirty.and(readOnly.eqz()).or(global.shl(1)).or(userPage).or(large.shl(3)));
      const offset = b.let(va.and(i64(1).shl(level.get().u64()).sub(1)));
      const page = entry.and(ADDRESS_BITS).and(i64(1).shl(level.get().u64()).sub(1).not());
      const gpa = b.let(page.or(offset));
      b.setState64(S.WALK_GPA, gpa);
      b.return(call('host_of', 'i32', gpa));
    });
    b.if(entry.and(PTE.A).eqz(), () => {
      b.drop(apply('i64.atomic.rmw.or', [host, i64(PTE.A)], 0));
    });
    table.set(entry.and(ADDRESS_BITS));
    level.set(level.get().sub(9));
  });
});

/** Host address of the page-flag byte of the RAM page at host address `host`. */
export function pageFlag(b: B, host: E): E {
  return b.let(host.sub(b.state32(S.RAM_OFFSET)).shrU(12).add(b.state32(S.PAGE_FLAGS)));
}

/** Bit of LARGE_PAGES for the 2 MiB region of `va`: a Bloom filter with one hash (flush.ts repeats it). */
function largeBit(va: E): E {
  return va.shrU(21).wrap().and(0xfff);
}

const FLAG_DIRTY = 2;
const FLAG_CODE = 4;

/** Tag that matches no address whose TLB index is that of `va`. */
export function invalidTag(va: E): E {
  return va.and(0xfff000n).xor(0x1000n);
}

/** Enters a TLB entry into a journal of what to drop; one that overflows counts on. */
function note(b: B, entry: E, journal: number, counter: number): void {
  const count = b.let(b.state32(counter));
  b.if(count.ltU(S.JOURNAL_ENTRIES), () => {
    b.hostStore('i32.store', b.cpu.add(count.shl(2)), entry, journal);
  });
  b.setState32(counter, count.add(1));
}

/**
 * Walks and puts the page into the TLB of the current mode. Write permission is entered only once the page is
 * dirty, and never for pages with decoded code. Same results as `walk`.
 */
const fill = define('fill', ['i64', 'i32'], 'i32', (b, va, access) => {
  const host = b.let(call('walk', 'i32', va, access));
  b.if(host.leU(DEVICE), () => b.return(host));
  const flags = b.let(b.state32(S.WALK_FLAGS));
  const flagByte = pageFlag(b, host);
  b.if(flags.and(WALK_WRITABLE), () => {
    b.if(b.hostLoad('i32.load8_u', flagByte).and(FLAG_DIRTY).eqz(), () => {
      b.drop(apply('i32.atomic.rmw8.or_u', [flagByte, i32(FLAG_DIRTY)], 0));
    });
  });
  // with data breakpoints or alignment checks every access takes the slow path
  b.if(b.state32(S.DATA_BREAKPOINTS).or(b.state32(S.ALIGNMENT_CHECK)).eqz(), () => {
    const index = b.let(
      va
        .shrU(12)
        .wrap()
        .and(S.TLB_ENTRIES - 1),
    );
    const entry = b.let(b.state32(S.TLB_TABLE).add(index.mul(S.TLB_ENTRY)));
    const tag = b.let(va.and(~0xfffn));
    const none = invalidTag(va);
    const writable = flags
      .and(WALK_WRITABLE)
      .ne(0)
      .and(b.hostLoad('i32.load8_u', flagByte).and(FLAG_CODE).eqz());
    b.hostStore('i64.store', entry, tag, 0);
    b.hostStore('i64.store', entry, select(b.let(writable), tag, none), 8);
    b.hostStore('i32.store', entry, host.and(~0xfff), 16);
    b.hostStore('i32.store', entry, flags.and(WALK_GLOBAL | WALK_LARGE), 20);
    // INVLPG of a large page has to find its 4 KiB pieces: remember which 2 MiB regions may have some
    b.if(flags.and(WALK_LARGE), () => {
      const bit = b.let(largeBit(va));
      const word = b.let(b.cpu.add(bit.shrU(3).and(0x1fc)));
      b.hostStore(
        'i32.store',
        word,
        b.hostLoad('i32.load', word, S.LARGE_PAGES).or(i32(1).shl(bit)),
        S.LARGE_PAGES,
      );
    });
    b.if(
      flags.and(WALK_GLOBAL),
      () => note(b, entry, S.JOURNAL_GLOBAL, S.JOURNAL_GLOBAL_COUNT),
      () => note(b, entry, S.JOURNAL, S.JOURNAL_COUNT),
    );
  });
  b.return(host);
});

export const WALK_DEFINITIONS: readonly Definition[] = [hostOf, walk, fill];
