/** Micro-operations: what the decoder puts between instructions. Each is a function (cpu, record) → status. */
import { type B, type Definition, define } from '../../x86/block.ts';
import { apply, call, type E, i32, i64, select } from '../../x86/expr.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { forgetJump } from '../mmu/fetch.ts';
import { addressMask, addressSum } from './record-fields.ts';

const { REC } = S;

function rip(b: B, record: E): E {
  return b.state64(S.BLOCK_RIP).add(apply('i64.load16_u', [record], REC.OFFSET));
}
/** Goes to the block at this record's RIP without counting the record as an instruction. */
function restart(b: B, record: E): void {
  b.setState64(S.RIP, rip(b, record));
  b.setState32(S.BUDGET, b.state32(S.BUDGET).add(1));
  b.return(i32(STATUS.JUMP));
}

function offsetOf(b: B, record: E): E {
  return b.let(addressSum(b, record).and(addressMask(b, record)));
}

/** The segment's state, as a host address to which SEGMENTS offsets apply. */
function segmentOf(b: B, record: E): { at: E; number: E } {
  const number = b.let(apply('i32.load8_u', [record], REC.SEGMENT));
  return { at: b.let(b.cpu.add(number.mul(S.SEGMENT_STRIDE))), number };
}

function setLinear(b: B, at: E, number: E, offset: E): void {
  const long = b.let(b.state32(S.CODE_MODE).eq(2));
  const base = b.hostLoad('i64.load', at, S.SEGMENTS + S.SEG_BASE);
  const used = select(number.ltU(S.SEG.FS).and(long), i64(0), base);
  const linear = b.let(used.add(offset));
  b.setState64(S.EA_SCRATCH, select(long, linear, linear.zeroExtend(4)));
}

const stale = define('micro_stale', ['i32'], 'i32', (b, record) => {
  forgetJump(b, b.let(rip(b, record)));
  restart(b, record);
});
const fall = define('micro_fall', ['i32'], 'i32', (b, record) => {
  b.setState64(S.RIP, rip(b, record));
  b.return(i32(STATUS.JUMP));
});
const address = define('micro_address', ['i32'], 'i32', (b, record) => {
  const offset = offsetOf(b, record);
  const { at, number } = segmentOf(b, record);
  setLinear(b, at, number, offset);
  b.return(i32(STATUS.NEXT));
});

/** As `address`, checked. EXTRA = bytes | write << 15. */
const checkedAddress = define('micro_checked_address', ['i32'], 'i32', (b, record) => {
  const offset = offsetOf(b, record);
  const { at, number } = segmentOf(b, record);
  const extra = b.let(apply('i32.load16_u', [record], REC.EXTRA));
  b.callVoid('check_segment', offset, extra.and(0x7fff).u64(), number, extra.shrU(15));
  b.if(b.state32(S.FAULT), () => b.return(i32(STATUS.EXIT)));
  setLinear(b, at, number, offset);
  b.return(i32(STATUS.NEXT));
});

const undefinedInstruction = define('micro_undefined', ['i32'], 'i32', (b, record) => {
  const vector = b.let(apply('i32.load', [record], REC.IMM));
  b.setState32(S.FAULT, vector);
  b.setState32(S.FAULT_CODE, 0);
  b.return(i32(STATUS.EXIT));
});

const crosses = define('micro_crosses', ['i32'], 'i32', (b, record) => {
  // the address of the next page is where this instruction's page ends
  const linear = rip(b, record).add(b.state64(S.CODE_BASE)).and(b.state64(S.LINEAR_MASK));
  const next = b.let(linear.or(0xfff).add(1).and(b.state64(S.LINEAR_MASK)));
  const host = b.let(call('fetch_host', 'i32', next));
  b.if(host.eqz(), () => b.return(i32(STATUS.EXIT)));
  b.if(host.eq(apply('i32.load', [record], REC.IMM)), () => b.return(i32(STATUS.NEXT)));
  b.setState64(S.RIP, rip(b, record));
  b.setState32(S.FETCH_HOST, 0);
  b.setState32(S.RECODE, 1);
  b.return(i32(STATUS.EXIT));
});

const fence = define('micro_fence', ['i32'], 'i32', (b) => {
  b.fence();
  b.return(i32(STATUS.NEXT));
});

export const MICRO_DEFINITIONS: readonly Definition[] = [
  stale,
  fall,
  address,
  checkedAddress,
  undefinedInstruction,
  crosses,
  fence,
];
/** Function names by MICRO number. */
export const MICRO_FUNCTIONS: readonly string[] = [
  'micro_stale',
  'micro_fall',
  'micro_address',
  'micro_checked_address',
  'micro_undefined',
  'micro_crosses',
  'micro_fence',
];
