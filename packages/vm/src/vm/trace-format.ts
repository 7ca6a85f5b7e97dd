/** Traces as text. Apart from trace.ts, since it brings the whole instruction table along. */
import { Disassembler, registerName } from '../x86/disasm.ts';
import type { TraceEntry } from './trace.ts';

/** Entries as lines: address, bytes, instruction, and registers that differ from the entry before. */
export class TraceFormatter {
  readonly #disassemblers = [new Disassembler(0), new Disassembler(1), new Disassembler(2)] as const;
  #before: TraceEntry | undefined;

  line(entry: TraceEntry): string {
    const width = entry.mode === 2 ? 16 : 8;
    const one = this.#disassemblers[entry.mode].at(entry.bytes, 0, entry.rip);
    const bytes = Array.from(entry.bytes.subarray(0, one?.length ?? 0), (b) =>
      b.toString(16).padStart(2, '0'),
    );
    const changed: string[] = [];
    const before = this.#before;
    entry.gpr.forEach((value, i) => {
      if (before?.gpr[i] !== value) changed.push(`${registerName(i, 8, true)}=${value.toString(16)}`);
    });
    if (before?.rflags !== entry.rflags) changed.push(`rflags=${entry.rflags.toString(16)}`);
    this.#before = entry;
    const code = `${bytes.join('').padEnd(22)} ${(one?.text ?? '(not mapped)').padEnd(44)}`;
    return `${entry.rip.toString(16).padStart(width, '0')} ${code} ${changed.join(' ')}`.trimEnd();
  }
}
