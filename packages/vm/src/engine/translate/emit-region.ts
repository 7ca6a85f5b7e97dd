/**
 * Staged blocks → one WebAssembly function with structured control flow, by the dominator tree (Ramsey, "Beyond
 * Relooper"): a block that several others go to stands behind a `block` that they break out of, a loop head opens a
 * `loop`. Around everything:
 *
 *   load state · block known · block fixed · block side … code … end side: STATUS = INTERPRET
 *   end fixed: RIP += BASE · end known: store state, return STATUS
 */
import { Bytes, type FunctionBody } from '../../wasm/module.ts';
import type { Ty } from '../../wasm/opcodes.ts';
import type { Stmt } from '../../x86/block.ts';
import { type EmitContext, emitExpression, emitStatements } from '../../x86/emit.ts';
import { apply, type E, i32, i64, local } from '../../x86/expr.ts';
import * as S from '../../x86/state.ts';
import { type Flow, type FlowNode, targetsOf } from './flow.ts';
import type { Target, Terminator } from './graph.ts';
import type { Instruction } from './instruction.ts';
import { LOCAL, LOCAL_TYPES } from './locals.ts';
import { emitNextRegion, loadState, storeState } from './region-frame.ts';
import { BASE, type RegionOps, type RegionStyle } from './region-ops.ts';
import { EXIT_REASONS, type ExitReason, REGION_STATUS } from './region.ts';
import type { Staged } from './stage.ts';
import { perfectHash } from './perfect-hash.ts';
import { Temporaries } from './temporaries.ts';

type Label =
  | { readonly k: 'side' | 'fixed' | 'known' | 'if' }
  | { readonly k: 'loop' | 'merge'; readonly node: FlowNode };

const CPU = 0;
const OP = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return_call: 0x12,
  local_set: 0x21,
} as const;
const VOID = 0x40;
const BUDGET = local('i32', LOCAL.BUDGET);
const RIP = local('i64', LOCAL.RIP);
const STATUS = local('i32', LOCAL.STATUS);

export interface EmitOptions extends RegionStyle {
  /** Place of a return or computed call in CALL_TARGETS. */
  readonly siteOf: (insn: Instruction) => number;
  /**
   * BUDGET may be passed by `slack` instructions at most: a region that could go further without looking is not
   * entered. undefined: counts roughly and looks at back-edges only.
   */
  readonly slack?: number | undefined;
  /** Number of the type (i32) → i32 in the module. */
  readonly regionType: number;
  /** Count exits by their reason. */
  readonly countExits: boolean;
}

/** Code of the region that is being emitted. */
const code = new Bytes();

export function emitRegion(
  name: string,
  ops: RegionOps,
  flow: Flow,
  staged: readonly Staged[],
  functionIndex: (name: string) => number,
  options: EmitOptions,
): FunctionBody {
  return new RegionEmitter(ops, flow, staged, functionIndex, options).emit(name);
}

class RegionEmitter {
  readonly #ops: RegionOps;
  readonly #flow: Flow;
  readonly #staged: readonly Staged[];
  readonly #options: EmitOptions;
  readonly #out = code;
  readonly #labels: Label[] = [];
  readonly #unlikely: number[] = [];
  /** WebAssembly locals of the region's fixed locals that it uses. */
  readonly #fixed: number[] = [];
  readonly #fixedTypes: Ty[] = [];
  readonly #temporaries: Temporaries;
  readonly #context: EmitContext;
  /** Instructions from the entry to the start of each block, by order. */
  readonly #depth: number[] = [];
  /** Instructions from the start of each block to the next look at BUDGET or exit along the longest way, by order. */
  readonly #ahead: number[] = [];
  #current!: Staged;

