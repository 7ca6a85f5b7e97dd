/** What a block wants of the flags it is entered with. */
import { ROW_BIT } from '../../x86/row.ts';
import { type Flow, type FlowNode, targetsOf } from './flow.ts';
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

export class FlagNeeds {
  readonly #flow: Flow;
  readonly #known = new Map<FlowNode, FlagNeed>();

  constructor(flow: Flow) {
    this.#flow = flow;
    // least solution: go round until nothing grows
    for (const node of flow.nodes) this.#known.set(node, 'dead');
    for (let changed = true; changed; ) {
      changed = false;
      for (const node of [...flow.nodes].reverse()) {
        const need = this.#compute(node);
        if (need === this.#known.get(node)) continue;
        this.#known.set(node, need);
        changed = true;
      }
    }
  }

  of(node: FlowNode): FlagNeed {
    return this.#known.get(node) as FlagNeed;
  }

  #compute(node: FlowNode): FlagNeed {
    let mayLeave = false;
    const { block } = node;
    const all = 'insn' in block.end ? [...block.instructions, block.end.insn] : block.instructions;
    for (const insn of all) {
      const { reads, writes, quiet } = effect(insn);
      if (reads) return 'read';
      if (!quiet) mayLeave = true;
      if (writes) return mayLeave ? 'exit' : 'dead';
    }
    const targets = targetsOf(block);
    if (targets.length === 0 || ['return', 'computed', 'dispatch'].includes(block.end.k)) mayLeave = true;
    let read = false;
    for (const { block: next } of targets) {
      if (next === null) {
        mayLeave = true;
        continue;
      }
      const to = this.#flow.of(next);
      // a back-edge may leave when the budget is used up
      if (to.order <= node.order) mayLeave = true;
      const need = this.of(to);
      if (need === 'read') read = true;
      else if (need === 'exit') mayLeave = true;
    }
    return read ? 'read' : mayLeave ? 'exit' : 'dead';
  }
}
