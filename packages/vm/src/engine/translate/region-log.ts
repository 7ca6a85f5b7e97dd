/** What tools ask about translated regions. Kept only on request (TranslateOptions.keep): it holds on to all modules. */
import type { RegionReport } from '../../machine/vcpu.ts';
import type { WasmFunction } from '../../wasm/api.ts';
import type { TranslatedModule, TranslatedRegion } from './region.ts';

const PAGE = 0x1000;
/** Code that tells a region from others, as far as its page goes. */
const HASHED_BYTES = 64;

/** Hash of the code at host address `host` and of its place in its page: the same in every run of a guest. FNV-1a. */
export function codeHash(u8: Uint8Array, host: number): number {
  const start = host >>> 0;
  const end = Math.min(start + HASHED_BYTES, start - (start % PAGE) + PAGE);
  let hash = 0x811c9dc5 ^ (start % PAGE);
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (u8[at] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

interface Entry {
  readonly number: number;
  readonly hash: number;
  readonly region: TranslatedRegion;
  readonly module: TranslatedModule;
  readonly name: string;
  readonly run: WasmFunction;
  /** How often it was entered: of one that is gone, until then. */
  entered: () => number;
  gone: boolean;
}

export class RegionLog {
  readonly #entries: Entry[] = [];
  readonly #u8: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#u8 = new Uint8Array(buffer);
  }

  /** @param index of the region in its module @param entered how often it was entered so far */
  installed(module: TranslatedModule, index: number, run: WasmFunction, entered: () => number): void {
    const region = module.regions[index];
    if (region === undefined) return;
    const number = this.#entries.length + 1;
    const hash = codeHash(this.#u8, region.host);
    this.#entries.push({ number, hash, region, module, name: `r${index}`, run, entered, gone: false });
  }

  /** The region that begins at `host` under `mode` is dropped. */
  dropped(host: number, mode: number): void {
    const entry = this.#entries.findLast(
      ({ region, gone }) => !gone && region.host >>> 0 === host && region.mode === mode,
    );
    if (entry === undefined) return;
    const entered = entry.entered();
    entry.entered = () => entered;
    entry.gone = true;
  }

  hashes(): number[] {
    return this.#entries.map(({ hash }) => hash);
  }
  last(): RegionReport | undefined {
    const entry = this.#entries.at(-1);
    return entry === undefined ? undefined : reportOf(entry);
  }

  /** All regions, or those that contain linear address `address`, in the order of their installation. */
  reports(address?: bigint): RegionReport[] {
    const reports = this.#entries.map(reportOf);
    if (address === undefined) return reports;
    return reports.filter(({ rip, code }) => {
      const offset = BigInt.asIntN(64, address - rip);
      return code.some(
        (part) => offset >= BigInt(part.offset) && offset < BigInt(part.offset + part.bytes.length),
      );
    });
  }

  /** The function of region `number`, for the host to look at. */
  functionOf(number: number): WasmFunction | undefined {
    return this.#entries[number - 1]?.run;
  }
}

function reportOf({ number, hash, region, module, name, entered, gone }: Entry): RegionReport {
  const { rip, mode, blocks, instructions, codeBytes } = region;
  const code = codeOf(region);
  return {
    number,
    hash,
    rip,
    mode,
    blocks,
    instructions,
    codeBytes,
    gone,
    entered: entered(),
    code,
    wasm: module.bytes,
    name,
  };
}

/** Guest bytes by their distance from the entry: ranges tell host addresses, pages which linear page is where. */
function codeOf({ host, pages, ranges }: TranslatedRegion): { offset: number; bytes: Uint8Array }[] {
  const inside = (host >>> 0) % PAGE;
  const deltas = new Map([[(host >>> 0) - inside, 0], ...pages.map((p) => [p.host >>> 0, p.delta] as const)]);
  return ranges
    .map((range) => {
      const at = (range.host >>> 0) % PAGE;
      const delta = deltas.get((range.host >>> 0) - at) ?? 0;
      return { offset: delta * PAGE + at - inside, bytes: range.bytes };
    })
    .sort((a, b) => a.offset - b.offset);
}