  constructor(
    ops: RegionOps,
    flow: Flow,
    staged: readonly Staged[],
    functionIndex: (name: string) => number,
    options: EmitOptions,
  ) {
    this.#ops = ops;
    this.#flow = flow;
    this.#staged = staged;
    this.#options = options;
    for (let i = 0; i < LOCAL_TYPES.length; i++) {
      if (i < LOCAL.FLAGS_A && (ops.used & (1 << i)) === 0) continue;
      this.#fixed[i] = 1 + this.#fixedTypes.length;
      this.#fixedTypes.push(LOCAL_TYPES[i] as Ty);
    }
    this.#temporaries = new Temporaries(ops.locals, 1 + this.#fixedTypes.length);
    this.#context = {
      cpu: CPU,
      record: -1,
      firstParam: -1,
      local: (i) => this.#local(i),
      functionIndex,
      end: (_how, _out, depth, exit) => this.#sideExit(exit, depth),
      unlikely: (at) => this.#unlikely.push(at),
    };
    if (options.ripFirst)
      this.#context = {
        ...this.#context,
        leaveIf: (out, depth) => {
          this.#unlikely.push(out.length);
          this.#br(OP.br_if, (l) => l.k === 'side', depth);
        },
      };
  }

  #local(i: number): number {
    return i < LOCAL_TYPES.length ? (this.#fixed[i] as number) : this.#temporaries.local(i);
  }

  emit(name: string): FunctionBody {
    this.#out.clear();
    this.#measure();
    this.#statements(loadState(this.#ops.used));
    this.#open(OP.block, { k: 'known' });
    this.#open(OP.block, { k: 'fixed' });
    this.#open(OP.block, { k: 'side' });
    this.#checkEntry();
    this.#node(this.#flow.nodes[0] as FlowNode);
    this.#close();
    this.#set(LOCAL.STATUS, i32(REGION_STATUS.INTERPRET));
    this.#close();
    this.#set(LOCAL.RIP, RIP.add(BASE));
    this.#close();
    this.#statements(storeState(this.#ops.written, this.#ops.changesFlags));
    if (this.#options.compact) this.#chainByCall();
    else this.#chain();
    this.#expression(STATUS);
    return {
      name,
      params: ['i32'],
      result: 'i32',
      locals: [...this.#fixedTypes, ...this.#temporaries.types],
      code: this.#out.bytes().slice(),
      unlikely: this.#unlikely,
    };
  }

  /** Instructions before each block: the mean of the ways to it, so that what is not corrected evens out. */
  #measure(): void {
    for (const { node } of this.#staged) {
      let sum = 0;
      for (const from of node.forward)
        sum += (this.#depth[from.order] as number) + (this.#staged[from.order] as Staged).count;
      const depth = node.forward.length === 0 ? 0 : Math.round(sum / node.forward.length);
      this.#depth.push(depth);
    }
    for (const { node, count } of this.#staged.toReversed()) {
      let ahead = 0;
      for (const { block } of targetsOf(node.block)) {
        const order = block === null ? 0 : this.#flow.of(block).order;
        if (order > node.order) ahead = Math.max(ahead, this.#ahead[order] as number);
      }
      this.#ahead[node.order] = count + ahead;
    }
  }

  /** What BUDGET must hold at least for a way from the start of a block to the next look. */
  #needed(order: number, slack: number): number {
    return Math.max(1, (this.#ahead[order] as number) - slack);
  }

  /** Leaves everything to the interpreter when the budget is too small to begin. The run loop has seen it is above 0. */
  #checkEntry(): void {
    const { slack, tlb } = this.#options;
    if (tlb !== undefined) {
      this.#set(LOCAL.RIP, i64(0));
      this.#expression(local('i32', LOCAL.TLB).ne(tlb));
      this.#unlikely.push(this.#out.length);
      this.#br(OP.br_if, (l) => l.k === 'side');
    }
    if (slack === undefined || this.#needed(0, slack) === 1) return;
    this.#set(LOCAL.RIP, i64(0));
    this.#expression(BUDGET.leS(this.#needed(0, slack) - 1));
    this.#unlikely.push(this.#out.length);
    this.#br(OP.br_if, (l) => l.k === 'side');
  }

  /** Goes on in the region at RIP, if it is known. */
  #chain(): void {
    const counted = (): void => this.#countExit('chained');
    emitNextRegion(this.#out, this.#context, this.#options.regionType, 0, counted);
  }

  #chainByCall(): void {
    this.#expression(STATUS.eqz());
    this.#out.put(OP.if, VOID);
    this.#expression(this.#ops.cpu);
    this.#out.byte(OP.return_call);
    this.#out.u32(this.#context.functionIndex('region_chain'));
    this.#out.byte(OP.end);
  }

  // ---- pieces ----

  #open(op: number, label: Label): void {
    this.#out.byte(op);
    this.#out.byte(VOID);
    this.#labels.push(label);
  }
  #close(): void {
    this.#out.byte(OP.end);
    this.#labels.pop();
  }
  #br(op: number, matches: (label: Label) => boolean, inside = 0): void {
    for (let i = this.#labels.length - 1; i >= 0; i--) {
      if (!matches(this.#labels[i] as Label)) continue;
      this.#out.byte(op);
      this.#out.u32(this.#labels.length - 1 - i + inside);
      return;
    }
    throw new Error('a region branches to a label that is not open');
  }
  #statements(list: readonly Stmt[]): void {
    emitStatements(list, this.#out, this.#context);
  }
  #expression(e: E): void {
    emitExpression(e, this.#out, this.#context);
  }

  #set(local: number, value: E): void {
    this.#expression(value);
    this.#out.byte(OP.local_set);
    this.#out.u32(this.#local(local));
  }

  #countExit(reason: ExitReason): void {
    if (!this.#options.countExits) return;
    const { cpu } = this.#ops;
    const offset = S.EXIT_COUNTS + 4 * EXIT_REASONS.indexOf(reason);
    const value = apply('i32.load', [cpu], offset).add(1);
    this.#statements([{ k: 'store', op: 'i32.store', address: cpu, value, offset }]);
  }

  /** Takes `count` instructions off the budget. */
  #spend(count: number): void {
    if (count === 0) return;
    this.#set(LOCAL.BUDGET, BUDGET.sub(count));
  }
  #leaveAt(offset: number, count: number): void {
    this.#spend(count);
    this.#set(LOCAL.RIP, i64(offset));
  }
  /** Leaves before an instruction; `inside` = blocks of its statements that are open. */
  #sideExit(exit: number, inside: number): void {
    if (this.#options.ripFirst) {
      this.#br(OP.br, (l) => l.k === 'side', inside);
      return;
    }
    const side = this.#ops.exits[exit];
    if (side === undefined) throw new Error('a region leaves where it did not say so');
    this.#countExit('unfinished');
    this.#leaveAt(side.offset, (this.#depth[this.#current.node.order] as number) + side.before);
    this.#br(OP.br, (l) => l.k === 'side', inside);
  }

  // ---- the dominator tree ----

  #node(node: FlowNode): void {
    if (node.isLoop) this.#open(OP.loop, { k: 'loop', node });
    const merges = node.children.filter((child) => child.forward.length > 1);
    for (const child of merges.toReversed()) this.#open(OP.block, { k: 'merge', node: child });
    this.#block(this.#staged[node.order] as Staged);
    for (const child of merges) {
      this.#close();
      this.#node(child);
    }
    if (node.isLoop) this.#close();
  }

  #block(staged: Staged): void {
    const { node, value } = staged;
    const temporaries = this.#temporaries;
    if (value !== null) temporaries.tailValue(value);
    const commit = temporaries.tail(staged.commit);
    const astray = temporaries.tail(staged.astray);
    const onEdge = new Map<Target, readonly Stmt[]>();
    for (const [target, list] of staged.edges) onEdge.set(target, temporaries.tail(list));
    const body = temporaries.body(staged.body);
    temporaries.assign(body, [astray, commit, ...onEdge.values()]);
    this.#current = staged;
    this.#statements(body);
    const { end } = node.block;
    const follow = (target: Target): void => {
      this.#current = staged;
      this.#statements(onEdge.get(target) ?? []);
      this.#goTo(staged, target);
    };
    switch (end.k) {
      case 'fall':
      case 'jump':
      case 'call':
        follow(end.to);
        break;
      case 'branch':
        this.#expression(value as E);
        this.#out.put(OP.if, VOID);
        this.#labels.push({ k: 'if' });
        follow(end.taken);
        this.#out.byte(OP.else);
        follow(end.fall);
        this.#close();
        break;
      case 'return':
        this.#return(staged, value as E, astray, commit, end);
        break;
      case 'computed':
        this.#computed(staged, value as E, end, follow);
        break;
      case 'dispatch':
        this.#dispatch(staged, end.cases, follow);
        break;
      case 'stop':
        this.#countExit('untranslated');
        this.#leaveAt(end.offset, (this.#depth[node.order] as number) + staged.count);
        this.#br(OP.br, (l) => l.k === 'side');
        break;
      default:
        end satisfies never;
    }
  }

  /** Goes on in a block of the region, or leaves to look `target` up. */
  #goTo(from: Staged, target: Target): void {
    const { block } = target;
    const depth = (this.#depth[from.node.order] as number) + from.count;
    if (block === null) {
      this.#countExit('direct');
      this.#leaveAt(target.offset, depth);
      this.#br(OP.br, (l) => l.k === 'fixed');
      return;
    }
    const to = this.#flow.of(block);
    const ahead = this.#depth[to.order] as number;
    if (to.order <= from.node.order) {
      const { slack } = this.#options;
      this.#spend(slack === undefined ? Math.max(1, depth - ahead) : depth);
      // a computed jump's target is in RIP
      const known = block.end.k === 'dispatch';
      if (!known) this.#set(LOCAL.RIP, i64(target.offset));
      const least = slack === undefined ? 1 : this.#needed(to.order, slack);
      this.#expression(BUDGET.leS(least - 1));
      this.#unlikely.push(this.#out.length);
      this.#br(OP.br_if, (l) => l.k === (known ? 'known' : 'fixed'));
      if (slack !== undefined) this.#spend(-ahead);
      this.#br(OP.br, (l) => l.k === 'loop' && l.node === to);
      return;
    }
    if (this.#options.slack !== undefined) this.#spend(depth - ahead);
    if (to.forward.length > 1) this.#br(OP.br, (l) => l.k === 'merge' && l.node === to);
    else this.#node(to);
  }

  #return(
    staged: Staged,
    value: E,
    astray: readonly Stmt[],
    commit: readonly Stmt[],
    { insn, sites }: Terminator & { k: 'return' },
  ): void {
    let open = 0;
    for (const site of sites) {
      this.#expression(value.eq(BASE.add(i64(site.offset))));
      this.#out.put(OP.if, VOID);
      this.#labels.push({ k: 'if' });
      open++;
      this.#current = staged;
      this.#statements(commit);
      this.#goTo(staged, site);
      this.#out.byte(OP.else);
    }
    this.#current = staged;
    this.#statements(astray);
    this.#statements(commit);
    this.#noteTarget(insn, value);
    this.#leaveTo(staged, value);
    for (; open > 0; open--) this.#close();
  }

  #computed(
    staged: Staged,
    value: E,
    { insn, to }: Terminator & { k: 'computed' },
    follow: (target: Target) => void,
  ): void {
    if (to?.block?.end.k === 'dispatch') {
      this.#set(LOCAL.RIP, value);
      follow(to);
      return;
    }
    if (to?.block) {
      this.#expression(value.eq(BASE.add(i64(to.offset))));
      this.#out.put(OP.if, VOID);
      this.#labels.push({ k: 'if' });
      follow(to);
      this.#close();
      this.#current = staged;
    }
    this.#noteTarget(insn, value);
    this.#leaveTo(staged, value);
  }

  /** For the larger region that may follow a small one. */
  #noteTarget(insn: Instruction, value: E): void {
    if (!this.#options.compact) return;
    const offset = S.CALL_TARGETS + this.#options.siteOf(insn) * 8;
    this.#statements([{ k: 'store', op: 'i64.store', address: this.#ops.cpu, value, offset }]);
  }

  /** Leaves to look up a computed address. */
  #leaveTo(staged: Staged, value: E): void {
    this.#set(LOCAL.RIP, value);
    this.#leaveToRip(staged);
  }
  #leaveToRip(staged: Staged): void {
    this.#countExit(staged.node.block.end.k === 'return' ? 'return' : 'computed');
    this.#spend((this.#depth[staged.node.order] as number) + staged.count);
    this.#br(OP.br, (l) => l.k === 'known');
  }

  /** Goes on at the case whose address is in RIP: a br_table over a hash without collisions, then one comparison. */
  #dispatch(staged: Staged, cases: readonly Target[], follow: (target: Target) => void): void {
    const hash = perfectHash(cases.map((target) => target.offset));
    if (hash !== null) {
      const distance = RIP.sub(BASE);
      this.#open(OP.block, { k: 'if' });
      // the first case is the innermost block
      for (const _ of cases) this.#open(OP.block, { k: 'if' });
      this.#expression(
        distance
          .wrap()
          .mul(hash.multiplier)
          .shrU(32 - hash.bits),
      );
      this.#out.byte(OP.br_table);
      this.#out.u32(hash.slots.length);
      for (const slot of hash.slots) this.#out.u32(slot < 0 ? cases.length : slot);
      this.#out.u32(cases.length);
      cases.forEach((target, i) => {
        this.#close();
        this.#expression(distance.ne(i64(target.offset)));
        this.#unlikely.push(this.#out.length);
        this.#out.byte(OP.br_if);
        this.#out.u32(cases.length - 1 - i);
        follow(target);
      });
      this.#close();
    }
    this.#current = staged;
    this.#leaveToRip(staged);
  }
}
