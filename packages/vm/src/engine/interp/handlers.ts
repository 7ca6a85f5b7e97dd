/**
 * The interpreter's handlers: one per form (row × operand size × register or memory), numbered the same way when the
 * module is generated and when code is decoded, and a few micro-operations that the decoder inserts.
 */
import { ROWS } from '../../x86/isa/index.ts';
import type { Form } from '../../x86/ops.ts';
import { memoryVariants, rowSizes } from '../../x86/row.ts';

/** Micro-operations, by handler number. */
export const MICRO = {
  /** Decoded code was overwritten: look the block at this record's RIP up again. */
  STALE: 0,
  /** End of a block without a branch: RIP = block + offset. */
  FALL: 1,
  /** EA_SCRATCH = segment base + (base + index << shift + displacement) under the record's masks. */
  ADDRESS: 2,
  /** As ADDRESS, with limit and type checks of a segment that is not flat. */
  CHECKED_ADDRESS: 3,
  /** The bytes do not decode: #UD, or #GP for an instruction longer than 15 bytes (immediate = vector). */
  UNDEFINED: 4,
  /** An instruction crosses into a page: stale unless that page is at the host address in the immediate. */
  CROSSES: 5,
  /** Memory barrier before a LOCK-prefixed instruction. */
  FENCE: 6,
} as const;
export const FIRST_FORM = 7;

export const FORMS: readonly Form[] = ROWS.flatMap((row) =>
  rowSizes(row).flatMap((opsize) => memoryVariants(row).map((memory) => ({ row, opsize, memory }))),
);

const handlerByForm = new Uint16Array(ROWS.length * 32).fill(MICRO.UNDEFINED);
function key(row: number, opsize: number, memory: boolean): number {
  return row * 32 + opsize * 2 + (memory ? 1 : 0);
}
FORMS.forEach((form, i) => {
  handlerByForm[key(form.row.index, form.opsize, form.memory)] = FIRST_FORM + i;
});

/**
 * By handler: how many links a branch has, in its record (none besides fields that it does not use) and in room behind it.
 * Those with a register or memory operand have none.
 */
export const LINKS: Uint8Array = new Uint8Array(FIRST_FORM + FORMS.length);
FORMS.forEach(({ row: { mnemonic, operands } }, i) => {
  if (mnemonic === 'RET') LINKS[FIRST_FORM + i] = 2;
  else if (operands.length === 1 && operands[0]?.kind === 'J')
    LINKS[FIRST_FORM + i] = mnemonic === 'JMP' || mnemonic === 'CALL' ? 1 : 2;
});

/** Handler number of a form, or UNDEFINED when the row has no such form. */
export function handlerOf(row: number, opsize: number, memory: boolean): number {
  return handlerByForm[key(row, opsize, memory)] as number;
}
