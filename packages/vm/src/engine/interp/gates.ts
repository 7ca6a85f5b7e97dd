/**
 * Ways into the kernel and out of it without TypeScript, where nothing unusual happens: an exception through a gate of
 * the IDT, the segments of a return to CPL 3. 64-bit code, no debugging, descriptors as systems have them. What they
 * decline has changed nothing that software can see, and goes on in TypeScript (engine/system/delivery.ts, returns.ts),
 * which must come to the same.
 */
import { type B, type Definition, define } from '../../x86/block.ts';
import { call, type E, i32, i64, select } from '../../x86/expr.ts';
import { VECTOR } from '../../x86/ops.ts';
import { setPrivilege, watched } from '../../x86/sem/privilege.ts';
import * as S from '../../x86/state.ts';
import { tlbHost, tlbOffset } from '../mmu/access.ts';
import { DEVICE, pageFlag } from '../mmu/walk.ts';

const { FLAG, SEG } = S;
const CR4_SMAP = 0x20_0000n;
const PAGE_CODE = 4;
const TLB_KERNEL = 1;
const TLB_KERNEL_AC = 2;
const TSS_RSP0 = 4;
/** Bits of a descriptor's high dword that must be as given: A C code S DPL P L D; for data A code W S DPL P. */
const CODE_MASK = 0x60_fd00;
const DATA_MASK = 0xfb00;
const KERNEL_CODE = 0x20_9900;
const USER_CODE = 0x20_f900;
const USER_DATA = 0xf300;
/** S, type of a conforming code segment. */
const CONFORMING = 0x1c;
const PRESENT = 0x80;

function field(segment: number, offset: number): number {
  return S.SEGMENTS + segment * S.SEGMENT_STRIDE + offset;
}
function isCanonical(address: E): E {
  return address.shl(16).shrS(16).eq(address);
}

/**
 * Host address of `bytes` bytes at `va` for an access that is supervisor's whatever CPL is; 0 = fault, device, two
 * pages, or a write to a page with code. FAULT stays as it is.
 */
const supervisorHost = define('supervisor_host', ['i64', 'i32', 'i32'], 'i32', (b, va, bytes, write) => {
  // SMAP: implicit accesses from CPL 3 never pass, others with AC
  const ac = b.state64(S.RFLAGS_SYSTEM).and(FLAG.AC).ne(0).and(b.state32(S.CPL).ne(3));
  const strict = b.state64(S.CR4).and(CR4_SMAP).ne(0).and(ac.eqz());
  const number = select(strict, i32(TLB_KERNEL), i32(TLB_KERNEL_AC));
  const table = b.let(b.cpu.add(S.TLB).add(number.mul(S.TLB_BYTES)));
  const index = va
    .shrU(12)
    .wrap()
    .and(S.TLB_ENTRIES - 1);
  const entry = b.let(table.add(index.shl(5)));
  const tagged = b.let(entry.add(write.shl(3)));
  const offset = tlbOffset(b, tagged, 0, va);
  b.if(offset.leU(i64(4096).sub(bytes.u64())), () => b.return(tlbHost(b, entry, offset)));
  b.if(va.wrap().and(0xfff).add(bytes).gtU(4096), () => b.return(i32(0)));
  const old = b.state32(S.TLB_TABLE);
  const fault = b.state32(S.FAULT);
  const code = b.state32(S.FAULT_CODE);
  const address = b.state64(S.FAULT_ADDRESS);
  b.setState32(S.TLB_TABLE, table);
  const host = b.let(call('fill', 'i32', va, write));
  b.setState32(S.TLB_TABLE, old);
  b.setState32(S.FAULT, fault);
  b.setState32(S.FAULT_CODE, code);
  b.setState64(S.FAULT_ADDRESS, address);
  b.setState32(S.FAULT_NON_CANONICAL, 0);
  b.if(host.leU(DEVICE), () => b.return(i32(0)));
  b.if(write, () => {
    b.if(b.hostLoad('i32.load8_u', pageFlag(b, host)).and(PAGE_CODE), () => b.return(i32(0)));
  });
  b.return(host);
});

/** Leaves the function with 0. */
function declineIf(b: B, condition: E): void {
  b.if(condition, () => b.return(i32(0)));
}

