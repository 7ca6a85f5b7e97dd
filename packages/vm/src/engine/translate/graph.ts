/**
 * Which guest code a region is made of: basic blocks reached from the entry by direct jumps and calls, as long as
 * they were executed often enough. A callee is copied into each place it is called from, so its return is known; a
 * function that calls itself becomes a loop. Where the function that the entry lies in is expected to return to, a piece
 * of its caller is copied too.
 */
import { ROW_BIT } from '../../x86/row.ts';
import type { Instruction, InstructionReader } from './instruction.ts';
import { isTranslatable } from './translatable.ts';

export interface RegionLimits {
  readonly maxBlocks: number;
  readonly maxInstructions: number;
  /** Calls inside calls that are copied. */
  readonly maxDepth: number;
  /** Blocks when some are reached by computed jumps; 0 = computed jumps leave. */
  readonly maxCases: number;
  /** Repeated string instructions too: not where each iteration counts. */
  readonly repeats: boolean;
}

/** Where control goes: a block of the region, or out of it to an offset from the entry. */
export interface Target {
  readonly offset: number;
  /** Set when the graph is complete; null = leave. */
  block: Block | null;
}

export type Terminator =
  /** Goes on behind the last instruction. */
  | { readonly k: 'fall'; readonly to: Target }
  | { readonly k: 'jump'; readonly insn: Instruction; readonly to: Target }
  | { readonly k: 'branch'; readonly insn: Instruction; readonly taken: Target; readonly fall: Target }
  | { readonly k: 'call'; readonly insn: Instruction; readonly to: Target }
  | { readonly k: 'return'; readonly insn: Instruction; readonly sites: Target[] }
  /** An instruction that computes where execution goes on. */
  | {
      readonly k: 'computed';
      readonly insn: Instruction;
      /** Where the region's computed jumps meet, or where it is expected to go. */
      readonly to: Target | null;
    }
  /** No instruction: from computed jumps to what they are known to jump to. */
  | { readonly k: 'dispatch'; readonly cases: Target[] }
  /** The interpreter's instruction. */
  | { readonly k: 'stop'; readonly offset: number };

export interface Block {
  readonly offset: number;
  readonly instructions: Instruction[];
  end: Terminator;
}

/** One copy of a function. */
interface Copy {
  readonly entry: number;
  readonly parent: Copy | null;
  /** Where its return goes in the parent. */
  readonly returnTo: number;
  readonly depth: number;
  /** Blocks that it may still get. */
  room: number;
  /** Without a parent: copies of callers, by the offset that returns go to. */
  readonly callers: Map<number, Copy>;
  readonly blocks: Map<number, Block>;
  /** Offset of each instruction → its block. */
  readonly owner: Map<number, Block>;
  /** Return sites of calls to itself from inside. */
  readonly recursive: { readonly copy: Copy; readonly offset: number }[];
  /** Where its computed jumps meet. */
  dispatch: Block | null;
}

interface Work {
  readonly copy: Copy;
  readonly offset: number;
  readonly heat: number;
}
/** Edges to be connected once all blocks are there. */
interface Loose {
  readonly copy: Copy;
  readonly target: Target;
}

export interface Profile {
  /** How hot the block at an offset is. */
  readonly heat: (offset: number) => number;
  /** Where a return or a computed call or jump is expected to go: an offset, NaN when nobody knows. */
  readonly expected: (insn: Instruction) => number;
  /** May all that the computed jump `insn` leads to be part of the region? */
  readonly mayDispatch: (insn: Instruction) => boolean;
}

export function formGraph(reader: InstructionReader, profile: Profile, limits: RegionLimits): Block[] {
  return new Former(reader, profile, limits).form();
}

/** Bytes around a function's known code in which targets of its computed jumps are looked for. */
const CASES_BEFORE = 32768;
const CASES_BEHIND = 32768;
/** Blocks of a caller, and how many callers up. */
const CALLER_BLOCKS = 12;
const CALLERS = 2;
/** Whose code moves apart from the entry's must not be part of the region: bytes between them at most. */
const SAME_PROGRAM = 1 << 22;

class Former {
  readonly #reader: InstructionReader;
  readonly #heat: (offset: number) => number;
  readonly #expected: (insn: Instruction) => number;
  readonly #mayDispatch: (insn: Instruction) => boolean;
  readonly #limits: RegionLimits;
  readonly #work: Work[] = [];
  readonly #loose: Loose[] = [];
  readonly #returns: { copy: Copy; sites: Target[] }[] = [];
  readonly #blocks: Block[] = [];
  /** Entries of functions and places that calls return to. */
  readonly #elsewhere = new Set<number>();
  #instructions = 0;
  #minHeat = 1;

  constructor(reader: InstructionReader, { heat, expected, mayDispatch }: Profile, limits: RegionLimits) {
    this.#reader = reader;
    this.#heat = heat;
    this.#expected = expected;
    this.#mayDispatch = mayDispatch;
    this.#limits = limits;
  }

