/**
 * Puts one bug into one row on purpose, to show that the fuzzer finds it: the destination's lowest bit flips; where
 * there is none, CF; where the row has neither, it does nothing at all.
 */
import { generateInterpreter } from '../packages/vm/src/engine/interp/generate.ts';
import { wasm, type WasmModule } from '../packages/vm/src/wasm/api.ts';
import { ROWS } from '../packages/vm/src/x86/isa/index.ts';
import { i64 } from '../packages/vm/src/x86/ops.ts';
import type { Row, Semantics } from '../packages/vm/src/x86/row.ts';

function broken(row: Row): Semantics {
  const right = row.semantics;
  const [first] = row.operands;
  const writes = first !== undefined && first.access !== 'r';
  if (
    writes &&
    ('EGZRPQN'.includes(first.kind) || (first.kind === 'fixed' && /^(AL|[re]?A[XH])$/i.test(first.size)))
  ) {
    return (o) => {
      right(o);
      o.set(0, o.get(0).xor(1));
    };
  }
  if (writes && 'VWU'.includes(first.kind)) {
    return (o) => {
      right(o);
      o.setLow(0, 4, o.getLow(0, 4).xor(i64(1)));
    };
  }
  if (/[oszapc]/.test(row.flags.written)) {
    return (o) => {
      right(o);
      o.setCarryOverflow(o.cf().eqz(), o.of());
    };
  }
  if (row.attributes.has('end')) return (o) => o.jump(o.nextRip);
  return () => {};
}

/** @returns the rows that were broken and the interpreter made from them */
export function inject(matches: (text: string) => boolean): { rows: Row[]; module: WasmModule } {
  const rows = ROWS.filter((row) => matches(row.text));
  for (const row of rows) (row as { semantics: Semantics }).semantics = broken(row);
  return { rows, module: new wasm.Module(generateInterpreter({ min: 1, max: 65536 })) };
}
