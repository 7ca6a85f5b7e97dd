/** Hashes of a machine's state, to compare runs with each other: fast, not cryptographic. */
import type { MemoryLayout } from '../machine/layout.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';

const PRIME = 0x0100_0193;

function hex(a: number, b: number): string {
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}

/** Two sums of FNV's kind, over even and odd words: 64 bits. */
function hashWords(words: Int32Array): string {
  let a = 0x811c_9dc5 | 0;
  let b = 0x050c_5d1f | 0;
  for (let i = 0; i + 1 < words.length; i += 2) {
    a = Math.imul(a ^ (words[i] as number), PRIME) + i;
    b = Math.imul(b ^ (words[i + 1] as number), PRIME) ^ (a >>> 15);
  }
  return hex(a, b);
}

export function hashRam(buffer: ArrayBufferLike, layout: MemoryLayout): string {
  return hashWords(new Int32Array(buffer, layout.ramOffset, layout.ramBytes / 4));
}

export function hashRecord(record: VcpuRecord): string {
  const text = JSON.stringify(record, (_, value: unknown) => {
    if (typeof value === 'bigint') return value.toString(16);
    return value instanceof Uint8Array ? [...value] : value;
  });
  return hashWords(Int32Array.from([...`${text} `], (character) => character.charCodeAt(0)));
}
