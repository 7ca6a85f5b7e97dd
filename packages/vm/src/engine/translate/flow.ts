/** Order and dominance of a region's blocks: what structured control flow is made from. */
import type { Block, Target } from './graph.ts';

export interface FlowNode {
  readonly block: Block;
  /** Position in reverse postorder. */
  readonly order: number;
  /** Immediate dominator; the entry's is itself. */
  dominator: FlowNode;
  /** Blocks it dominates immediately, by order. */
  readonly children: FlowNode[];
  /** Edges from blocks before it. */
  forward: FlowNode[];
  /** Target of an edge from a block that it dominates. */
  isLoop: boolean;
}

export interface Flow {
  /** In reverse postorder; the entry first. */
  readonly nodes: readonly FlowNode[];
  of(block: Block): FlowNode;
}

export function targetsOf(block: Block): readonly Target[] {
  const { end } = block;
  switch (end.k) {
    case 'fall':
    case 'jump':
    case 'call':
      return [end.to];
    case 'branch':
      return [end.fall, end.taken];
    case 'return':
      return end.sites;
    case 'computed':
      return end.to === null ? [] : [end.to];
    case 'dispatch':
      return end.cases;
    default:
      return [];
  }
}

/** Orders the blocks reachable from `entry`. Edges into the middle of a loop from outside leave the region instead. */
export function flowOf(entry: Block): Flow {
  for (;;) {
    const flow = analyse(entry);
    if (!cutIrreducible(flow)) return flow;
  }
}

function analyse(entry: Block): Flow {
  const post: Block[] = [];
  const seen = new Set<Block>([entry]);
  const stack: { block: Block; next: number; targets: readonly Target[] }[] = [
    { block: entry, next: 0, targets: targetsOf(entry) },
  ];
  while (stack.length > 0) {
    const top = stack.at(-1) as (typeof stack)[number];
    const target = top.targets[top.next++];
    if (target === undefined) {
      post.push(top.block);
      stack.pop();
    } else if (target.block !== null && !seen.has(target.block)) {
      seen.add(target.block);
      stack.push({ block: target.block, next: 0, targets: targetsOf(target.block) });
    }
  }
  const nodes: FlowNode[] = [];
  const byBlock = new Map<Block, FlowNode>();
  for (const block of post.reverse()) {
    const node = {
      block,
      order: nodes.length,
      children: [],
      forward: [],
      isLoop: false,
    } as unknown as FlowNode;
    nodes.push(node);
    byBlock.set(block, node);
  }
  const of = (block: Block): FlowNode => byBlock.get(block) as FlowNode;
  dominators(nodes, of);
  for (const node of nodes) {
    if (node.dominator !== node) node.dominator.children.push(node);
    for (const { block } of targetsOf(node.block)) {
      if (block === null) continue;
      const to = of(block);
      if (to.order <= node.order) to.isLoop = true;
      else to.forward.push(node);
    }
  }
  return { nodes, of };
}

/** Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm". */
function dominators(nodes: readonly FlowNode[], of: (block: Block) => FlowNode): void {
  const before: FlowNode[][] = nodes.map(() => []);
  for (const node of nodes)
    for (const { block } of targetsOf(node.block))
      if (block !== null) (before[of(block).order] as FlowNode[]).push(node);
  const entry = nodes[0] as FlowNode;
  entry.dominator = entry;
  const meet = (a: FlowNode, b: FlowNode): FlowNode => {
    let x = a;
    let y = b;
    while (x !== y) {
      while (x.order > y.order) x = x.dominator;
      while (y.order > x.order) y = y.dominator;
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of nodes.slice(1)) {
      let dominator: FlowNode | null = null;
      for (const p of before[node.order] as FlowNode[]) {
        if ((p.dominator as FlowNode | undefined) === undefined) continue;
        dominator = dominator === null ? p : meet(p, dominator);
      }
      if (dominator !== null && node.dominator !== dominator) {
        node.dominator = dominator;
        changed = true;
      }
    }
  }
}

export function dominates(a: FlowNode, b: FlowNode): boolean {
  let x = b;
  while (x.order > a.order) x = x.dominator;
  return x === a;
}

/** Turns edges back to a block that does not dominate their source into exits. @returns whether there were any */
function cutIrreducible(flow: Flow): boolean {
  let cut = false;
  for (const node of flow.nodes) {
    for (const target of targetsOf(node.block)) {
      if (target.block === null) continue;
      const to = flow.of(target.block);
      if (to.order > node.order || dominates(to, node)) continue;
      target.block = null;
      cut = true;
    }
    const { end } = node.block;
    if (end.k === 'dispatch')
      end.cases.splice(0, end.cases.length, ...end.cases.filter((c) => c.block !== null));
    if (end.k === 'return')
      end.sites.splice(0, end.sites.length, ...end.sites.filter((s) => s.block !== null));
  }
  return cut;
}
