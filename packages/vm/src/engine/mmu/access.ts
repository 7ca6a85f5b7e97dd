/**
 * Guest memory accesses as warm functions. `load4(va)` and its siblings try the TLB, then the slow path: page walk,
 * page crossing, device memory, alignment check, data breakpoints, writes to decoded code. After any of them the
 * caller looks at FAULT.
 */
import { type B, type Definition, define } from '../../x86/block.ts';
import { apply, call, E, i32, i64 } from '../../x86/expr.ts';
import { HAS_ERROR_CODE, LOAD, STORE, VECTOR, vectorOf } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { DEVICE, pageFlag } from './walk.ts';

const WRITE = 1;
const CODE = 4;

/** Host address of the TLB entry for `va` in the table of the current mode. */
export function tlbEntry(b: B, va: E): E {
  return b.let(
    b.state32(S.TLB_TABLE).add(
      va
        .shrU(12)
        .wrap()
        .and(S.TLB_ENTRIES - 1)
        .shl(5),
    ),
  );
}
/** Offset of `va` in its page when the tag at `tagOffset` (0 read, 8 write) matches; huge otherwise. i64 */
export function tlbOffset(b: B, entry: E, tagOffset: number, va: E): E {
  return b.let(va.xor(b.hostLoad('i64.load', entry, tagOffset)));
}
/** Host address after a hit. */
export function tlbHost(b: B, entry: E, offset: E): E {
  return b.let(b.hostLoad('i32.load', entry, 16).add(offset.wrap()));
}

/** Access bit USER of the current privilege level. */
function user(b: B): E {
  return b.state32(S.CPL).eq(3).shl(1);
}

function loadBySize(b: B, host: E, bytes: E): void {
  for (const size of [1, 2, 4]) b.if(bytes.eq(size), () => b.return(b.hostLoad(LOAD[size] as string, host)));
  b.return(b.hostLoad('i64.load', host));
}

function storeBySize(b: B, host: E, bytes: E, value: E): void {
  b.if(bytes.eq(8), () => b.hostStore('i64.store', host, value));
  for (const size of [1, 2, 4]) b.if(bytes.eq(size), () => b.hostStore(STORE[size] as string, host, value));
}

/** #AC and data breakpoints; returns from the function when the access must not happen. */
function checks(b: B, va: E, bytes: E, access: E, leave: () => void): void {
  b.if(b.state32(S.ALIGNMENT_CHECK), () => {
    b.if(va.and(bytes.sub(1).u64()).ne(0), () => {
      b.setState32(S.FAULT, VECTOR.AC | HAS_ERROR_CODE);
      b.setState32(S.FAULT_CODE, 0);
      leave();
    });
  });
  b.if(b.state32(S.DATA_BREAKPOINTS), () => {
    b.callVoid('watch', va.wrap(), va.shrU(32).wrap(), bytes, access.and(WRITE));
  });
}

/** The instruction is executed alone first if devices want that. */
function leaveBefore(b: B, leave: () => void): void {
  b.if(b.state32(S.DEVICE_LEAVES), () => {
    b.setState32(S.FAULT, S.FAULT_DEVICE);
    leave();
  });
}

const deviceRead = define('device_read', ['i64', 'i32'], 'i64', (b, gpa, bytes) => {
  b.if(bytes.eq(8), () => {
    const low = b.let(call('mmio_read', 'i32', gpa.wrap(), gpa.shrU(32).wrap(), i32(4)).u64());
    const next = b.let(gpa.add(4));
    const high = call('mmio_read', 'i32', next.wrap(), next.shrU(32).wrap(), i32(4)).u64();
    b.return(low.or(high.shl(32)));
  });
  b.return(call('mmio_read', 'i32', gpa.wrap(), gpa.shrU(32).wrap(), bytes).u64());
});

const deviceWrite = define('device_write', ['i64', 'i32', 'i64'], null, (b, gpa, bytes, value) => {
  b.if(
    bytes.eq(8),
    () => {
      const next = b.let(gpa.add(4));
      b.callVoid('mmio_write', gpa.wrap(), gpa.shrU(32).wrap(), i32(4), value.wrap());
      b.callVoid('mmio_write', next.wrap(), next.shrU(32).wrap(), i32(4), value.shrU(32).wrap());
    },
    () => b.callVoid('mmio_write', gpa.wrap(), gpa.shrU(32).wrap(), bytes, value.wrap()),
  );
});

