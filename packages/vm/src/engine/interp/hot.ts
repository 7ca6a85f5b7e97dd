/**
 * Which forms stand in the run loop itself: those that a boot and user programs (gzip, sha256sum, awk, sort, perl, a
 * C compiler) execute most, by count. The rest are functions: a call and a status check dearer, but compiled only
 * when used, and the run loop stays small.
 */
import type { Form } from '../../x86/ops.ts';

const set = (words: string): ReadonlySet<string> => new Set(words.split(' '));

/** In all sizes but 16 bits, register and memory. */
const ALWAYS = set(
  'MOV ADD SUB AND OR XOR CMP TEST LEA PUSH POP INC DEC MOVZX MOVSX MOVSXD JMP CALL RET NOP ' +
    'JB JNB JZ JNZ JBE JNBE JS JNS JL JNL JLE JNLE',
);
/** The same, registers only. */
const REGISTERS = set(
  'SHL SHR SAR ROL ROR NOT NEG IMUL BSWAP CBW SBB SETB SETNB SETZ SETNZ SETBE SETNBE SETL SETNLE ' +
    'CMOVB CMOVNB CMOVZ CMOVNZ CMOVBE CMOVNBE CMOVS CMOVNS CMOVL CMOVNL CMOVLE CMOVNLE',
);
/** Single forms: the row's operands, r or m. */
const SINGLE: ReadonlySet<string> = new Set([
  'MOVSD Vx:w,Wsd m',
  'MOVSD Wsd:w,Vsd m',
  'MOVUPS Vx:w,Wx m',
  'MOVUPS Wx:w,Vx m',
  'MOVAPS Vx:w,Wx m',
  'MOVAPS Wx:w,Vx m',
  'MOVDQU Vx:w,Wx m',
  'PXOR Vx:rw,Wx r',
  'PCMPEQB Vx:rw,Wx r',
  'PMOVMSKB Gd:w,Ux r',
]);
/** Single forms of 16 bits. */
const SINGLE_16: ReadonlySet<string> = new Set([
  'MOV Ev:w,Gv m',
  'CMP Ev,Ibs r',
  'CMP Ev,Ibs m',
  'TEST Ev,Gv r',
]);
/**
 * Encodings that compilers do not choose: second encodings of the same instruction, absolute addresses, 8-bit
 * registers as the destination of arithmetic, one-byte forms with memory.
 */
const RARE =
  /\| (?:82|[CD][0-3] \/6|F[67] \/1|0F 1F \/[1-7]|0F 1[89A-E]|0F 0D|A[0-3]) |^\w+ Eb:rw|^NEG Eb|^NOT Eb/;

export function isHot({ row, opsize, memory }: Form): boolean {
  if (row.attributes.has('cold') || RARE.test(row.text)) return false;
  const name = `${row.text.slice(0, row.text.indexOf('|'))}${memory ? 'm' : 'r'}`;
  if (opsize === 2) return SINGLE_16.has(name);
  return ALWAYS.has(row.mnemonic) || (!memory && REGISTERS.has(row.mnemonic)) || SINGLE.has(name);
}
