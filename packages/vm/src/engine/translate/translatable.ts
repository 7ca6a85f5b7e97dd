/** Which instructions regions may contain: found out once per form by staging it. */
import { ROW_BIT } from '../../x86/row.ts';
import type { Instruction } from './instruction.ts';
import { NotTranslatable } from './flag-ops.ts';
import { RegionOps } from './region-ops.ts';

const known = new Map<number, boolean>();
const TERMINATORS: ReadonlySet<string> = new Set(['JMP', 'CALL', 'RET']);

export function isTranslatable(insn: Instruction): boolean {
  const { row } = insn;
  const key =
    ((((row.index * 16 + insn.opsize) * 2 + (insn.memory ? 1 : 0)) * 2 + (insn.rep ? 1 : 0)) * 2 +
      (insn.repne ? 1 : 0)) *
      2 +
    (insn.addressBits === 64 ? 0 : 1);
  let result = known.get(key);
  if (result === undefined) {
    result = stages(insn);
    known.set(key, result);
  }
  return result;
}

function stages(insn: Instruction): boolean {
  const { row } = insn;
  const form = { row, opsize: insn.opsize, memory: insn.memory };
  const ops = new RegionOps(form, { ripFirst: true, compact: true });
  try {
    ops.translate(insn);
  } catch (error) {
    if (error instanceof NotTranslatable) return false;
    throw error;
  }
  if ((row.bits & ROW_BIT.END) === 0) return ops.target === null;
  // relative branches and returns are the graph's; others must say where they go
  return ops.target !== null || TERMINATORS.has(row.mnemonic);
}