/** The slow load: `access` says whether write permission is wanted too (read-modify-write). */
const loadSlow = define('load_slow', ['i64', 'i32', 'i32'], 'i64', (b, va, bytes, wanted) => {
  const access = b.let(wanted.or(user(b)));
  checks(b, va, bytes, access, () => b.return(i64(0)));
  const first = b.let(call('fill', 'i32', va, access));
  b.if(first.eqz(), () => b.return(i64(0)));
  const room = b.let(i32(4096).sub(va.wrap().and(0xfff)));
  b.if(bytes.leU(room), () => {
    b.if(first.eq(DEVICE), () => {
      leaveBefore(b, () => b.return(i64(0)));
      b.return(call('device_read', 'i64', b.state64(S.WALK_GPA), bytes));
    });
    loadBySize(b, first, bytes);
  });
  const firstGpa = b.let(b.state64(S.WALK_GPA));
  const second = b.let(call('fill', 'i32', va.add(room.u64()), access));
  b.if(second.eqz(), () => b.return(i64(0)));
  b.if(first.eq(DEVICE).or(second.eq(DEVICE)), () => leaveBefore(b, () => b.return(i64(0))));
  const secondGpa = b.let(b.state64(S.WALK_GPA));
  const value = b.var('i64', 0);
  const i = b.var('i32', 0);
  b.while(
    () => i.get().ltU(bytes),
    () => {
      const inFirst = b.let(i.get().ltU(room));
      const byte = b.var('i64');
      const at = (base: E, other: E): E =>
        b.let(
          new E('select', base.ty, [
            base.add(base.ty === 'i64' ? i.get().u64() : i.get()),
            other.add(base.ty === 'i64' ? i.get().sub(room).u64() : i.get().sub(room)),
            inFirst,
          ]),
        );
      const host = b.let(new E('select', 'i32', [first, second, inFirst]));
      b.if(
        host.eq(DEVICE),
        () => byte.set(call('device_read', 'i64', at(firstGpa, secondGpa), i32(1))),
        () => byte.set(b.hostLoad('i64.load8_u', at(first, second))),
      );
      value.set(value.get().or(byte.get().shl(i.get().shl(3).u64())));
      i.set(i.get().add(1));
    },
  );
  b.return(value.get());
});

/** Tells the decoded-code cache about a write to RAM when the page holds decoded code. */
const noteWrite = define('note_write', ['i32', 'i32'], null, (b, host, bytes) => {
  const flag = b.hostLoad('i32.load8_u', pageFlag(b, host));
  b.if(flag.and(CODE), () => b.callVoid('code_written', host, bytes));
});

const storeSlow = define('store_slow', ['i64', 'i64', 'i32'], null, (b, va, value, bytes) => {
  const access = b.let(i32(WRITE).or(user(b)));
  checks(b, va, bytes, access, () => b.return());
  const first = b.let(call('fill', 'i32', va, access));
  b.if(first.eqz(), () => b.return());
  const room = b.let(i32(4096).sub(va.wrap().and(0xfff)));
  b.if(bytes.leU(room), () => {
    b.if(first.eq(DEVICE), () => {
      leaveBefore(b, () => b.return());
      b.callVoid('device_write', b.state64(S.WALK_GPA), bytes, value);
      b.return();
    });
    storeBySize(b, first, bytes, value);
    b.callVoid('note_write', first, bytes);
    b.return();
  });
  const firstGpa = b.let(b.state64(S.WALK_GPA));
  const second = b.let(call('fill', 'i32', va.add(room.u64()), access));
  b.if(second.eqz(), () => b.return());
  b.if(first.eq(DEVICE).or(second.eq(DEVICE)), () => leaveBefore(b, () => b.return()));
  const secondGpa = b.let(b.state64(S.WALK_GPA));
  const i = b.var('i32', 0);
  b.while(
    () => i.get().ltU(bytes),
    () => {
      const inFirst = b.let(i.get().ltU(room));
      const page = b.let(new E('select', 'i32', [first, second, inFirst]));
      const gpa = b.let(new E('select', 'i64', [firstGpa, secondGpa, inFirst]));
      const step = b.let(new E('select', 'i32', [i.get(), i.get().sub(room), inFirst]));
      const byte = b.let(value.shrU(i.get().shl(3).u64()));
      b.if(
        page.eq(DEVICE),
        () => b.callVoid('device_write', gpa.add(step.u64()), i32(1), byte.and(0xff)),
        () => {
          b.hostStore('i64.store8', page.add(step), byte);
          b.callVoid('note_write', page.add(step), i32(1));
        },
      );
      i.set(i.get().add(1));
    },
  );
});

