/**
 * The reference evaluator: runs statements and expressions (block.ts, expr.ts) directly, in BigInt, without
 * WebAssembly. Slow on purpose and plain on purpose: it is what the emitter and the host's WebAssembly compiler are
 * compared with, and it lets tools run an instruction without touching the machine (`OverlayMemory`).
 */
import { assert } from '../base/errors.ts';
import type { Definition, End, Stmt } from './block.ts';
import { fromDouble, fromSingle, scalarOperation, signed, unsigned } from './eval-scalar.ts';
import { simdOperation } from './eval-simd.ts';
import type { E } from './expr.ts';

/** Linear memory by host address; values are little-endian and unsigned. */
export interface EvalMemory {
  load(address: number, bytes: number): bigint;
  store(address: number, bytes: number, value: bigint): void;
}

export function viewMemory(view: DataView): EvalMemory {
  return {
    load: (address, bytes) => {
      let value = 0n;
      for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(address + i));
      return value;
    },
    store: (address, bytes, value) => {
      for (let i = 0; i < bytes; i++) view.setUint8(address + i, Number((value >> BigInt(i * 8)) & 0xffn));
    },
  };
}

/** Another memory, whose content stays: stores are kept aside, byte by byte. */
export class OverlayMemory implements EvalMemory {
  readonly written: Map<number, number> = new Map();
  readonly #below: EvalMemory;
  constructor(below: EvalMemory) {
    this.#below = below;
  }
  load(address: number, bytes: number): bigint {
    let value = this.#below.load(address, bytes);
    if (this.written.size === 0) return value;
    for (let i = 0; i < bytes; i++) {
      const byte = this.written.get(address + i);
      if (byte === undefined) continue;
      const shift = BigInt(i * 8);
      value = (value & ~(0xffn << shift)) | (BigInt(byte) << shift);
    }
    return value;
  }
  store(address: number, bytes: number, value: bigint): void {
    for (let i = 0; i < bytes; i++) this.written.set(address + i, Number((value >> BigInt(i * 8)) & 0xffn));
  }
}

export interface EvalMachine {
  readonly memory: EvalMemory;
  /** Host address of the vCPU's area. */
  readonly cpu: number;
  readonly functions: ReadonlyMap<string, Definition>;
  /** Functions that are not ours: `env` imports of the interpreter module. */
  readonly imports: Readonly<Record<string, (...args: readonly bigint[]) => bigint>>;
}

/** How statements ended: fell off their end, `end`, or `return`. */
export type Ended = { readonly how: End } | { readonly value: bigint | undefined } | undefined;

interface Frame {
  readonly locals: bigint[];
  readonly params: readonly bigint[];
  /** Host address of the decoded record, where there is one. */
  readonly record: number;
}
type Signal = Ended | 'break' | 'continue';

/** Runs an instruction's statements. */
export function evaluate(machine: EvalMachine, statements: readonly Stmt[], record: number): Ended {
  const signal = run(machine, statements, { locals: [], params: [], record });
  assert(signal !== 'break' && signal !== 'continue', 'a loop is left outside of one');
  return signal;
}

/** Calls a named function. @returns its result, 0 where it has none */
export function evaluateCall(machine: EvalMachine, name: string, args: readonly bigint[]): bigint {
  const imported = machine.imports[name];
  if (imported !== undefined) return imported(...args);
  const definition = machine.functions.get(name);
  if (definition === undefined) throw new Error(`no function is called ${name}`);
  const ended = run(machine, definition.body.statements, { locals: [], params: args, record: 0 });
  if (typeof ended === 'object' && 'value' in ended) return ended.value ?? 0n;
  assert(definition.result === null, `${name} ends without a result`);
  return 0n;
}

function run(m: EvalMachine, statements: readonly Stmt[], frame: Frame): Signal {
  for (const s of statements) {
    const signal = step(m, s, frame);
    if (signal !== undefined) return signal;
  }
  return undefined;
}

