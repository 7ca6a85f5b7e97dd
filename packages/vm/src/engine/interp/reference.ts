/**
 * The interpreter once more, by evaluation: runs decoded records as the run loop does, with the reference evaluator
 * in place of generated code. For tests of the generator and for `viv debug explain`.
 */
import type { Definition } from '../../x86/block.ts';
import { type EvalMachine, type EvalMemory, evaluate, evaluateCall } from '../../x86/eval.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { WARM_DEFINITIONS } from './functions.ts';
import { FIRST_FORM, FORMS } from './handlers.ts';
import { InterpOps } from './interp-ops.ts';
import { MICRO_FUNCTIONS } from './micro.ts';

const FUNCTIONS: ReadonlyMap<string, Definition> = new Map(WARM_DEFINITIONS.map((d) => [d.name, d]));

const staged = new Map<number, InterpOps>();

/** What handler `number` does, memory accesses as calls; null for micro-operations. */
export function stagedHandler(number: number): InterpOps | null {
  const form = FORMS[number - FIRST_FORM];
  if (form === undefined) return null;
  let ops = staged.get(number);
  if (ops === undefined) {
    ops = new InterpOps(form, false);
    form.row.semantics(ops);
    staged.set(number, ops);
  }
  return ops;
}

export interface ReferenceOptions {
  readonly memory: EvalMemory;
  /** Host address of the vCPU's area. */
  readonly area: number;
  /** The module's imports; without the hidden first argument. */
  readonly imports: EvalMachine['imports'];
}

/**
 * Runs records from `record` on until one goes elsewhere. BLOCK_RIP must be set.
 * @returns the last record and its STATUS (never NEXT)
 */
export function runRecords(o: ReferenceOptions, first: number): { record: number; status: number } {
  const machine: EvalMachine = { memory: o.memory, cpu: o.area, functions: FUNCTIONS, imports: o.imports };
  for (let record = first; ; record += S.REC.SIZE) {
    const handler = Number(o.memory.load(record + S.REC.HANDLER, 2));
    const status = runRecord(machine, handler, record);
    if (status !== STATUS.NEXT) return { record, status };
  }
}

function runRecord(machine: EvalMachine, handler: number, record: number): number {
  const ops = stagedHandler(handler);
  if (ops === null)
    return Number(evaluateCall(machine, MICRO_FUNCTIONS[handler] as string, [BigInt(record)]));
  const ended = evaluate(machine, ops.statements, record);
  if (ended === undefined) return STATUS.NEXT;
  if ('value' in ended) return Number(ended.value);
  return ended.how === 'next' ? STATUS.NEXT : ended.how === 'jump' ? STATUS.JUMP : STATUS.EXIT;
}