/** Checks that `bytes` at `va` may be written; FAULT tells. */
const probeWrite = define('probe_write', ['i64', 'i32'], null, (b, va, bytes) => {
  const access = b.let(i32(WRITE).or(user(b)));
  const host = b.let(call('fill', 'i32', va, access));
  b.if(host.eqz(), () => b.return());
  const last = b.let(va.add(bytes.sub(1).u64()));
  b.if(last.xor(va).gtU(0xfff), () => {
    b.drop(call('fill', 'i32', last.and(~0xfffn), access));
  });
});

/**
 * Host address for a read-modify-write of `bytes` at `va`; 0 = either FAULT is set, or the caller goes through
 * `load_slow` and `store_slow`.
 */
const rmwHost = define('rmw_host', ['i64', 'i32'], 'i32', (b, va, bytes) => {
  const entry = tlbEntry(b, va);
  const offset = tlbOffset(b, entry, 8, va);
  b.if(offset.leU(i64(4096).sub(bytes.u64())), () => b.return(tlbHost(b, entry, offset)));
  b.callVoid('probe_write', va, bytes);
  b.return(i32(0));
});

function sized(bytes: number): Definition[] {
  return [
    define(`load${bytes}`, ['i64'], 'i64', (b, va) => {
      const entry = tlbEntry(b, va);
      const offset = tlbOffset(b, entry, 0, va);
      b.if(offset.gtU(4096 - bytes), () => b.return(call('load_slow', 'i64', va, i32(bytes), i32(0))));
      b.return(b.hostLoad(LOAD[bytes] as string, tlbHost(b, entry, offset)));
    }),
    define(`store${bytes}`, ['i64', 'i64'], null, (b, va, value) => {
      const entry = tlbEntry(b, va);
      const offset = tlbOffset(b, entry, 8, va);
      b.if(offset.gtU(4096 - bytes), () => {
        b.callVoid('store_slow', va, value, i32(bytes));
        b.return();
      });
      b.hostStore(STORE[bytes] as string, tlbHost(b, entry, offset), value);
    }),
  ];
}

const load16 = define('load16', ['i64'], 'v128', (b, va) => {
  const entry = tlbEntry(b, va);
  const offset = tlbOffset(b, entry, 0, va);
  b.if(offset.leU(4096 - 16), () => b.return(b.hostLoad('v128.load', tlbHost(b, entry, offset))));
  const low = b.let(call('load_slow', 'i64', va, i32(8), i32(0)));
  b.if(b.state32(S.FAULT), () => b.return(apply('i64x2.splat', [low])));
  b.return(vectorOf(low, call('load_slow', 'i64', va.add(8), i32(8), i32(0))));
});

const store16 = define('store16', ['i64', 'v128'], null, (b, va, value) => {
  const entry = tlbEntry(b, va);
  const offset = tlbOffset(b, entry, 8, va);
  b.if(offset.leU(4096 - 16), () => {
    b.hostStore('v128.store', tlbHost(b, entry, offset), value);
    b.return();
  });
  b.callVoid('probe_write', va, i32(16));
  b.if(b.state32(S.FAULT), () => b.return());
  b.callVoid('store_slow', va, value.lane('i64x2.extract_lane', 0), i32(8));
  b.callVoid('store_slow', va.add(8), value.lane('i64x2.extract_lane', 1), i32(8));
});

export const ACCESS_DEFINITIONS: readonly Definition[] = [
  deviceRead,
  deviceWrite,
  loadSlow,
  noteWrite,
  storeSlow,
  probeWrite,
  rmwHost,
  ...[1, 2, 4, 8].flatMap(sized),
  load16,
  store16,
];
