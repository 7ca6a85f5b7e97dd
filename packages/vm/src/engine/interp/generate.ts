/**
 * Generates the interpreter: one WebAssembly module with every handler, the warm functions and the run loop.
 *
 *   run(cpu): dispatches records until something outside the guest's code has to happen; returns RUN_EXIT.
 *
 * Hot handlers stand in the run loop behind one br_table; all others are functions of their own, which V8 compiles
 * only when they first run.
 */
import { Bytes, type FunctionBody, ModuleBuilder } from '../../wasm/module.ts';
import type { Ty } from '../../wasm/opcodes.ts';
import type { Definition, End, Stmt } from '../../x86/block.ts';
import { type EmitContext, emitStatements } from '../../x86/emit.ts';
import type { Form } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { LOCAL, LOCAL_TYPES } from '../translate/locals.ts';
import { REGION_STATUS } from '../translate/region.ts';
import { emitNextRegion, LOAD_NEXT } from '../translate/region-frame.ts';
import { RUN_EXIT, STATUS } from '../unit.ts';
import {
  Assembler,
  BYPASS_LOCAL,
  CPU,
  ENTRY_LOCAL,
  FIRST_POOL,
  HEAT_LOCAL,
  LINK_LOCAL,
  REC_LOCAL,
  RIP_LOCAL,
} from './assembler.ts';
import { WARM_DEFINITIONS } from './functions.ts';
import { DIGEST_SECTION, tableDigest } from './digest.ts';
import { FIRST_FORM, FORMS, LINKS } from './handlers.ts';
import { InterpOps } from './interp-ops.ts';
import { isHot } from './hot.ts';
import { followLink, setLink } from './links.ts';
import { MICRO_FUNCTIONS } from './micro.ts';

const IMPORTS: readonly { name: string; params: readonly Ty[]; result: Ty | null }[] = [
  { name: 'mmio_read', params: ['i32', 'i32', 'i32'], result: 'i32' },
  { name: 'mmio_write', params: ['i32', 'i32', 'i32', 'i32'], result: null },
  { name: 'system', params: ['i32', 'i32'], result: 'i32' },
  { name: 'code_written', params: ['i32', 'i32'], result: null },
  { name: 'forget_blocks', params: [], result: null },
  { name: 'clock_ns', params: ['i32'], result: 'f64' },
  { name: 'watch', params: ['i32', 'i32', 'i32', 'i32'], result: null },
];
/**
 * @param memoryPages bounds of the imported memory
 * @param inline which forms stand in the run loop (benchmarks of that choice)
 * @param traced calls the import `env.trace(cpu, record)` before each block (recordings for benchmarks)
 */
export function generateInterpreter(
  memoryPages: { min: number; max: number },
  inline: (form: Form) => boolean = isHot,
  traced: boolean = false,
): Uint8Array {
  const module = new ModuleBuilder();
  const indices = new Map<string, number>();
  for (const f of IMPORTS) indices.set(f.name, module.import('env', f.name, ['i32', ...f.params], f.result));
  if (traced) indices.set('trace', module.import('env', 'trace', ['i32', 'i32'], null));
  for (const d of WARM_DEFINITIONS) {
    if (indices.has(d.name)) throw new Error(`two functions are called ${d.name}`);
    indices.set(d.name, module.reserve());
  }
  const functionIndex = (name: string): number => {
    const index = indices.get(name);
    if (index === undefined) throw new Error(`no function is called ${name}`);
    return index;
  };
  for (const d of WARM_DEFINITIONS) module.body(functionIndex(d.name), definitionBody(d, functionIndex));
  // TypeScript calls some of them, translated code others
  for (const { name } of WARM_DEFINITIONS) module.export(name, functionIndex(name));

  const table = MICRO_FUNCTIONS.map(functionIndex);
  const inlined: { handler: number; ops: InterpOps }[] = [];
  FORMS.forEach((form, i) => {
    const hot = inline(form);
    const ops = stage(i, hot);
    if (hot && !hasReturn(ops.statements)) {
      inlined.push({ handler: FIRST_FORM + i, ops });
      table.push(functionIndex('micro_stale'));
      return;
    }
    const index = module.reserve();
    const name = `${form.row.text.split('|')[0]?.trim()} ${form.opsize}${form.memory ? 'm' : ''}`;
    module.body(index, handlerBody(name, hot ? stage(i, false) : ops, functionIndex));
    table.push(index);
  });
  const chain = module.reserve();
  module.body(chain, chainBody(module.type(['i32'], 'i32')));
  module.export('region_chain', chain);
  const run = module.reserve();
  module.body(
    run,
    runLoop(
      inlined,
      table.length,
      functionIndex,
      {
        handler: module.type(['i32', 'i32'], 'i32'),
        region: module.type(['i32'], 'i32'),
      },
      traced,
    ),
  );
  module.export('run', run);
  module.table(table);
  module.secondTable('regions', 1);
  module.custom(DIGEST_SECTION, tableDigest());
  return module.write(memoryPages);
}