/** The two dwords of a descriptor in the GDT whose high one is as wanted. */
function descriptor(b: B, selector: E, mask: number, wanted: number): { low: E; high: E } {
  const offset = b.let(selector.and(0xfff8));
  declineIf(b, selector.and(4).or(offset.eqz()));
  declineIf(b, offset.add(7).gtU(b.state32(S.GDTR + 8)));
  const host = b.let(call('supervisor_host', 'i32', b.state64(S.GDTR).add(offset.u64()), i32(8), i32(0)));
  declineIf(b, host.eqz());
  const high = b.hostLoad('i32.load', host, 4);
  declineIf(b, high.and(mask).ne(wanted));
  return { low: b.hostLoad('i32.load', host), high };
}

function install(b: B, segment: number, selector: E, { low, high }: { low: E; high: E }): void {
  const base = low
    .shrU(16)
    .or(high.and(0xff).shl(16))
    .or(high.and(0xff00_0000 | 0));
  const limit = b.let(low.and(0xffff).or(high.and(0xf_0000)));
  b.setState64(field(segment, S.SEG_BASE), base.u64());
  b.setState32(field(segment, S.SEG_LIMIT), select(high.and(1 << 23), b.let(limit.shl(12).or(0xfff)), limit));
  b.setState32(field(segment, S.SEG_ATTRIBUTES), high.shrU(8).and(0xf0ff));
  b.setState32(field(segment, S.SEG_SELECTOR), selector);
}

/** CF PF AF ZF SF OF at their places in RFLAGS (x86/ops.ts says how they are kept), i64. */
function arithmeticFlags(b: B): E {
  const result = b.state64(S.FLAG_RESULT);
  const carries = b.state64(S.FLAG_CARRIES);
  const cf = b.let(carries.shrU(63));
  const pf = result.and(0xff).popcnt().xor(carries).and(1).xor(1);
  const sf = result.shrU(63).xor(carries.shrU(1).and(1));
  const of = cf.xor(carries.shrU(62).and(1));
  return b.let(
    cf
      .or(pf.shl(2))
      .or(carries.shrU(3).and(1).shl(4))
      .or(result.eqz().u64().shl(6))
      .or(sf.shl(7))
      .or(of.shl(11)),
  );
}

/**
 * Delivers the exception in FAULT for the instruction at `record`, or at RIP if `record` is 0. 1 = done, execution goes
 * on at RIP. A second one without an instruction retired between them is declined, so that the run loop is left.
 */
