/**
 * A random program as a list of items, and its layout into machine code. Branches name items, not addresses, so
 * that items can be left out (shrinking) and everything still lands somewhere sensible.
 */
import type { Instance } from '../packages/vm/src/x86/encode.ts';
import { CODE_BASE, type Patch, STACK_BASE, type TestCase } from '../test/oracle/case.ts';
import { encodeAt } from '../test/oracle/generate.ts';

export type Item =
  /** `before` sets its registers up, `after` makes undefined flags defined again: both go with the instruction. */
  | {
      readonly kind: 'instruction';
      readonly before: readonly number[];
      readonly instance: Instance;
      readonly after: readonly number[];
    }
  /** Fixed bytes: setting up registers, normalising flags. */
  | { readonly kind: 'bytes'; readonly bytes: readonly number[]; readonly note: string }
  /** Jcc (0–15), JMP (16) or CALL (17) to a later item. */
  | { readonly kind: 'branch'; readonly condition: number; readonly target: number; readonly short: boolean }
  /** Back to an earlier item while counter `counter` in memory has not run out; counts over the whole program. */
  | { readonly kind: 'loop'; readonly counter: number; readonly target: number }
  /** Bytes that depend on where items are; how many there are may only depend on which items are kept. */
  | {
      readonly kind: 'linked';
      readonly note: string;
      readonly bytes: (at: number, where: Places) => readonly number[];
    }
  /** Writes `value` over the immediate of the MOV r32, imm32 at item `target`. */
  | { readonly kind: 'rewrite'; readonly target: number; readonly value: number };

export interface Places {
  /** Of item `n`, or of the end. */
  address(n: number): number;
  kept(n: number): boolean;
}

export interface Program {
  readonly mode: 64 | 32;
  readonly items: readonly Item[];
  /** Which items are in; the others take no bytes. */
  readonly kept: readonly boolean[];
  readonly gpr: BigUint64Array;
  readonly rflags: number;
  readonly fx: Uint8Array;
  readonly patches: readonly Patch[];
}

const COUNTERS = STACK_BASE + 0xf80;
export const COUNTER_COUNT = 16;

export function counterPatch(counts: readonly number[]): Patch {
  return { addr: COUNTERS, bytes: new Uint8Array(Uint32Array.from(counts).buffer) };
}

const le32 = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];

/** Bytes of an item at `address`, with the addresses of all items known (or guessed, in the first pass). */
function itemBytes(p: Program, n: number, addresses: readonly number[]): readonly number[] {
  const item = p.items[n];
  const address = addresses[n] ?? 0;
  if (item === undefined || p.kept[n] !== true) return [];
  const absolute = (opcode: number, extension: number, at: number): number[] =>
    p.mode === 64
      ? [opcode, (extension << 3) | 4, 0x25, ...le32(at)]
      : [opcode, (extension << 3) | 5, ...le32(at)];
  switch (item.kind) {
    case 'instruction':
      return [
        ...item.before,
        ...(encodeAt(address + item.before.length, item.instance) ?? []),
        ...item.after,
      ];
    case 'bytes':
      return item.bytes;
    case 'linked':
      return item.bytes(address, {
        address: (i) => addresses[i] ?? 0,
        kept: (i) => p.kept[i] === true,
      });
    case 'branch': {
      const to = addresses[item.target] ?? 0;
      if (item.condition === 17) return [0xe8, ...le32(to - address - 5)];
      if (item.short && to - address - 2 <= 127 && to >= address) {
        return [item.condition === 16 ? 0xeb : 0x70 + item.condition, to - address - 2];
      }
      if (item.condition === 16) return [0xe9, ...le32(to - address - 5)];
      return [0x0f, 0x80 + item.condition, ...le32(to - address - 6)];
    }
    case 'loop': {
      const count = [...absolute(0x83, 5, COUNTERS + item.counter * 4), 1]; // sub dword [counter], 1
      const to = addresses[item.target] ?? 0;
      return [...count, 0x0f, 0x89, ...le32(to - address - count.length - 6)]; // jns
    }
    case 'rewrite': {
      if (p.kept[item.target] !== true) return [];
      // MOV r32, imm32 is the last five bytes of its item
      const at = (addresses[item.target + 1] ?? 0) - 4;
      return [...absolute(0xc7, 0, at), ...le32(item.value)];
    }
    default:
      return item satisfies never;
  }
}

/** Machine code; sizes depend on addresses only through short branches, which settle in a few rounds. */
export function layOut(p: Program): { code: Uint8Array; addresses: readonly number[] } {
  let addresses: number[] = new Array<number>(p.items.length + 1).fill(CODE_BASE);
  // start long, so that branches only ever become shorter
  for (let i = 1; i <= p.items.length; i++)
    addresses[i] = (addresses[i - 1] ?? 0) + (p.kept[i - 1] === true ? 130 : 0);
  const code: number[] = [];
  for (let round = 0; round < 20; round++) {
    const next = [CODE_BASE];
    code.length = 0;
    for (let i = 0; i < p.items.length; i++) {
      code.push(...itemBytes(p, i, addresses));
      next.push(CODE_BASE + code.length);
    }
    const settled = next.every((address, i) => address === addresses[i]);
    addresses = next;
    if (settled) break;
  }
  return { code: Uint8Array.from(code), addresses };
}

export function toCase(p: Program): TestCase {
  const { code } = layOut(p);
  return { mode: p.mode, code, gpr: p.gpr, rflags: p.rflags, fx: p.fx, patches: p.patches };
}