/** Bytes of the generated code of handler `number` as a function of its own (calls with two-byte indices). */
export function handlerSize(number: number): number {
  const form = FORMS[number - FIRST_FORM];
  if (form === undefined) return 0;
  return handlerBody('', stage(number - FIRST_FORM, isHot(form)), () => 200).code.length;
}

function stage(formIndex: number, inline: boolean): InterpOps {
  const form = FORMS[formIndex];
  if (form === undefined) throw new Error(`no form ${formIndex}`);
  const ops = new InterpOps(form, inline);
  form.row.semantics(ops);
  return ops;
}

function hasReturn(statements: readonly Stmt[]): boolean {
  return statements.some(
    (s) =>
      s.k === 'return' ||
      (s.k === 'if' && (hasReturn(s.then) || hasReturn(s.else))) ||
      (s.k === 'loop' && hasReturn(s.body)),
  );
}

function definitionBody(d: Definition, functionIndex: (name: string) => number): FunctionBody {
  const code = new Bytes();
  const context: EmitContext = {
    cpu: 0,
    record: -1,
    firstParam: 1,
    local: (i) => 1 + d.params.length + i,
    functionIndex,
    end: (how) => {
      throw new Error(`${d.name} is no instruction and cannot end with ${how}`);
    },
  };
  emitStatements(d.body.statements, code, context);
  if (d.result !== null) code.byte(0x00);
  return {
    name: d.name,
    params: ['i32', ...d.params],
    result: d.result,
    locals: d.body.locals,
    code: code.bytes().slice(),
  };
}

const STATUS_OF: Readonly<Record<End, number>> = { next: STATUS.NEXT, jump: STATUS.JUMP, exit: STATUS.EXIT };

function handlerBody(name: string, ops: InterpOps, functionIndex: (name: string) => number): FunctionBody {
  const code = new Bytes();
  emitStatements(ops.statements, code, {
    cpu: 0,
    record: 1,
    firstParam: -1,
    local: (i) => 2 + i,
    functionIndex,
    end: (how, out) => out.put(0x41, STATUS_OF[how], 0x0f),
  });
  code.put(0x41, 0);
  return { name, params: ['i32', 'i32'], result: 'i32', locals: ops.locals, code: code.bytes().slice() };
}

/** `region_chain(cpu)`: goes on in the region at RIP, if the jump cache knows one. Small regions end with it. */
function chainBody(regionType: number): FunctionBody {
  const code = new Bytes();
  const locals = [LOCAL.RIP, LOCAL.STATUS, LOCAL.BUDGET, LOCAL.TLB, LOCAL.FLAGS_KIND];
  const context: EmitContext = {
    cpu: 0,
    record: -1,
    firstParam: -1,
    local: (i) => 1 + locals.indexOf(i as never),
    functionIndex: () => -1,
    end: () => {},
  };
  emitStatements(LOAD_NEXT, code, context);
  emitNextRegion(code, context, regionType, 1, () => {});
  code.put(0x41, REGION_STATUS.CHAIN);
  const types = locals.map((i) => LOCAL_TYPES[i] as Ty);
  return { name: 'region_chain', params: ['i32'], result: 'i32', locals: types, code: code.bytes().slice() };
}