const deliverFault = define('deliver_fault', ['i32'], 'i32', (b, record) => {
  const fault = b.state32(S.FAULT);
  const vector = b.let(fault.and(0xff));
  declineIf(b, fault.eqz().or(fault.and(S.FAULT_DEVICE)));
  declineIf(b, vector.eq(VECTOR.DB).or(vector.eq(VECTOR.DF)));
  declineIf(b, b.state32(S.CODE_MODE).ne(2).or(b.state32(S.REGIONS_ON).eqz()));
  declineIf(
    b,
    b
      .state32(S.BLOCK_MODE)
      .and(S.BLOCK_MODE_BIT.STEP)
      .or(b.state32(S.DR + 7 * 8).and(0xff)),
  );
  declineIf(b, watched(b).or(b.state32(S.FAULT_NON_CANONICAL)));
  const budget = b.state32(S.BUDGET);
  declineIf(b, budget.eq(b.state32(S.FAULT_BUDGET)));

  // the gate: low 15-0 offset, 31-16 selector; high 2-0 IST, 12-8 type, 15 P, 31-16 offset; upper offset 63-32
  declineIf(
    b,
    vector
      .shl(4)
      .or(15)
      .gtU(b.state32(S.IDTR + 8)),
  );
  const gate = b.let(
    call('supervisor_host', 'i32', b.state64(S.IDTR).add(vector.shl(4).u64()), i32(16), i32(0)),
  );
  declineIf(b, gate.eqz());
  const low = b.hostLoad('i32.load', gate);
  const high = b.hostLoad('i32.load', gate, 4);
  const target = b.let(
    low
      .and(0xffff)
      .or(high.and(0xffff_0000 | 0))
      .u64()
      .or(b.hostLoad('i64.load32_u', gate, 8).shl(32)),
  );
  // present interrupt gate (14) or trap gate (15), no IST
  declineIf(b, high.and(0x9e07).ne(0x8e00).or(isCanonical(target).eqz()));
  const selector = b.let(low.shrU(16));
  const code = descriptor(b, selector, CODE_MASK, KERNEL_CODE);

  const rsp = b.var('i64', b.hostLoad('i64.load', b.cpu, S.GPR + 4 * 8));
  const oldCpl = b.state32(S.CPL);
  b.if(oldCpl, () => {
    declineIf(b, b.state32(field(SEG.TR, S.SEG_LIMIT)).ltU(TSS_RSP0 + 7));
    const base = b.state64(field(SEG.TR, S.SEG_BASE));
    const stack = b.let(call('supervisor_host', 'i32', base.add(TSS_RSP0), i32(8), i32(0)));
    declineIf(b, stack.eqz());
    rsp.set(b.hostLoad('i64.load', stack));
  });
  const hasCode = b.let(fault.shrU(8).and(1));
  const bytes = b.let(hasCode.shl(3).add(40));
  const top = b.let(rsp.get().and(~15n).sub(bytes.u64()));
  declineIf(b, isCanonical(rsp.get()).and(isCanonical(top)).eqz());
  const frame = b.let(call('supervisor_host', 'i32', top, bytes, i32(1)));
  declineIf(b, frame.eqz());

  const system = b.state64(S.RFLAGS_SYSTEM);
  const offset = b.hostLoad('i64.load16_u', record, S.REC.OFFSET);
  const inBlock = b.let(b.state64(S.BLOCK_RIP).add(offset));
  const rip = select(record, inBlock, b.state64(S.RIP));
  const at = b.let(frame.add(hasCode.shl(3)));
  b.if(hasCode, () => b.hostStore('i64.store', frame, b.state32(S.FAULT_CODE).u64()));
  b.hostStore('i64.store', at, rip, 0);
  b.hostStore('i64.store', at, b.state32(field(SEG.CS, S.SEG_SELECTOR)).u64(), 8);
  b.hostStore(
    'i64.store',
    at,
    arithmeticFlags(b)
      .or(system)
      .or(FLAG.RF | 2),
    16,
  );
  b.hostStore('i64.store', at, b.hostLoad('i64.load', b.cpu, S.GPR + 4 * 8), 24);
  b.hostStore('i64.store', at, b.state32(field(SEG.SS, S.SEG_SELECTOR)).u64(), 32);
  b.if(vector.eq(VECTOR.PF), () => b.setState64(S.CR2, b.state64(S.FAULT_ADDRESS)));
  install(b, SEG.CS, selector.and(0xfffc), code);
  b.if(oldCpl, () => {
    b.setState64(field(SEG.SS, S.SEG_BASE), 0);
    b.setState32(field(SEG.SS, S.SEG_LIMIT), 0);
    b.setState32(field(SEG.SS, S.SEG_ATTRIBUTES), 0);
    b.setState32(field(SEG.SS, S.SEG_SELECTOR), 0);
  });
  const always = BigInt(FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM);
  const masked = select(high.and(0x100), i64(always), i64(always | BigInt(FLAG.IF)));
  b.setState64(S.RFLAGS_SYSTEM, system.and(masked.not()));
  b.hostStore('i64.store', b.cpu, top, S.GPR + 4 * 8);
  b.setState64(S.RIP, target);
  b.setState32(S.FAULT, 0);
  b.setState32(S.FAULT_BUDGET, budget);
  setPrivilege(b, 0);
  b.return(i32(1));
});

/**
 * Loads CS and SS for a return from CPL 0 to 64-bit code at CPL 3, and drops what that may not use. 1 = done;
 * 0 = nothing changed.
 */
const outerSegments = define('outer_segments', ['i32', 'i32'], 'i32', (b, code, data) => {
  declineIf(b, code.and(data).and(3).ne(3));
  const codeSegment = descriptor(b, b.let(code.and(0xffff)), CODE_MASK, USER_CODE);
  const stackSegment = descriptor(b, b.let(data.and(0xffff)), DATA_MASK, USER_DATA);
  const segments = [SEG.ES, SEG.DS, SEG.FS, SEG.GS];
  // null selectors in registers of lower DPL are what Linux has
  const isPrivileged = segments.map((segment) => {
    const attributes = b.state32(field(segment, S.SEG_ATTRIBUTES));
    const privileged = b.let(attributes.and(CONFORMING).ne(CONFORMING).and(attributes.and(0x60).ne(0x60)));
    const selector = b.state32(field(segment, S.SEG_SELECTOR));
    declineIf(b, privileged.and(attributes.and(PRESENT).or(selector.and(0xfffc)).ne(0)));
    return privileged;
  });
  segments.forEach((segment, i) => {
    b.if(isPrivileged[i] as E, () => b.setState32(field(segment, S.SEG_SELECTOR), 0));
  });
  install(b, SEG.CS, b.let(code.and(0xffff)), codeSegment);
  install(b, SEG.SS, b.let(data.and(0xffff)), stackSegment);
  b.return(i32(1));
});

export const GATE_DEFINITIONS: readonly Definition[] = [supervisorHost, deliverFault, outerSegments];
