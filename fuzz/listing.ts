/** A program as text: one line per item, with its bytes and what they mean. */
import { Disassembler } from '../packages/vm/src/x86/disasm.ts';
import { CODE_BASE } from '../test/oracle/case.ts';
import { layOut, type Program } from './program.ts';

export function listing(p: Program): string[] {
  const disassembler = new Disassembler(p.mode === 64 ? 2 : 1);
  const { code, addresses } = layOut(p);
  const lines: string[] = [];
  p.items.forEach((item, i) => {
    const from = addresses[i] ?? 0;
    const to = addresses[i + 1] ?? 0;
    if (to === from) return;
    const bytes = code.subarray(from - CODE_BASE, to - CODE_BASE);
    const text: string[] = [];
    for (const one of disassembler.all(bytes, BigInt(from))) if (text.push(one.text) === 8) break;
    const row = item.kind === 'instruction' ? item.instance.row.text : item.kind;
    lines.push(`${from.toString(16)}  ${hexOf(bytes).padEnd(30)} ${text.join('; ')}  [${row}]`);
  });
  return lines;
}

function hexOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return hex.length > 80 ? `${hex.slice(0, 80)}…` : hex;
}