function runLoop(
  inlined: readonly { handler: number; ops: InterpOps }[],
  handlers: number,
  functionIndex: (name: string) => number,
  types: { readonly handler: number; readonly region: number },
  traced: boolean,
): FunctionBody {
  const a = new Assembler();
  const { out } = a;
  const pool = new LocalPool(FIRST_POOL);
  const n = inlined.length;
  a.op(0x03, 0x40); // loop lookup
  // leave when the budget is used up or the mailbox wants attention
  a.get(CPU);
  a.load(S.BUDGET);
  a.i32(0);
  a.op(0x4c); // le_s
  a.get(CPU);
  a.load(0);
  a.op(0x72, 0x04, 0x40); // or, if
  a.get(CPU);
  a.i32(0);
  a.store(S.RECORD);
  a.i32(RUN_EXIT.BOUNDARY);
  a.op(0x0f, 0x0b); // return, end
  // jump cache
  a.get(CPU);
  a.load64(S.RIP);
  a.tee(RIP_LOCAL);
  a.get(RIP_LOCAL);
  a.op(0x42, 12, 0x88, 0x85, 0xa7); // i64.const 12, shr_u, xor, wrap
  a.i32(S.JUMP_CACHE_ENTRIES - 1);
  a.op(0x71, 0x41, 4, 0x74); // and, i32.const 4, shl
  a.get(CPU);
  a.op(0x6a); // add
  a.tee(ENTRY_LOCAL);
  a.load64(S.JUMP_CACHE);
  a.get(RIP_LOCAL);
  a.op(0x51); // i64.eq
  a.get(ENTRY_LOCAL);
  a.load(S.JUMP_CACHE + 12);
  a.get(CPU);
  a.load(S.JUMP_KEY);
  a.op(0x46, 0x71, 0x04, 0x40); // i32.eq, and, if
  a.get(ENTRY_LOCAL);
  a.load(S.JUMP_CACHE + 8);
  a.set(REC_LOCAL);
  a.op(0x05); // else
  a.get(CPU);
  a.get(RIP_LOCAL);
  a.call(functionIndex('find_block'));
  orNoBlock(a, functionIndex('deliver_fault'));
  a.op(0x0b); // end
  setLink(a);
  enterRegion(a, functionIndex, types.region);
  const enterBlock = (): void => {
    countHeat(a);
    a.get(CPU);
    a.get(RIP_LOCAL);
    a.store64(S.BLOCK_RIP);
    if (!traced) return;
    a.get(CPU);
    a.get(REC_LOCAL);
    a.call(functionIndex('trace'));
  };
  enterBlock();

  a.op(0x03, 0x40); // loop next
  for (const _ of ['exit', 'jump', 'jump with one link', 'jump with two', 'default']) a.op(0x02, 0x40); // block
  for (let i = 0; i < n; i++) a.op(0x02, 0x40);
  a.get(REC_LOCAL);
  a.load16u(S.REC.HANDLER);
  a.op(0x0e);
  out.u32(handlers);
  const label = new Map(inlined.map(({ handler }, i) => [handler, i]));
  for (let h = 0; h < handlers; h++) out.u32(label.get(h) ?? n);
  out.u32(n);
  inlined.forEach(({ handler, ops }, i) => {
    a.op(0x0b); // end of the block that leads here
    const toDefault = n - 1 - i;
    const toJump = 3 - (LINKS[handler] as number);
    const end = (how: End, o: Bytes, depth: number): void => {
      if (how === 'next') o.put(0x20, REC_LOCAL, 0x41, S.REC.SIZE, 0x6a, 0x21, REC_LOCAL);
      o.byte(0x0c);
      o.u32(toDefault + depth + (how === 'jump' ? toJump : how === 'exit' ? 4 : 5));
    };
    pool.reset();
    const locals = ops.locals.map((ty) => pool.take(ty));
    const context: EmitContext = {
      cpu: CPU,
      record: REC_LOCAL,
      firstParam: -1,
      local: (l) => locals[l] as number,
      functionIndex,
      end,
    };
    emitStatements(ops.statements, out, context);
    end('next', out, 0);
  });
  a.op(0x0b); // default: a function
  a.get(CPU);
  a.get(REC_LOCAL);
  a.get(REC_LOCAL);
  a.load16u(S.REC.HANDLER);
  a.op(0x11);
  out.u32(types.handler);
  a.op(0);
  a.tee(ENTRY_LOCAL);
  a.op(0x45, 0x04, 0x40); // eqz, if
  a.get(REC_LOCAL);
  a.i32(S.REC.SIZE);
  a.op(0x6a);
  a.set(REC_LOCAL);
  a.br(5);
  a.op(0x0b);
  a.get(ENTRY_LOCAL);
  a.i32(STATUS.EXIT);
  a.op(0x46, 0x0d, 3); // eq, br_if exit
  a.br(2); // jump
  for (const links of [2, 1] as const) {
    a.op(0x0b); // jump with links
    followLink(a, links, links + 1, enterBlock);
    a.br(links + 2); // past what is between here and the lookup
  }
  a.op(0x0b); // jump
  spend(a, 1);
  a.br(2); // past exit and next: lookup
  a.op(0x0b); // exit
  spend(a, 0);
  a.get(CPU);
  a.get(REC_LOCAL);
  a.store(S.RECORD);
  a.get(CPU);
  a.get(REC_LOCAL);
  a.call(functionIndex('deliver_fault'));
  a.op(0x0d, 1); // br_if lookup
  a.i32(RUN_EXIT.RECORD);
  a.op(0x0f, 0x0b, 0x0b, 0x00); // return, end next, end lookup, unreachable
  return {
    name: 'run',
    params: ['i32'],
    result: 'i32',
    locals: ['i32', 'i64', 'i32', 'i32', 'i32', 'i32', ...pool.types],
    code: out.bytes().slice(),
  };
}