function step(m: EvalMachine, s: Stmt, frame: Frame): Signal {
  switch (s.k) {
    case 'set':
      frame.locals[s.local] = value(m, s.value, frame);
      return undefined;
    case 'drop':
      value(m, s.value, frame);
      return undefined;
    case 'store': {
      const address = value(m, s.address, frame);
      m.memory.store(Number(address) + s.offset, storedBytes(s.op), value(m, s.value, frame));
      return undefined;
    }
    case 'fence':
      return undefined;
    case 'if':
      return run(m, value(m, s.condition, frame) !== 0n ? s.then : s.else, frame);
    case 'loop':
      for (;;) {
        const signal = run(m, s.body, frame);
        if (signal === 'break') return undefined;
        if (signal !== undefined && signal !== 'continue') return signal;
      }
    case 'break':
    case 'continue':
      return s.k;
    case 'call':
      evaluateCall(
        m,
        s.name,
        s.args.map((arg) => value(m, arg, frame)),
      );
      return undefined;
    case 'bulk':
      bulk(m, s.op, s.args.map((arg) => Number(value(m, arg, frame))) as [number, number, number]);
      return undefined;
    case 'return': {
      const [result] = s.values;
      return { value: result === undefined ? undefined : value(m, result, frame) };
    }
    case 'end':
      return { how: s.how };
    default:
      return s satisfies never;
  }
}

function bulk(
  m: EvalMachine,
  op: 'memory.copy' | 'memory.fill',
  [to, from, bytes]: [number, number, number],
): void {
  if (op === 'memory.fill') {
    for (let i = 0; i < bytes; i++) m.memory.store(to + i, 1, BigInt(from & 0xff));
    return;
  }
  const copy = Array.from({ length: bytes }, (_, i) => m.memory.load(from + i, 1));
  for (const [i, byte] of copy.entries()) m.memory.store(to + i, 1, byte);
}

function value(m: EvalMachine, e: E, frame: Frame): bigint {
  switch (e.op) {
    case 'const':
      return constantBits(e);
    case 'local':
      return frame.locals[e.imm as number] ?? 0n;
    case 'param':
      return frame.params[e.imm as number] ?? 0n;
    case 'cpu':
      return BigInt(m.cpu);
    case 'rec':
      return BigInt(frame.record);
    default:
  }
  const args = e.args.map((arg) => value(m, arg, frame));
  if (e.op === 'select') return (args[2] === 0n ? args[1] : args[0]) ?? 0n;
  if (e.op === 'call') return evaluateCall(m, e.imm as string, args);
  const scalar = scalarOperation(e.op);
  if (scalar !== undefined) return scalar(...args);
  const simd = simdOperation(e.op);
  if (simd !== undefined) return simd(args, e.imm as number | readonly number[]);
  return memoryOperation(m, e, args);
}

function constantBits(e: E): bigint {
  if (e.ty === 'i32') return unsigned(BigInt(e.imm as number), 32);
  if (e.ty === 'i64') return unsigned(e.imm as bigint, 64);
  if (e.ty === 'v128') return e.imm as bigint;
  return e.ty === 'f32' ? fromSingle(e.imm as number) : fromDouble(e.imm as number);
}

const WIDTH: Readonly<Record<string, number>> = { i32: 4, i64: 8, f32: 4, f64: 8, v128: 16 };

function storedBytes(op: string): number {
  const [type = '', name = ''] = op.split('.');
  const narrow = /^(?:atomic\.)?store(8|16|32)$/.exec(name)?.[1];
  return narrow === undefined ? (WIDTH[type] as number) : Number(narrow) / 8;
}

/** Loads, and atomic operations that give the old value. */
function memoryOperation(m: EvalMachine, e: E, args: readonly bigint[]): bigint {
  const [, type = '', name = ''] = /^([^.]+)\.(.*)$/.exec(e.op) ?? [];
  const address = Number(args[0]) + (e.imm as number);
  const full = WIDTH[type] as number;
  const load = /^(?:atomic\.)?load(8|16|32|64)?(_s|_u|_zero)?$/.exec(name);
  if (load !== null) {
    const bytes = load[1] === undefined ? full : Number(load[1]) / 8;
    const raw = m.memory.load(address, bytes);
    return load[2] === '_s' ? unsigned(signed(raw, bytes * 8), full * 8) : raw;
  }
  const update = /^atomic\.rmw(8)?\.(and|or|cmpxchg)(_u)?$/.exec(name);
  if (update === null) throw new Error(`no evaluation of ${e.op}`);
  const bytes = update[1] === undefined ? full : 1;
  const old = m.memory.load(address, bytes);
  const [, a = 0n, b = 0n] = args;
  if (update[2] === 'cmpxchg') {
    if (old === a) m.memory.store(address, bytes, b);
  } else m.memory.store(address, bytes, update[2] === 'or' ? old | a : old & a);
  return old;
}
