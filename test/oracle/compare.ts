/** Tells what two outcomes of one case differ in; an empty list means they agree. */
import type { Outcome, TestCase } from './case.ts';

export const Flag = {
  CF: 1,
  PF: 4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
} as const;
export const STATUS_FLAGS: number = 0x8d5;
const RF = 0x10000;
/** Bytes of the FXSAVE image that hold the last x87 instruction's opcode and addresses: not compared. */
const X87_POINTERS = [6, 24] as const;
const NAMES = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
const LOW32 = 0xffff_ffffn;

export interface Masks {
  /** RFLAGS bits the manual leaves undefined here. */
  readonly undefinedFlags?: number;
  /** True: x87, MMX, XMM and MXCSR are not looked at. */
  readonly ignoreFx?: boolean;
  /**
   * True: when both fault with the same vector, only RIP and the faulting page are compared. For instructions
   * of many accesses, which silicon makes in an order of its own and not all or nothing.
   */
  readonly looseFault?: boolean;
}

const hex = (v: bigint | number): string => `0x${v.toString(16)}`;

function bytesHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Pads a 10-byte register to what FXSAVE defines: bytes 10..15 of an x87 slot are reserved. */
function fxDifferences(want: Uint8Array, got: Uint8Array, mode: 64 | 32): string[] {
  const found: string[] = [];
  const part = (name: string, from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      if (want[i] !== got[i]) {
        found.push(`${name}: ${bytesHex(want.subarray(from, to))}, got ${bytesHex(got.subarray(from, to))}`);
        return;
      }
    }
  };
  part('fcw', 0, 2);
  part('fsw', 2, 4);
  part('ftw', 4, 5);
  part('mxcsr', X87_POINTERS[1], 28);
  for (let i = 0; i < 8; i++) part(`st${i}`, 32 + i * 16, 42 + i * 16);
  for (let i = 0; i < (mode === 64 ? 16 : 8); i++) part(`xmm${i}`, 160 + i * 16, 176 + i * 16);
  return found;
}

/** @param want what the host's CPU did @param got what the engine did */
export function differences(c: TestCase, want: Outcome, got: Outcome, masks: Masks = {}): string[] {
  if (want.kind !== got.kind) return [`ends in ${want.kind} ${want.vector}, got ${got.kind} ${got.vector}`];
  if (want.kind !== 'exception') return [];
  const found: string[] = [];
  const check = (name: string, a: bigint | number, b: bigint | number): void => {
    if (a !== b) found.push(`${name}: ${hex(a)}, got ${hex(b)}`);
  };
  const wide = c.mode === 64;
  if (masks.looseFault === true && want.vector === got.vector && want.vector >= 12 && want.vector <= 14) {
    if (want.rip !== got.rip) return [`rip: ${hex(want.rip)}, got ${hex(got.rip)}`];
    const same = want.vector !== 14 || want.cr2 >> 12n === got.cr2 >> 12n;
    return same ? [] : [`cr2: ${hex(want.cr2)}, got ${hex(got.cr2)}`];
  }
  check('vector', want.vector, got.vector);
  check('rip', want.rip, got.rip);
  if (want.vector === got.vector && hasErrorCode(want.vector)) {
    // Linux hides whether a kernel address is mapped
    const kernel = want.vector === 14 && want.cr2 >> 47n !== 0n;
    const mask = kernel ? ~1 : ~0;
    check('error code', (want.errorCode & mask) >>> 0, (got.errorCode & mask) >>> 0);
    if (want.vector === 14) check('cr2', want.cr2, got.cr2);
  }
  const flagMask = ~(RF | (masks.undefinedFlags ?? 0));
  check('rflags', (want.rflags & flagMask) >>> 0, (got.rflags & flagMask) >>> 0);
  for (let i = 0; i < (wide ? 16 : 8); i++) {
    const a = want.gpr[i] ?? 0n;
    const b = got.gpr[i] ?? 0n;
    check(NAMES[i] ?? '', wide ? a : a & LOW32, wide ? b : b & LOW32);
  }
  if (wide) {
    check('fs base', want.fsBase, got.fsBase);
    check('gs base', want.gsBase, got.gsBase);
  }
  if (masks.ignoreFx !== true) found.push(...fxDifferences(want.fx, got.fx, c.mode));
  const lines = new Map(want.dirty.map((d) => [d.addr, bytesHex(d.bytes)]));
  for (const line of got.dirty) {
    const expected = lines.get(line.addr);
    lines.delete(line.addr);
    const actual = bytesHex(line.bytes);
    if (expected !== actual)
      found.push(`memory ${hex(line.addr)}: ${expected ?? 'untouched'}, got ${actual}`);
  }
  for (const [addr, expected] of lines) found.push(`memory ${hex(addr)}: ${expected}, got untouched`);
  return found;
}

function hasErrorCode(vector: number): boolean {
  return vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;
}