  form(): Block[] {
    const root = newCopy(0, null, 0, 0);
    const entryHeat = this.#heat(0);
    this.#minHeat = Math.max(1, Math.min(entryHeat, 1 << 20) / 16);
    this.#work.push({ copy: root, offset: 0, heat: Infinity });
    const { maxBlocks, maxInstructions, maxCases } = this.#limits;
    this.#grow(maxBlocks, maxInstructions);
    if (root.dispatch !== null) {
      this.#work.length = 0;
      this.#findCases(root, root.dispatch);
      this.#grow(maxCases, maxInstructions * 6);
    }
    for (const { copy, target } of this.#loose) target.block = copy.blocks.get(target.offset) ?? null;
    for (const { copy, sites } of this.#returns) {
      if (copy.parent !== null) this.#site(sites, copy.parent, copy.returnTo);
      for (const [offset, caller] of copy.callers) this.#site(sites, caller, offset);
      for (const { copy: caller, offset } of copy.recursive) this.#site(sites, caller, offset);
    }
    return this.#blocks;
  }

  #grow(maxBlocks: number, maxInstructions: number): void {
    while (this.#work.length > 0) {
      const next = this.#takeHottest();
      const { copy } = next;
      if (copy.blocks.has(next.offset) || copy.room === 0) continue;
      copy.room--;
      if (this.#blocks.length >= maxBlocks || this.#instructions >= maxInstructions) break;
      this.#visit(next.copy, next.offset);
    }
  }

  /**
   * Whatever is hot around a computed jump and reached in no other way is taken for one of its targets; a wrong guess
   * costs its place in the region.
   */
  #findCases(copy: Copy, dispatch: Block): void {
    if (dispatch.end.k !== 'dispatch') return;
    // the entry was reached somehow
    dispatch.end.cases.push(this.#target(copy, 0));
    const offsets = [...copy.owner.keys()];
    const first = Math.min(...offsets) - CASES_BEFORE;
    const last = Math.max(...offsets) + CASES_BEHIND;
    for (let at = first; at < last && dispatch.end.cases.length < this.#limits.maxCases; at++) {
      if (copy.owner.has(at) || this.#elsewhere.has(at) || this.#heat(at) < this.#minHeat) continue;
      dispatch.end.cases.push(this.#target(copy, at));
    }
  }

  #site(sites: Target[], copy: Copy, offset: number): void {
    const block = copy.blocks.get(offset);
    if (block !== undefined && !sites.some((s) => s.block === block)) sites.push({ offset, block });
  }

  #takeHottest(): Work {
    let best = 0;
    for (let i = 1; i < this.#work.length; i++)
      if ((this.#work[i] as Work).heat > (this.#work[best] as Work).heat) best = i;
    return this.#work.splice(best, 1)[0] as Work;
  }

  #target(copy: Copy, offset: number): Target {
    const target: Target = { offset, block: null };
    this.#loose.push({ copy, target });
    const heat = this.#heat(offset);
    if (heat >= this.#minHeat) this.#work.push({ copy, offset, heat });
    return target;
  }

  #visit(copy: Copy, offset: number): void {
    const inside = copy.owner.get(offset);
    if (inside !== undefined) {
      this.#split(copy, inside, offset);
      return;
    }
    const block: Block = { offset, instructions: [], end: { k: 'stop', offset } };
    let at = offset;
    for (;;) {
      if (at !== offset && copy.owner.has(at)) {
        // runs into a block that is there already
        block.end = { k: 'fall', to: this.#target(copy, at) };
        this.#work.push({ copy, offset: at, heat: Infinity });
        break;
      }
      const insn = this.#reader.at(at);
      if (insn === null || !this.#takes(insn)) {
        block.end = { k: 'stop', offset: at };
        break;
      }
      const end = this.#terminator(copy, insn);
      if (end !== null) {
        block.end = end;
        copy.owner.set(at, block);
        this.#instructions++;
        break;
      }
      block.instructions.push(insn);
      copy.owner.set(at, block);
      this.#instructions++;
      at += insn.length;
      if ((insn.row.bits & ROW_BIT.STI) !== 0 || block.instructions.length >= 128) {
        block.end = { k: 'fall', to: { offset: at, block: null } };
        break;
      }
    }
    copy.blocks.set(offset, block);
    this.#blocks.push(block);
  }

  #takes(insn: Instruction): boolean {
    const repeats = (insn.row.bits & ROW_BIT.STRING) !== 0 && (insn.rep || insn.repne);
    return (this.#limits.repeats || !repeats) && isTranslatable(insn);
  }

  #split(copy: Copy, block: Block, offset: number): void {
    const cut = block.instructions.findIndex((insn) => insn.offset === offset);
    const first = cut < 0 ? block.instructions.length : cut;
    const rest: Block = { offset, instructions: block.instructions.splice(first), end: block.end };
    block.end = { k: 'fall', to: { offset, block: rest } };
    for (const insn of rest.instructions) copy.owner.set(insn.offset, rest);
    if ('insn' in rest.end) copy.owner.set(rest.end.insn.offset, rest);
    copy.blocks.set(offset, rest);
    this.#blocks.push(rest);
  }

  /** How the block ends with `insn`; null = it goes on. */
  #terminator(copy: Copy, insn: Instruction): Terminator | null {
    if ((insn.row.bits & ROW_BIT.END) === 0) return null;
    const { mnemonic, operands } = insn.row;
    const relative = operands[0]?.kind === 'J' && insn.opsize === 8;
    const next = insn.offset + insn.length;
    if (relative && conditionOf(insn) >= 0) {
      const taken = this.#target(copy, relativeTarget(insn));
      return { k: 'branch', insn, taken, fall: this.#target(copy, next) };
    }
    if (relative && mnemonic === 'JMP')
      return { k: 'jump', insn, to: this.#target(copy, relativeTarget(insn)) };
    if (relative && mnemonic === 'CALL') return this.#call(copy, insn, relativeTarget(insn), next);
    if (mnemonic === 'RET' && insn.opsize === 8) {
      const sites: Target[] = [];
      this.#returns.push({ copy, sites });
      if (copy.parent === null) this.#toCaller(copy, insn);
      return { k: 'return', insn, sites };
    }
    // a jump in a callee is most often the way into a shared library
    const isExpected = mnemonic === 'CALL' || (mnemonic === 'JMP' && copy.parent !== null);
    if (this.#limits.maxDepth > 0 && isExpected) {
      const entry = this.#expected(insn);
      if (!Number.isNaN(entry)) {
        const to = mnemonic === 'JMP' ? this.#target(copy, entry) : this.#call(copy, insn, entry, next).to;
        return { k: 'computed', insn, to };
      }
    }
    if (mnemonic !== 'JMP' || copy.depth > 0 || this.#limits.maxCases === 0)
      return { k: 'computed', insn, to: null };
    if (copy.dispatch === null && !this.#mayDispatch(insn)) return { k: 'computed', insn, to: null };
    if (copy.dispatch === null) {
      copy.dispatch = { offset: insn.offset, instructions: [], end: { k: 'dispatch', cases: [] } };
      this.#blocks.push(copy.dispatch);
    }
    return { k: 'computed', insn, to: { offset: insn.offset, block: copy.dispatch } };
  }

  #call(copy: Copy, insn: Instruction, entry: number, next: number): Terminator & { k: 'call' } {
    this.#elsewhere.add(entry);
    this.#elsewhere.add(next);
    for (let c: Copy | null = copy; c !== null; c = c.parent) {
      if (c.entry !== entry) continue;
      c.recursive.push({ copy, offset: next });
      this.#follow(copy, next);
      return { k: 'call', insn, to: this.#target(c, entry) };
    }
    const heat = this.#heat(entry);
    if (copy.depth >= this.#limits.maxDepth || heat < this.#minHeat)
      return { k: 'call', insn, to: { offset: entry, block: null } };
    const callee = newCopy(entry, copy, next, copy.depth + 1);
    this.#follow(copy, next);
    return { k: 'call', insn, to: this.#target(callee, entry) };
  }
  /** A function whose caller is not known returns to where it returned last. */
  #toCaller(copy: Copy, insn: Instruction): void {
    const to = this.#limits.maxDepth > 0 && copy.depth < CALLERS ? this.#expected(insn) : Number.NaN;
    if (!(Math.abs(to) < SAME_PROGRAM) || copy.callers.has(to)) return;
    const heat = this.#heat(to);
    if (heat < this.#minHeat) return;
    const caller = newCopy(to, null, 0, copy.depth + 1, CALLER_BLOCKS);
    copy.callers.set(to, caller);
    // the function itself goes first
    this.#work.push({ copy: caller, offset: to, heat: heat / 2 });
  }
  #follow(copy: Copy, offset: number): void {
    const heat = this.#heat(offset);
    if (heat >= this.#minHeat) this.#work.push({ copy, offset, heat });
  }
}

function newCopy(
  entry: number,
  parent: Copy | null,
  returnTo: number,
  depth: number,
  room: number = Infinity,
): Copy {
  return {
    entry,
    parent,
    returnTo,
    depth,
    room,
    callers: new Map(),
    blocks: new Map(),
    owner: new Map(),
    recursive: [],
    dispatch: null,
  };
}

/** Condition code of Jcc, −1 for everything else. */
export function conditionOf(insn: Instruction): number {
  const { map, opcode } = insn.row.encoding;
  if (map === '' && (opcode & 0xf0) === 0x70) return opcode & 15;
  return map === '0F' && (opcode & 0xf0) === 0x80 ? opcode & 15 : -1;
}

function relativeTarget(insn: Instruction): number {
  return insn.offset + insn.length + Number(insn.immediate);
}
