/** What a block wants of the flags it is entered with. */
import { ROW_BIT } from '../../x86/row.ts';
import { type Flow, type FlowNode, targetsOf } from './flow.ts';
import type { Block } from './graph.ts';
import type { Instruction } from './instruction.ts';

/**
 * read: computes with them. exit: may leave before they are overwritten, so they must be right. dead: neither.
 */
export type FlagNeed = 'read' | 'exit' | 'dead';

const ARITHMETIC = 'oszapc';
/** Set flags only for a count that is not zero, or keep some of them. */
const PARTIAL =
  /^(SHL|SHR|SAR|SHLD|SHRD|ROL|ROR|RCL|RCR|INC|DEC|BT|BTS|BTR|BTC|CMC|STC|CLC|SAHF|CMPXCHG8B|CMPXCHG16B)$/;
/** With a register operand these can't fault. */
const QUIET =
  /^(MOV|MOVZX|MOVSX|MOVSXD|LEA|ADD|ADC|SUB|SBB|AND|OR|XOR|CMP|TEST|NOT|NEG|INC|DEC|SH[LR]|SAR|RO[LR]|RC[LR]|SHLD|SHRD|IMUL|MUL|BSWAP|CBW|CWD|CMOV\w+|SET\w+|BT|BTS|BTR|BTC|BSF|BSR|POPCNT|XCHG|NOP|J\w+|LAHF|SAHF|CLC|STC|CMC)$/;

const known = new Map<
  number,
  { readonly reads: boolean; readonly writes: boolean; readonly quiet: boolean }
>();

function effect(insn: Instruction): {
  readonly reads: boolean;
  readonly writes: boolean;
  readonly quiet: boolean;
} {
  const { row } = insn;
  const key = row.index * 2 + (insn.memory ? 1 : 0);
  let e = known.get(key);
  if (e === undefined) {
    const { read, written, undefined: spoiled } = row.flags;
    const has = (flags: string): boolean => [...flags].some((f) => ARITHMETIC.includes(f));
    const partial = PARTIAL.test(row.mnemonic);
    const touches = insn.memory && (row.bits & (ROW_BIT.LEA | ROW_BIT.NOMEM)) === 0;
    e = {
      reads: has(read) || (partial && has(written + spoiled)),
      writes: [...ARITHMETIC].every((f) => (written + spoiled).includes(f)),
      quiet: !touches && QUIET.test(row.mnemonic) && (row.bits & ROW_BIT.STACK) === 0,
    };
    known.set(key, e);
  }
  return e;
}

/** What a block does by itself: `need` is null when it leaves what it was entered with to the next. */
interface Own {
  readonly need: FlagNeed | null;
  readonly mayLeave: boolean;
}

export class FlagNeeds {
  /** By the node's order. */
  readonly #known: FlagNeed[];

  constructor(flow: Flow) {
    const own = flow.nodes.map((node) => ownNeed(node.block));
    this.#known = flow.nodes.map(() => 'dead');
    // least solution: go round until nothing grows
    for (let changed = true; changed; ) {
      changed = false;
      for (let order = flow.nodes.length - 1; order >= 0; order--) {
        const { need, mayLeave } = own[order] as Own;
        const now = need ?? this.#passedOn(flow, flow.nodes[order] as FlowNode, mayLeave);
        if (now === this.#known[order]) continue;
        this.#known[order] = now;
        changed = true;
      }
    }
  }

  of(node: FlowNode): FlagNeed {
    return this.#known[node.order] as FlagNeed;
  }

  #passedOn(flow: Flow, node: FlowNode, leaves: boolean): FlagNeed {
    let mayLeave = leaves;
    let read = false;
    for (const { block: next } of targetsOf(node.block)) {
      if (next === null) {
        mayLeave = true;
        continue;
      }
      const to = flow.of(next);
      // a back-edge may leave when the budget is used up
      if (to.order <= node.order) mayLeave = true;
      const need = this.of(to);
      if (need === 'read') read = true;
      else if (need === 'exit') mayLeave = true;
    }
    return read ? 'read' : mayLeave ? 'exit' : 'dead';
  }
}

function ownNeed(block: Block): Own {
  let mayLeave = false;
  const { instructions, end } = block;
  const last = 'insn' in end ? end.insn : null;
  for (let i = 0; i <= instructions.length; i++) {
    const insn = instructions[i] ?? last;
    if (insn === null) break;
    const { reads, writes, quiet } = effect(insn);
    if (reads) return { need: 'read', mayLeave };
    if (!quiet) mayLeave = true;
    if (writes) return { need: mayLeave ? 'exit' : 'dead', mayLeave };
  }
  const anywhere = targetsOf(block).length === 0 || ['return', 'computed', 'dispatch'].includes(end.k);
  return { need: null, mayLeave: mayLeave || anywhere };
}
