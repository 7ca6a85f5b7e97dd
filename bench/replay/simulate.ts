/** Replays a recording: what of it runs in regions of a shape, how often they are entered, how much is translated. */
import { BlockGraph, type FormedRegion, formRegion, type Shape } from './former.ts';
import { type BlockEnd, ENDS, readTrace } from './trace.ts';

export interface Replayed {
  readonly instructions: number;
  /** Share of them. */
  readonly inRegions: number;
  readonly entriesPerThousand: number;
  readonly regions: number;
  /** Guest instructions translated, copies and regions made again counted. */
  readonly translated: number;
  /** Guest instructions of the regions that V8 would optimise, and share of all instructions executed in them then. */
  readonly optimised: number;
  readonly inOptimised: number;
  /** Share of the exits by the end of the last block. */
  readonly exits: Readonly<Partial<Record<BlockEnd, number>>>;
}

/** Guest instructions that a region executes until V8 optimises it (--wasm-tiering-budget, 27 bytes each). */
const UNTIL_OPTIMISED = 480_000;

interface Region extends FormedRegion {
  entries: number;
  executed: number;
}

export function replay(folder: string, recording: number, graph: BlockGraph, shape: Shape): Replayed {
  const { blocks } = graph;
  const lengths = Int32Array.from(blocks, (block) => block?.instructions ?? 0);
  const ends = Uint8Array.from(blocks, (block) => (block === undefined ? 0 : ENDS.indexOf(block.end)));
  const executed = new Int32Array(blocks.length);
  const heat = new Int32Array(blocks.length);
  const regionAt: (Region | undefined)[] = [];
  const all: Region[] = [];
  const exits = new Float64Array(ENDS.length);
  let inside: Region | undefined;
  let successors: readonly number[] = [];
  let last = 0;
  let total = 0;
  let interpreted = 0;
  let entries = 0;

  const make = (id: number, wanted: Shape, before: number): Region => {
    const region: Region = { ...formRegion(graph, id, wanted, executed), entries: before, executed: 0 };
    regionAt[id] = region;
    all.push(region);
    return region;
  };

  for (const piece of readTrace(folder, recording)) {
    for (const id of piece) {
      const length = lengths[id] as number;
      total += length;
      if (inside !== undefined) {
        const at = indexOf(successors, id);
        if (at >= 0) {
          successors = inside.successors[successors[at + 1] as number] as readonly number[];
          inside.executed += length;
          last = id;
          continue;
        }
        exits[ends[last] as number]!++;
      }
      inside = regionAt[id];
      if (inside !== undefined) {
        entries++;
        if (++inside.entries === shape.again)
          inside = make(id, { ...shape, calls: 'inline', maxBlocks: shape.againBlocks }, shape.again);
        successors = inside.successors[0] as readonly number[];
        inside.executed += length;
        last = id;
        continue;
      }
      interpreted += length;
      executed[id]!++;
      if (++heat[id]! < shape.threshold) continue;
      const { ids } = make(id, shape, 0);
      if (shape.resets) for (const member of ids) heat[member] = 0;
    }
  }
  const left = exits.reduce((sum, count) => sum + count, 0);
  const optimised = all.filter((region) => region.executed > UNTIL_OPTIMISED);
  const sum = (list: readonly Region[], of: (region: Region) => number): number =>
    list.reduce((result, region) => result + of(region), 0);
  return {
    instructions: total,
    inRegions: 1 - interpreted / total,
    entriesPerThousand: (entries * 1000) / total,
    regions: all.length,
    translated: sum(all, (region) => region.instructions),
    optimised: sum(optimised, (region) => region.instructions),
    inOptimised: sum(optimised, (region) => region.executed - UNTIL_OPTIMISED) / total,
    exits: Object.fromEntries(ENDS.map((end, i) => [end, (exits[i] as number) / Math.max(1, left)])),
  };
}

/** Place of a block among pairs of block and node, −1 = none. */
function indexOf(pairs: readonly number[], id: number): number {
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === id) return i;
  return -1;
}
