/**
 * Forms regions of a recorded guest's blocks, of a given shape, from what was executed so far: what a translator
 * would, without the code.
 */
import type { TracedBlock } from './trace.ts';

export interface Shape {
  readonly name: string;
  /** Executions of a block after which it becomes the entry of a region. */
  readonly threshold: number;
  readonly maxBlocks: number;
  readonly maxInstructions: number;
  /** none: a call ends the region. inline: a copy of the callee for each call. shared: one copy, returns compare. */
  readonly calls: 'none' | 'inline' | 'shared';
  /** Callees within callees at most. */
  readonly depth: number;
  /** Blocks of a new region count their executions anew. */
  readonly resets: boolean;
  /** Entries after which a region is formed again with callees, of at most `againBlocks`; 0 = never. */
  readonly again: number;
  readonly againBlocks: number;
}

export interface FormedRegion {
  /** Number of the block at each node; node 0 is the entry. */
  readonly ids: readonly number[];
  /** Of each node, where it goes on inside: block number, node, block number, node … */
  readonly successors: readonly (readonly number[])[];
  readonly instructions: number;
}

/** Which call a copy of a callee returns from. */
interface Context {
  readonly callee: number;
  readonly site: number;
  readonly parent: Context | null;
  readonly depth: number;
  readonly key: string;
}

/** Blocks that ran less than this share of the threshold stay out. */
const COLD = 0.02;

/** Blocks by number, and where each may go on. */
export class BlockGraph {
  readonly blocks: readonly (TracedBlock | undefined)[];
  readonly #byHost = new Map<string, number>();
  readonly #byRip = new Map<bigint, number>();
  readonly #successors: (readonly number[] | undefined)[] = [];

  constructor(list: readonly TracedBlock[]) {
    const blocks: (TracedBlock | undefined)[] = [];
    for (const block of list) {
      blocks[block.id] = block;
      this.#byHost.set(`${block.host} ${block.mode}`, block.id);
      this.#byRip.set(BigInt(`0x${block.rip}`), block.id);
    }
    this.blocks = blocks;
  }

  at(id: number): TracedBlock {
    return this.blocks[id] as TracedBlock;
  }

  /** branch: taken, not taken; call: callee, return site; jump, fall: one. 0 = never executed. */
  successors(id: number): readonly number[] {
    return (this.#successors[id] ??= this.#find(this.at(id)));
  }

  #find(block: TracedBlock): number[] {
    const taken = (): number => this.#block(block, block.target);
    const next = (): number => this.#block(block, block.bytes);
    switch (block.end) {
      case 'branch':
      case 'call':
        return [taken(), next()];
      case 'jump':
        return [taken()];
      case 'fall':
        return [next()];
      default:
        return [];
    }
  }

  /** By host address in the same page, else by linear address. */
  #block(from: TracedBlock, offset: number): number {
    const host = from.host + offset;
    const id =
      host >>> 12 === from.host >>> 12
        ? this.#byHost.get(`${host} ${from.mode}`)
        : this.#byRip.get(BigInt.asUintN(64, BigInt(`0x${from.rip}`) + BigInt(offset)));
    return id ?? 0;
  }
}

/** @param executed how often each block ran so far */
export function formRegion(
  graph: BlockGraph,
  entry: number,
  shape: Shape,
  executed: Int32Array,
): FormedRegion {
  return new Former(graph, shape, executed).form(entry);
}

class Former {
  readonly #graph: BlockGraph;
  readonly #shape: Shape;
  readonly #executed: Int32Array;
  readonly #ids: number[] = [];
  readonly #contexts: (Context | null)[] = [];
  readonly #nodes = new Map<string, number>();
  readonly #waiting: { readonly id: number; readonly context: Context | null }[] = [];
  #instructions = 0;

  constructor(graph: BlockGraph, shape: Shape, executed: Int32Array) {
    this.#graph = graph;
    this.#shape = shape;
    this.#executed = executed;
  }

  form(entry: number): FormedRegion {
    const { maxBlocks, maxInstructions } = this.#shape;
    this.#add(entry, null);
    while (this.#ids.length < maxBlocks && this.#instructions < maxInstructions) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      if (!this.#nodes.has(keyOf(next.id, next.context))) this.#add(next.id, next.context);
    }
    return {
      ids: this.#ids,
      successors: this.#ids.map((id, node) => this.#inside(id, this.#contexts[node] ?? null)),
      instructions: this.#instructions,
    };
  }

  #add(id: number, context: Context | null): void {
    this.#nodes.set(keyOf(id, context), this.#ids.length);
    this.#ids.push(id);
    this.#contexts.push(context);
    this.#instructions += this.#graph.at(id).instructions;
    for (const [to, where] of this.#edges(id, context)) this.#want(to, where);
    if (this.#shape.calls === 'shared' && this.#graph.at(id).end === 'call')
      this.#want(this.#graph.successors(id)[1] ?? 0, null);
  }

  /** The hottest first. */
  #want(id: number, context: Context | null): void {
    const heat = this.#executed[id] as number;
    if (id === 0 || heat < Math.max(1, this.#shape.threshold * COLD)) return;
    if (this.#nodes.has(keyOf(id, context))) return;
    let i = this.#waiting.length;
    while (i > 0 && (this.#executed[this.#waiting[i - 1]?.id ?? 0] as number) < heat) i--;
    this.#waiting.splice(i, 0, { id, context });
  }

  /** Where a node may go on in the region; shared callees' returns are not among them. */
  #edges(id: number, context: Context | null): [number, Context | null][] {
    const block = this.#graph.at(id);
    if (block.left > 0) return [];
    const to = this.#graph.successors(id);
    if (block.end === 'return') return context === null ? [] : [[context.site, context.parent]];
    if (block.end !== 'call') return to.map((next) => [next, context]);
    const [callee = 0, site = 0] = to;
    if (this.#shape.calls === 'none' || callee === 0) return [];
    if (this.#shape.calls === 'shared') return [[callee, null]];
    const depth = (context?.depth ?? 0) + 1;
    if (depth > this.#shape.depth) return [];
    for (let c = context; c !== null; c = c.parent) if (c.callee === callee) return [];
    return [[callee, { callee, site, parent: context, depth, key: `${id} ${context?.key ?? ''}` }]];
  }

  #inside(id: number, context: Context | null): number[] {
    const isSharedReturn = this.#shape.calls === 'shared' && this.#graph.at(id).end === 'return';
    const edges = isSharedReturn ? this.#sites() : this.#edges(id, context);
    return edges.flatMap(([to, where]) => {
      const node = to === 0 ? undefined : this.#nodes.get(keyOf(to, where));
      return node === undefined ? [] : [to, node];
    });
  }

  #sites(): [number, null][] {
    return this.#ids
      .filter((id) => this.#graph.at(id).end === 'call')
      .map((id) => [this.#graph.successors(id)[1] ?? 0, null]);
  }
}

const keyOf = (id: number, context: Context | null): string => `${id} ${context?.key ?? ''}`;
