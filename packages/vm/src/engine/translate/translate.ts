/** The translator: hot guest code → a WebAssembly module of regions. */
import { type FunctionBody, ModuleBuilder } from '../../wasm/module.ts';
import { WARM_DEFINITIONS } from '../interp/functions.ts';
import { BUDGET_SLACK } from '../unit.ts';
import { emitRegion } from './emit-region.ts';
import { flowOf } from './flow.ts';
import { type Block, formGraph, type RegionLimits } from './graph.ts';
import { type Instruction, InstructionReader } from './instruction.ts';
import { callSite } from './guest-code.ts';
import {
  type CodeSource,
  REGIONS_IMPORT,
  type RegionPage,
  type RegionRange,
  type TranslatedModule,
  type TranslatedRegion,
  type TranslateOptions,
  type TranslationRequest,
} from './region.ts';
import { RegionOps } from './region-ops.ts';
import { stageBlocks } from './stage.ts';

/** Any machine's memory. */
const MEMORY_PAGES = { min: 1, max: 65536 };
/** By level of the request (docs/adr/0032). */
const LIMITS: Readonly<Record<1 | 2, Omit<RegionLimits, 'repeats'>>> = {
  1: { maxBlocks: 50, maxInstructions: 400, maxDepth: 0, maxCases: 0 },
  2: { maxBlocks: 60, maxInstructions: 600, maxDepth: 3, maxCases: 200 },
};

/** Neighbourhoods that are remembered. */
const MANY_DISPATCHED = 1 << 12;

/** The only mode that is translated: 64-bit code that neither steps nor traps x87 and SSE. */
export const TRANSLATED_MODE = 2;

/** Not a warm function: the run loop's way from one region to the next (interp/generate.ts). */
const CHAIN = { name: 'region_chain', params: [] as const, result: 'i32' as const };
const signatures = new Map(WARM_DEFINITIONS.map((d) => [d.name, d]));

/** Translates what can be; null when nothing can. */
export function translate(
  source: CodeSource,
  requests: readonly TranslationRequest[],
  options: TranslateOptions,
): TranslatedModule | null {
  const builder = new ModuleBuilder();
  // the first type of the module
  const regionType = builder.type(['i32'], 'i32');
  // regions call imports only, whose indices come first: they are given out as calls are emitted
  const indices = new Map<string, number>();
  const functionIndex = (name: string): number => {
    let index = indices.get(name);
    if (index === undefined) {
      index = indices.size;
      indices.set(name, index);
    }
    return index;
  };
  const regions: TranslatedRegion[] = [];
  const bodies: FunctionBody[] = [];
  // a block that a region before has taken in need not have its own at once: the blocks of a loop get hot together
  const taken = new Set<number>();
  for (const request of requests) {
    if (taken.has(request.host)) continue;
    const made = translateRegion(source, request, options, functionIndex, regionType);
    if (made === null) continue;
    for (const member of made.region.members) taken.add(member);
    regions.push(made.region);
    bodies.push(made.body);
  }
  if (regions.length === 0) return null;
  for (const name of indices.keys()) {
    const d = name === CHAIN.name ? CHAIN : signatures.get(name);
    if (d === undefined) throw new Error(`no warm function is called ${name}`);
    builder.import('env', name, ['i32', ...d.params], d.result);
  }
  builder.importTable('env', REGIONS_IMPORT);
  bodies.forEach((body, i) => {
    const index = builder.reserve();
    builder.body(index, body);
    builder.export(`r${i}`, index);
  });
  return { bytes: builder.write(MEMORY_PAGES), regions, imports: [...indices.keys()] };
}

