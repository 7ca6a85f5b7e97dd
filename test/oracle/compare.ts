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
   * True: when both fault (#SS, #GP, #PF), only RIP and the faulting page are compared. For instructions of many
   * accesses, which silicon makes in an order of its own and not all or nothing.
   */
  readonly looseFault?: boolean;
  /** Results that the manual only bounds: `x87` within one unit in the last place, `rcp` within 1.5 × 2^-12. */
  readonly approximate?: 'x87' | 'rcp' | undefined;
}

const hex = (v: bigint | number): string => `0x${v.toString(16)}`;

function bytesHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Two 80-bit values that differ by one in the significand (across a power of two as well). */
function closeX87(want: Uint8Array, got: Uint8Array, at: number): boolean {
  const ordinal = (fx: Uint8Array): bigint => {
    const view = new DataView(fx.buffer, fx.byteOffset + at, 10);
    const significand = view.getBigUint64(0, true) & 0x7fffffffffffffffn;
    return (BigInt(view.getUint16(8, true)) << 63n) | significand;
  };
  const difference = ordinal(want) - ordinal(got);
  return difference >= -1n && difference <= 1n;
}

/** Four singles, each within 2 × 1.5 × 2^-12 of the other (both have that much error). */
function closeReciprocals(want: Uint8Array, got: Uint8Array, at: number): boolean {
  const a = new DataView(want.buffer, want.byteOffset + at, 16);
  const b = new DataView(got.buffer, got.byteOffset + at, 16);
  for (let i = 0; i < 16; i += 4) {
    if (a.getUint32(i, true) === b.getUint32(i, true)) continue;
    const x = a.getFloat32(i, true);
    if (!(Math.abs(x - b.getFloat32(i, true)) <= Math.abs(x) * 3 * 2 ** -12)) return false;
  }
  return true;
}

/** Pads a 10-byte register to what FXSAVE defines: bytes 10..15 of an x87 slot are reserved. */
function fxDifferences(
  want: Uint8Array,
  got: Uint8Array,
  mode: 64 | 32,
  approximate?: 'x87' | 'rcp',
): string[] {
  const found: string[] = [];
  const close = (name: string, from: number): boolean => {
    if (approximate === 'x87' && name.startsWith('st')) return closeX87(want, got, from);
    return approximate === 'rcp' && name.startsWith('xmm') && closeReciprocals(want, got, from);
  };
  const part = (name: string, from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      if (
        name === 'fsw' &&
        i === from + 1 &&
        approximate === 'x87' &&
        (((want[i] ?? 0) ^ (got[i] ?? 0)) & ~2) === 0
      )
        continue;
      if (want[i] !== got[i] && !close(name, from)) {
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

/** The bytes of an FXSAVE image that are compared. */
export function comparedFx(fx: Uint8Array, mode: 64 | 32): Uint8Array {
  const parts = [fx.subarray(0, 5), fx.subarray(24, 28)];
  for (let i = 0; i < 8; i++) parts.push(fx.subarray(32 + i * 16, 42 + i * 16));
  parts.push(fx.subarray(160, mode === 64 ? 416 : 288));
  return Buffer.concat(parts);
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
  if (masks.looseFault === true && isMemoryFault(want.vector) && isMemoryFault(got.vector)) {
    if (want.rip !== got.rip) return [`rip: ${hex(want.rip)}, got ${hex(got.rip)}`];
    // FXSAVE and its like wrap at 64 KiB under 16-bit addresses; ours run on
    const narrow = c.mode === 32 && c.code.subarray(0, 4).includes(0x67) ? 0xf000n : ~0xfffn;
    const same = want.vector !== 14 || got.vector !== 14 || ((want.cr2 ^ got.cr2) & narrow) === 0n;
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
  if (masks.ignoreFx !== true) found.push(...fxDifferences(want.fx, got.fx, c.mode, masks.approximate));
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

function isMemoryFault(vector: number): boolean {
  return vector >= 12 && vector <= 14;
}

function hasErrorCode(vector: number): boolean {
  return vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;
}
