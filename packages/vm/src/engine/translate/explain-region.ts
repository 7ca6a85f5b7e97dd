/** What the translator makes of code in a file: the region that would begin at an address. */
import type { RegionReport } from '../../machine/vcpu.ts';
import { codeHash } from './region-log.ts';
import type { CodeSource } from './region.ts';
import { TRANSLATED_MODE, translate } from './translate.ts';

/** Code and the linear address of its first byte. */
export interface CodePart {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

const PAGE = 0x1000;
/** Bytes of each part around the address that the region may lie in. */
const REACH = 24 << 20;

/** @returns null: nothing is translated there. Every block counts as equally hot; the larger limits hold. */
export function explainRegion(parts: readonly CodePart[], address: bigint): RegionReport | null {
  const source = sourceOf(parts, address);
  const host = source.fetch(address);
  if (host === 0) return null;
  const request = { rip: address, host, mode: TRANSLATED_MODE, level: 2 } as const;
  const module = translate(source, [request], { tier: 'sync' });
  const region = module?.regions[0];
  if (module === null || region === undefined) return null;
  const { blocks, instructions, codeBytes, ranges } = region;
  return {
    number: 0,
    rip: address,
    hash: codeHash(source.u8, host),
    mode: TRANSLATED_MODE,
    blocks,
    instructions,
    codeBytes,
    entered: 0,
    gone: false,
    code: ranges.map((range) => ({ offset: range.host - host, bytes: range.bytes })),
    wasm: module.bytes,
    name: 'r0',
  };
}

/** What lies around `address`, at the same distances as in the file; whole pages only. */
function sourceOf(parts: readonly CodePart[], address: bigint): CodeSource {
  const middle = PAGE + REACH + Number(address & BigInt(PAGE - 1));
  const u8 = new Uint8Array(2 * middle);
  const present = new Set<number>();
  for (const part of parts) {
    const distance = part.address - address + BigInt(middle);
    if (distance >= BigInt(u8.length) || distance + BigInt(part.bytes.length) <= BigInt(PAGE)) continue;
    const at = Number(distance);
    const skipped = Math.max(0, PAGE - at);
    const bytes = part.bytes.subarray(skipped, skipped + u8.length - at - skipped);
    u8.set(bytes, at + skipped);
    for (let page = (at + skipped) >>> 12; page <= (at + skipped + bytes.length - 1) >>> 12; page++)
      present.add(page);
  }
  return {
    u8,
    fetch: (rip) => {
      const host = BigInt.asIntN(64, rip - address) + BigInt(middle);
      return host > 0n && host < BigInt(u8.length) && present.has(Number(host) >>> 12) ? Number(host) : 0;
    },
    heat: () => 1,
  };
}