function translateRegion(
  source: CodeSource,
  request: TranslationRequest,
  options: TranslateOptions,
  functionIndex: (name: string) => number,
  regionType: number,
): { readonly region: TranslatedRegion; readonly body: FunctionBody } | null {
  if (request.mode !== TRANSLATED_MODE) return null;
  const reader = new InstructionReader(source, request.rip, request.host);
  const heat = (offset: number): number => {
    const host = reader.hostOf(offset);
    return host === 0 ? 0 : source.heat(host, request.mode);
  };
  const expected = (insn: Instruction): number => {
    const target = source.calledFrom?.(reader.hostOf(insn.offset)) ?? 0n;
    return target === 0n ? Number.NaN : reader.offsetOf(target);
  };
  const limits = LIMITS[request.level ?? 1];
  // a region with all that a computed jump may reach is large: one in its neighbourhood is enough
  const mayDispatch = (insn: Instruction): boolean =>
    source.dispatched?.has(neighbourhood(reader.hostOf(insn.offset))) !== true;
  const blocks = formGraph(
    reader,
    { heat, expected, mayDispatch },
    {
      ...limits,
      maxBlocks: options.maxBlocks ?? limits.maxBlocks,
      repeats: options.exactCount !== true,
    },
  );
  const [entry] = blocks;
  if (entry === undefined || (entry.instructions.length === 0 && entry.end.k === 'stop')) return null;
  const flow = flowOf(entry);
  const first = entry.instructions[0] ?? ('insn' in entry.end ? entry.end.insn : null);
  if (first === null) return null;
  const exact = options.exactCount === true || options.countExits === true;
  const compact = !exact && request.level !== 2;
  const style = { ripFirst: !exact, compact, tlb: compact ? undefined : source.tlb };
  const form = { row: first.row, opsize: first.opsize, memory: first.memory };
  const ops = new RegionOps(form, style, options.wrongRow);
  const staged = stageBlocks(ops, flow);
  const used = flow.nodes.map((node) => node.block);
  if (source.dispatched !== undefined) noteDispatch(source.dispatched, reader, used);
  const parts = extents(used);
  const name = `region ${BigInt.asUintN(64, request.rip).toString(16)}`;
  const body = emitRegion(name, ops, flow, staged, functionIndex, {
    slack: options.exactCount === true ? BUDGET_SLACK : undefined,
    regionType,
    countExits: options.countExits === true,
    ...style,
    siteOf: (insn) => callSite(reader.hostOf(insn.offset)),
  });
  const region = {
    rip: request.rip,
    host: request.host,
    mode: request.mode,
    level: request.level ?? 1,
    pages: pagesOf(reader, parts),
    ranges: rangesOf(reader, parts),
    members: used.map((block) => reader.hostOf(block.offset)),
    blocks: used.length,
    instructions: staged.reduce((sum, s) => sum + s.count, 0),
    codeBytes: body.code.length,
  };
  return { region, body };
}

/** Remembers where the region has a computed jump with all that it leads to. */
function noteDispatch(dispatched: Set<number>, reader: InstructionReader, blocks: readonly Block[]): void {
  const jump = blocks.find(({ end }) => end.k === 'computed' && end.to?.block?.end.k === 'dispatch')?.end;
  if (jump?.k !== 'computed') return;
  if (dispatched.size > MANY_DISPATCHED) dispatched.clear();
  dispatched.add(neighbourhood(reader.hostOf(jump.insn.offset)));
}
/** Of a computed jump: an interpreter in the guest has many, each with all the others' targets. */
function neighbourhood(host: number): number {
  return host >>> 13;
}

/** [start, end) by offset. */
type Extent = [number, number];

/** Extents of the blocks' bytes, those that touch joined. */
function extents(blocks: readonly Block[]): Extent[] {
  const all = blocks
    .map((block): Extent => {
      const last = 'insn' in block.end ? block.end.insn : block.instructions.at(-1);
      return [block.offset, last === undefined ? block.offset : last.offset + last.length];
    })
    .filter(([start, end]) => end > start)
    .sort((a, b) => a[0] - b[0]);
  const joined: Extent[] = [];
  for (const [start, end] of all) {
    const before = joined.at(-1);
    if (before !== undefined && start <= before[1]) before[1] = Math.max(before[1], end);
    else joined.push([start, end]);
  }
  return joined;
}

function pagesOf(reader: InstructionReader, parts: readonly Extent[]): RegionPage[] {
  const deltas = new Set<number>();
  for (const [start, end] of parts)
    for (let page = reader.pageOf(start); page <= reader.pageOf(end - 1); page++) deltas.add(page);
  deltas.delete(0);
  return [...deltas].sort((a, b) => a - b).map((delta) => ({ delta, host: reader.hostPage(delta) }));
}

function rangesOf(reader: InstructionReader, parts: readonly Extent[]): RegionRange[] {
  const ranges: RegionRange[] = [];
  for (const [start, end] of parts) {
    for (let at = start; at < end; ) {
      const host = reader.hostOf(at);
      const bytes = reader.bytes(host, end - at);
      ranges.push({ host, bytes });
      at += bytes.length;
    }
  }
  return ranges;
}
