/**
 * Puts one bug into one row on purpose, to show that it is found.
 *
 *   result   a bit of the destination flips; where there is none, CF does; else the row does nothing
 *   refusal  the row raises #UD (the rows that always do: nothing)
 *
 * Conditional branches go the other way in translated code.
 */
import { generateInterpreter } from '../packages/vm/src/engine/interp/generate.ts';
import { wasm, type WasmModule } from '../packages/vm/src/wasm/api.ts';
import { ROWS } from '../packages/vm/src/x86/isa/index.ts';
import { i64, VECTOR } from '../packages/vm/src/x86/ops.ts';
import type { Row, Semantics } from '../packages/vm/src/x86/row.ts';
import { comparable } from '../test/oracle/generate.ts';

const CONDITIONAL = /^J(?!MP|R?[CE]?CXZ)/;

export type Bug = 'result' | 'refusal';

const nothing = (row: Row): Semantics => (row.attributes.has('end') ? (o) => o.jump(o.nextRip) : () => {});

function broken(row: Row, bug: Bug): Semantics {
  if (bug === 'refusal') return /^UD\d/.test(row.mnemonic) ? nothing(row) : (o) => o.raise(VECTOR.UD);
  const right = row.semantics;
  const [first] = row.operands;
  const writes = first !== undefined && first.access !== 'r';
  const general =
    writes && ('EGZRPQN'.includes(first.kind) || (first.kind === 'fixed' && /^(AL|r?AX)$/.test(first.size)));
  if (general) {
    return (o) => {
      right(o);
      o.set(0, o.get(0).xor(1));
    };
  }
  if (writes && 'VWU'.includes(first.kind)) {
    // a bit that approximate results have to get right too
    return (o) => {
      right(o);
      o.setLow(0, 4, o.getLow(0, 4).xor(i64(0x40000000)));
    };
  }
  if (/[oszapc]/.test(row.flags.written)) {
    return (o) => {
      right(o);
      o.setCarryOverflow(o.cf().eqz(), o.of());
    };
  }
  return nothing(row);
}

/**
 * The row that `name` means: the whole text, the form ("ADD Ev,Gv", with or without accesses), or the first row whose
 * text starts so. Case does not matter.
 */
export function findRow(name: string): Row {
  const plain = (text: string): string =>
    text.replaceAll(/:r?w/g, '').replaceAll(/\s+/g, ' ').trim().toLowerCase();
  const wanted = plain(name);
  const row =
    ROWS.find((r) => plain(r.text) === wanted) ??
    ROWS.find((r) => plain(r.text.split('|')[0] ?? '') === wanted) ??
    ROWS.find((r) => r.mnemonic.toLowerCase() === wanted) ??
    ROWS.find((r) => plain(r.text).startsWith(wanted));
  if (row === undefined) throw new Error(`no row is called "${name}"; docs/coverage.md lists them`);
  if (!comparable(row)) {
    throw new Error(`"${row.text}" cannot run in a process of the host; the bare-metal suite has it`);
  }
  return row;
}

/** An interpreter in which `row` is wrong; the row itself is as before afterwards. */
export function inject(row: Row, bug: Bug): WasmModule {
  return whileBroken(row, bug, () => new wasm.Module(generateInterpreter({ min: 1, max: 65536 })));
}

/** What `work` gives while the row is wrong for whoever asks it: the translator, when the interpreter exists already. */
export function whileBroken<T>(row: Row, bug: Bug, work: () => T): T {
  const target = row as { semantics: Semantics; encoding: Row['encoding'] };
  const { semantics, encoding } = row;
  target.semantics = broken(row, bug);
  // regions are cut by what a branch is: which way round, the opcode says
  if (CONDITIONAL.test(row.mnemonic)) target.encoding = { ...encoding, opcode: encoding.opcode ^ 1 };
  try {
    return work();
  } finally {
    target.semantics = semantics;
    target.encoding = encoding;
  }
}
