/**
 * Which forms stand in the run loop itself: those that a boot and user programs execute most (bench/profile). The
 * rest are functions: a call and a status check dearer, but compiled only when used.
 */
import type { Form } from '../../x86/ops.ts';

const HOT_MNEMONICS: ReadonlySet<string> = new Set(
  'MOV ADD SUB AND OR XOR CMP TEST LEA PUSH POP INC DEC MOVZX MOVSX MOVSXD JMP CALL RET SHL SHR SAR NOP'.split(
    ' ',
  ),
);

export function isHot(form: Form): boolean {
  const { row } = form;
  if (row.attributes.has('cold')) return false;
  if (form.opsize === 2) return false;
  return HOT_MNEMONICS.has(row.mnemonic) || (row.mnemonic.startsWith('J') && row.mnemonic !== 'JCXZ');
}
