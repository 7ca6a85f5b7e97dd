/**
 * `explain`: one address, everything the engine makes of it. Guest bytes and disassembly of the block, the decoded
 * records, and of the first instruction its row, its handler, the size of the generated code and the staged
 * statements.
 */
import { layoutMemory, VCPU_BASE, VCPU_STRIDE } from '../machine/layout.ts';
import { Disassembler } from '../x86/disasm.ts';
import { printStatements, stateName } from '../x86/print.ts';
import { memoryVariants, rowSizes } from '../x86/row.ts';
import * as S from '../x86/state.ts';
import { BlockIndex } from './block-index.ts';
import { CodeCache } from './code-cache.ts';
import { CodePages } from './code-pages.ts';
import { handlerSize } from './interp/generate.ts';
import { FIRST_FORM, FORMS, MICRO } from './interp/handlers.ts';
import { isHot } from './interp/hot.ts';
import { stagedHandler } from './interp/reference.ts';

export type CodeMode = 0 | 1 | 2;

export interface ExplainOptions {
  readonly address: bigint;
  /** Code from `address` on; a block ends at the page's end or with them. */
  readonly bytes: Uint8Array;
  /** As CODE_MODE: 0 = 16-bit, 1 = 32-bit, 2 = 64-bit. */
  readonly mode: CodeMode;
}

/** The explanation, one element per line. */
export function explain(o: ExplainOptions): string[] {
  const first = new Disassembler(o.mode).at(padded(o.bytes), 0, o.address);
  const lines = [`${hex(o.address)} in ${['16', '32', '64'][o.mode] ?? ''}-bit code`, '', 'block:'];
  const { records, block } = decode(o);
  lines.push(...block);
  if (first?.row === null || first === null || records === null) return [...lines, '', 'no instruction: #UD'];
  const { row } = first;
  const form = FORMS[records.handler - FIRST_FORM];
  const staged = stagedHandler(records.handler);
  lines.push('', `row:      ${row.text}`);
  lines.push(
    `forms:    sizes ${rowSizes(row).join(' ')}, ${memoryVariants(row)
      .map((memory) => (memory ? 'memory' : 'register'))
      .join(' and ')}`,
  );
  if (form !== undefined && staged !== null) {
    const where = isHot(form) ? 'inline in the run loop' : 'a function of its own';
    lines.push(
      `handler:  ${records.handler} (size ${form.opsize}${form.memory ? ', memory' : ''}), ${where}`,
    );
    lines.push(
      `wasm:     ${handlerSize(records.handler)} bytes as a function, ${staged.locals.length} locals`,
    );
    lines.push('', 'statements:', ...printStatements(staged.statements, '  '));
  }
  return lines;
}

/** Decodes as the engine does, in a memory of its own. */
function decode(o: ExplainOptions): { records: { handler: number } | null; block: string[] } {
  const layout = layoutMemory(1 << 20);
  const buffer = new SharedArrayBuffer(layout.ramOffset + layout.ramBytes);
  const view = new DataView(buffer);
  const host = layout.ramOffset + 0x8000 + Number(o.address & 0xfffn);
  new Uint8Array(buffer).set(o.bytes.subarray(0, 0x1000), host);
  view.setInt32(VCPU_BASE + S.BLOCK_MODE, o.mode, true);
  const cache = new CodeCache({
    buffer,
    blocks: new BlockIndex(buffer, new CodePages(buffer, layout, VCPU_BASE), VCPU_BASE),
    area: VCPU_BASE,
    areaBytes: VCPU_STRIDE,
    fetch: () => layout.ramOffset + 0x9000,
    dropped: () => {},
  });
  if (!cache.decodeBlock(host, () => o.address, 2 ** 31)) return { records: null, block: [] };
  const found = cache.recordsAt(host);
  if (found === null) return { records: null, block: [] };
  const lines: string[] = [];
  const disassembler = new Disassembler(o.mode);
  const bytes = padded(o.bytes);
  let handler = -1;
  for (let i = 0; i < found.count; i++) {
    const at = found.first + i * S.REC.SIZE;
    const number = view.getUint16(at + S.REC.HANDLER, true);
    const offset = view.getUint16(at + S.REC.OFFSET, true);
    const length = view.getUint8(at + S.REC.LENGTH);
    if (number >= FIRST_FORM) {
      if (handler < 0) handler = number;
      const one = disassembler.at(bytes, offset, o.address + BigInt(offset));
      const code = Array.from(bytes.subarray(offset, offset + length), (b) =>
        b.toString(16).padStart(2, '0'),
      );
      lines.push(`  ${hex(o.address + BigInt(offset))}  ${code.join(' ').padEnd(30)} ${one?.text ?? ''}`);
    }
    lines.push(`      ${recordLine(view, at, number)}`);
  }
  return { records: handler < 0 ? null : { handler }, block: lines };
}

function recordLine(view: DataView, at: number, number: number): string {
  const u16 = (field: number): number => view.getUint16(at + field, true);
  const parts: string[] = [];
  for (const [name, field] of [
    ['reg', S.REC.REG],
    ['rm', S.REC.RM],
    ['base', S.REC.BASE],
    ['index', S.REC.INDEX],
  ] as const) {
    const offset = u16(field);
    if (offset !== 0 && offset !== S.ZERO)
      parts.push(`${name} ${offset < S.GPR ? offset : stateName(offset)}`);
  }
  const shift = view.getUint8(at + S.REC.SHIFT);
  const displacement = view.getBigInt64(at + S.REC.DISP, true);
  const immediate = view.getBigInt64(at + S.REC.IMM, true);
  if (shift !== 0) parts.push(`scale ${1 << shift}`);
  if (displacement !== 0n) parts.push(`disp ${displacement}`);
  if (immediate !== 0n) parts.push(`imm ${immediate}`);
  const micro = Object.entries(MICRO).find(([, n]) => n === number)?.[0];
  return [`${micro === undefined ? `handler ${number}` : micro}:`, ...parts].join(' ');
}

/** Zeros behind the bytes, so that the last instruction can be read. */
function padded(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.min(bytes.length, 0x1000) + 16);
  out.set(bytes.subarray(0, 0x1000));
  return out;
}

function hex(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16)}`;
}
