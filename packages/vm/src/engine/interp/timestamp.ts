/** The time-stamp counter in generated code: what RDTSC reads. */
import { type Definition, define } from '../../x86/block.ts';
import { apply, call } from '../../x86/expr.ts';
import * as S from '../../x86/state.ts';

/** As TimeStampCounter.now (engine/system/tsc.ts). `before`: instructions of this block retired before this one. */
const readTsc = define('read_tsc', ['i32'], 'i64', (b, before) => {
  const start = b.hostLoad('f64.load', b.cpu, S.TSC_START);
  const scale = b.hostLoad('f64.load', b.cpu, S.TSC_SCALE);
  const ns = b.let(call('clock_ns', 'f64', before));
  const ticks = apply('f64.floor', [ns.sub(start).mul(scale)]);
  b.return(apply('i64.trunc_sat_f64_s', [ticks]).add(b.state64(S.TSC_OFFSET)));
});

export const TIMESTAMP_DEFINITIONS: readonly Definition[] = [readTsc];
