/** Blocks of the graph → statements, in an order in which what a block knows about the flags reaches the next. */
import type { Stmt } from '../../x86/block.ts';
import type { E } from '../../x86/expr.ts';
import { VECTOR } from '../../x86/ops.ts';
import { type Flow, type FlowNode, targetsOf } from './flow.ts';
import { conditionOf, type Target } from './graph.ts';
import { FlagNeeds } from './flag-needs.ts';
import { MATERIAL, RUNTIME_FLAGS } from './flag-ops.ts';
import { type RegionOps } from './region-ops.ts';

export interface Staged {
  readonly node: FlowNode;
  readonly body: readonly Stmt[];
  /** Branch: i32. Return and computed: where to, i64. */
  readonly value: E | null;
  /** Return: what happens before it goes where no block of the region expects it; then what it does itself. */
  readonly astray: readonly Stmt[];
  readonly commit: readonly Stmt[];
  /** Statements on the edge to each target. */
  readonly edges: ReadonlyMap<Target, readonly Stmt[]>;
  /** Instructions, the last one included. */
  readonly count: number;
}

export function stageBlocks(ops: RegionOps, flow: Flow): Staged[] {
  const needs = new FlagNeeds(flow);
  const behind = new Map<FlowNode, ReturnType<RegionOps['flagsBehind']>>();
  return flow.nodes.map((node) => {
    ops.beginBlock(flagsAt(node, needs, behind));
    const staged = stageBlock(ops, node, flow, needs);
    behind.set(node, ops.flagsBehind());
    return staged;
  });
}

function isMerge(node: FlowNode): boolean {
  return node.isLoop || node.forward.length !== 1;
}

function flagsAt(
  node: FlowNode,
  needs: FlagNeeds,
  behind: ReadonlyMap<FlowNode, ReturnType<RegionOps['flagsBehind']>>,
): ReturnType<RegionOps['flagsBehind']> {
  if (isMerge(node)) {
    const entryOnly = node.order === 0 && !node.isLoop && node.forward.length === 0;
    return entryOnly || needs.of(node) === 'read' ? MATERIAL : RUNTIME_FLAGS;
  }
  return behind.get(node.forward[0] as FlowNode) ?? RUNTIME_FLAGS;
}

function stageBlock(ops: RegionOps, node: FlowNode, flow: Flow, needs: FlagNeeds): Staged {
  const { block } = node;
  let value: E | null = null;
  let astray: readonly Stmt[] = [];
  let commit: readonly Stmt[] = [];
  const edges = new Map<Target, readonly Stmt[]>();
  const body = ops.collect(() => {
    for (const insn of block.instructions) ops.translate(insn);
    const { end } = block;
    if ('insn' in end) {
      ops.begin(end.insn);
      if (end.k === 'branch') value = ops.let(ops.condition(conditionOf(end.insn)));
      else if (end.k === 'call') ops.push(ops.nextRip);
      else if (end.k === 'computed') {
        end.insn.row.semantics(ops);
        value = ops.target;
      } else if (end.k === 'return') {
        const target = ops.peek();
        value = target;
        ops.syncFlags();
        astray = ops.collect(() => ops.raiseIf(target.shl(16).shrS(16).ne(target), VECTOR.GP, 0));
        const { operands } = end.insn.row;
        commit = ops.collect(() => ops.moveStack(operands.length > 0 ? ops.get(0).zeroExtend(2).add(8) : 8));
      }
      ops.finish();
    }
    leaveFlags(ops, node, flow, needs, edges);
  });
  return { node, body, value, astray, commit, edges, count: ops.instructions };
}

/** Puts the flags where the next blocks look for them. */
function leaveFlags(
  ops: RegionOps,
  node: FlowNode,
  flow: Flow,
  needs: FlagNeeds,
  edges: Map<Target, readonly Stmt[]>,
): void {
  const targets = targetsOf(node.block);
  const material: Target[] = [];
  let sync = !['fall', 'jump', 'branch', 'call'].includes(node.block.end.k);
  for (const target of targets) {
    const to = target.block === null ? null : flow.of(target.block);
    if (to !== null && isMerge(to) && needs.of(to) === 'read') material.push(target);
    if (to === null || to.order <= node.order || needs.of(to) !== 'dead') sync = true;
  }
  // who surely leaves spares the epilogue a call
  const leaves =
    !ops.compact && ops.flags.known !== 'runtime' && targets.every(({ block }) => block === null);
  if (leaves || (material.length === targets.length && targets.length > 0)) {
    ops.makeMaterial();
    return;
  }
  if (sync) ops.syncFlags();
  const { flags } = ops;
  for (const target of material) {
    edges.set(
      target,
      ops.collect(() => ops.makeMaterial()),
    );
    ops.flags = flags;
  }
}