/**
 * REC = the value on the stack. Without one delivers the fault, or leaves: FAULT or FETCH_HOST tell why. The loop is two
 * labels further out.
 */
function orNoBlock(a: Assembler, deliverFault: number): void {
  a.tee(REC_LOCAL);
  a.op(0x45, 0x04, 0x40); // eqz, if
  a.get(CPU);
  a.i32(0);
  a.call(deliverFault);
  a.op(0x04, 0x40); // if
  a.i32(0);
  a.tee(LINK_LOCAL);
  a.set(BYPASS_LOCAL);
  a.br(3); // lookup
  a.op(0x0b); // end
  a.get(CPU);
  a.i32(0);
  a.store(S.RECORD);
  a.i32(RUN_EXIT.NO_BLOCK);
  a.op(0x0f, 0x0b); // return, end
}

/** If REC is slot << 3 | 1: runs the region and looks its RIP up; to bypass it, REC becomes the record of its block. */
function enterRegion(a: Assembler, functionIndex: (name: string) => number, type: number): void {
  const add64 = (offset: number, value: () => void): void => {
    a.get(CPU);
    a.get(CPU);
    a.load64(offset);
    value();
    a.op(0x7c); // i64.add
    a.store64(offset);
  };
  a.get(REC_LOCAL);
  a.op(0x41, 1, 0x71, 0x04, 0x40); // i32.const 1, and, if
  a.get(BYPASS_LOCAL);
  a.op(0x45, 0x04, 0x40); // eqz, if
  a.get(REC_LOCAL);
  a.op(0x41, 3, 0x76); // i32.const 3, shr_u
  a.set(REC_LOCAL);
  a.get(CPU);
  a.get(REC_LOCAL);
  a.op(0x41, 2, 0x74, 0x6a); // i32.const 2, shl, add
  a.tee(ENTRY_LOCAL);
  a.get(ENTRY_LOCAL);
  a.load(S.REGION_COUNTS);
  a.op(0x41, 1, 0x6a); // i32.const 1, add
  a.tee(HEAT_LOCAL);
  a.store(S.REGION_COUNTS);
  a.get(HEAT_LOCAL);
  a.i32(S.REGION_HOT);
  a.op(0x46, 0x04, 0x40); // i32.eq, if
  a.get(CPU);
  a.get(REC_LOCAL);
  a.store(S.RECORD);
  a.i32(RUN_EXIT.HOT_REGION);
  a.op(0x0f, 0x0b); // return, end
  a.get(CPU);
  a.load(S.BUDGET);
  a.set(ENTRY_LOCAL);
  a.get(CPU);
  a.get(REC_LOCAL);
  a.op(0x11); // call_indirect
  a.out.u32(type);
  a.op(1);
  a.set(BYPASS_LOCAL);
  add64(S.REGION_INTERPRETS, () => {
    a.get(BYPASS_LOCAL);
    a.op(0xad); // i64.extend_i32_u
  });
  add64(S.REGION_INSTRUCTIONS, () => {
    a.get(ENTRY_LOCAL);
    a.get(CPU);
    a.load(S.BUDGET);
    a.op(0x6b); // sub
    // an instruction that wants the run loop to leave has taken BUDGET_LEAVE off
    a.i32(S.BUDGET_LEAVE - 1);
    a.op(0x71, 0xad); // and, i64.extend_i32_u
  });
  a.br(2); // lookup
  a.op(0x0b); // end
  a.get(CPU);
  a.get(RIP_LOCAL);
  a.call(functionIndex('plain_block'));
  orNoBlock(a, functionIndex('deliver_fault'));
  a.op(0x0b); // end
  a.get(BYPASS_LOCAL);
  a.op(0x04, 0x40); // if
  a.get(CPU);
  a.get(REC_LOCAL);
  a.call(functionIndex('count_left'));
  a.i32(0);
  a.set(BYPASS_LOCAL);
  a.op(0x0b); // end
}

