/** A translated region as text for people: guest code, then its WebAssembly with places of the state by name. */
import type { RegionReport } from '../../machine/vcpu.ts';
import { disassembleFunction } from '../../wasm/disassemble.ts';
import { readWasm } from '../../wasm/read.ts';
import { Disassembler } from '../../x86/disasm.ts';
import { stateName } from '../../x86/print.ts';
import * as S from '../../x86/state.ts';

/** One line: number (0: it was not put to use), address, size, use. */
export function regionLine(region: RegionReport): string {
  const { number, rip, blocks, instructions, codeBytes, entered, gone, compiler } = region;
  const state = gone ? ', gone' : compiler === undefined ? '' : `, ${compiler}`;
  const use = number === 0 ? '' : `, entered ${entered} times${state}`;
  const bytes = (codeBytes / Math.max(1, instructions)).toFixed(0);
  return (
    `region${number === 0 ? '' : ` ${number}`} at ${hex(rip)}: ${blocks} blocks, ${instructions} instructions, ` +
    `${codeBytes} bytes of WebAssembly (${bytes} each)${use}`
  );
}

export function regionText(region: RegionReport): string[] {
  return [
    regionLine(region),
    '',
    'guest code:',
    ...guestCode(region),
    '',
    'WebAssembly:',
    ...wasmText(region),
  ];
}

function guestCode({ rip, code }: RegionReport): string[] {
  const disassembler = new Disassembler(2);
  const lines: string[] = [];
  let expected: number | undefined;
  for (const { offset, bytes } of joined(code)) {
    if (expected !== undefined && expected !== offset) lines.push('  …');
    for (let at = 0; at < bytes.length; ) {
      const address = BigInt.asUintN(64, rip + BigInt(offset + at));
      const one = disassembler.at(padded(bytes), at, address);
      const length = Math.max(1, one?.length ?? 1);
      const hexBytes = Array.from(bytes.subarray(at, at + length), (b) => b.toString(16).padStart(2, '0'));
      lines.push(
        `  ${hex(address)}  ${hexBytes.join(' ').padEnd(30)} ${one?.text ?? '(no instruction)'}${offset + at === 0 ? '  ← entry' : ''}`,
      );
      at += length;
    }
    expected = offset + bytes.length;
  }
  return lines;
}

/** Pieces that touch, as they do at the ends of pages, in one. */
function joined(code: RegionReport['code']): { offset: number; bytes: Uint8Array }[] {
  const all: { offset: number; bytes: Uint8Array }[] = [];
  for (const part of code) {
    const last = all.at(-1);
    if (last === undefined || last.offset + last.bytes.length !== part.offset) {
      all.push({ ...part });
      continue;
    }
    const bytes = new Uint8Array(last.bytes.length + part.bytes.length);
    bytes.set(last.bytes);
    bytes.set(part.bytes, last.bytes.length);
    last.bytes = bytes;
  }
  return all;
}

/** Zeros behind the bytes, so that the last instruction can be read. */
function padded(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + 16);
  out.set(bytes);
  return out;
}

function wasmText({ wasm, name }: RegionReport): string[] {
  if (wasm.length === 0) return ['  (not kept)'];
  const contents = readWasm(wasm);
  const body = contents.functions.find((f) => f.name === name);
  if (body === undefined) return ['  (not in its module)'];
  const place = (offset: number): string | undefined =>
    offset < S.REGISTERS_END ? stateName(offset) : undefined;
  return disassembleFunction(contents, body, { place }).map((line) => `  ${line}`);
}

function hex(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16)}`;
}