/** Counts an execution of the block at REC; leaves when it has become hot. */
function countHeat(a: Assembler): void {
  a.get(REC_LOCAL);
  a.i32(S.BLOCK.HEAT - S.BLOCK.SIZE);
  a.op(0x6a); // add
  a.tee(ENTRY_LOCAL);
  a.get(ENTRY_LOCAL);
  a.load(0);
  a.op(0x41, 1, 0x6b); // i32.const 1, sub
  a.tee(HEAT_LOCAL);
  a.store(0);
  a.get(HEAT_LOCAL);
  a.op(0x45, 0x04, 0x40); // eqz, if
  a.get(CPU);
  a.get(REC_LOCAL);
  a.store(S.RECORD);
  a.i32(RUN_EXIT.HOT);
  a.op(0x0f, 0x0b); // return, end
}

/** BUDGET −= instructions before this record + `own`. */
function spend(a: Assembler, own: number): void {
  a.get(CPU);
  a.get(CPU);
  a.load(S.BUDGET);
  a.get(REC_LOCAL);
  a.load16u(S.REC.COUNT);
  if (own !== 0) {
    a.i32(own);
    a.op(0x6a);
  }
  a.op(0x6b);
  a.store(S.BUDGET);
}

/** Locals that the inlined handlers share: each handler starts anew. */
class LocalPool {
  readonly types: Ty[] = [];
  readonly #first: number;
  #used = new Map<Ty, number>();

  constructor(first: number) {
    this.#first = first;
  }
  reset(): void {
    this.#used = new Map();
  }
  take(ty: Ty): number {
    let skip = this.#used.get(ty) ?? 0;
    this.#used.set(ty, skip + 1);
    for (let i = 0; i < this.types.length; i++) {
      if (this.types[i] === ty && skip-- === 0) return this.#first + i;
    }
    this.types.push(ty);
    return this.#first + this.types.length - 1;
  }
}
