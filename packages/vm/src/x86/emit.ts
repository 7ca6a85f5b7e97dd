/** Statements and expressions (block.ts, expr.ts) → WebAssembly instructions. */
import { Bytes } from '../wasm/module.ts';
import { type Ty, type WasmOp, wasmOp } from '../wasm/opcodes.ts';
import type { End, Stmt } from './block.ts';
import type { E } from './expr.ts';

/** Maps what the body leaves open to the function it is emitted into. */
export interface EmitContext {
  /** Wasm local that holds the host address of the vCPU's area, and of the current record. */
  readonly cpu: number;
  readonly record: number;
  /** First parameter of the definition, as a wasm local. */
  readonly firstParam: number;
  /** Wasm local for body local `index`. */
  readonly local: (index: number) => number;
  /** Function index of a named function. */
  readonly functionIndex: (name: string) => number;
  /** Emits the end of an instruction; `depth` = blocks open inside the handler's body. */
  readonly end: (how: End, out: Bytes, depth: number, exit: number) => void;
  /** Emits `if (the value on the stack) leave` in one instruction, where leaving needs nothing else. */
  readonly leaveIf?: (out: Bytes, depth: number) => void;
  /** Notes that the `if` emitted at byte `at` hardly ever takes its branch. */
  readonly unlikely?: (at: number) => void;
}

export function emitExpression(e: E, out: Bytes, context: EmitContext): void {
  if (e.instruction !== null) {
    emitInstruction(e.instruction, e, out, context);
    return;
  }
  switch (e.op) {
    case 'const':
      emitConstant(e.ty, e.imm as number | bigint, out);
      return;
    case 'local':
      out.byte(0x20);
      out.u32(context.local(e.imm as number));
      return;
    case 'param':
      out.byte(0x20);
      out.u32(context.firstParam + (e.imm as number));
      return;
    case 'cpu':
      out.byte(0x20);
      out.u32(context.cpu);
      return;
    case 'rec':
      out.byte(0x20);
      out.u32(context.record);
      return;
    case 'select':
      for (const arg of e.args) emitExpression(arg, out, context);
      out.byte(0x1b);
      return;
    case 'call':
      emitCall(e.imm as string, e.args, out, context);
      return;
    default:
      throw new Error(`an expression has no operation ${e.op}`);
  }
}

function emitCall(name: string, args: readonly E[], out: Bytes, context: EmitContext): void {
  out.byte(0x20);
  out.u32(context.cpu);
  for (const arg of args) emitExpression(arg, out, context);
  out.byte(0x10);
  out.u32(context.functionIndex(name));
}

function emitInstruction(op: WasmOp, e: E, out: Bytes, context: EmitContext): void {
  for (const arg of e.args) emitExpression(arg, out, context);
  emitOpcode(op, out);
  switch (op.immediate) {
    case 'memory':
      out.byte(op.alignment);
      out.u32(e.imm as number);
      break;
    case 'lane':
      out.byte(e.imm as number);
      break;
    case 'lanes16':
      out.put(...(e.imm as readonly number[]));
      break;
    default:
  }
}

function emitOpcode(op: WasmOp, out: Bytes): void {
  if (op.prefix === 0) out.byte(op.code);
  else {
    out.byte(op.prefix);
    out.u32(op.code);
  }
}

function emitStore(op: WasmOp, offset: number, out: Bytes): void {
  emitOpcode(op, out);
  out.byte(op.alignment);
  out.u32(offset);
}

function emitConstant(ty: Ty, value: number | bigint, out: Bytes): void {
  switch (ty) {
    case 'i32':
      out.byte(0x41);
      out.s32(Number(value));
      break;
    case 'i64':
      out.byte(0x42);
      out.s64(BigInt(value));
      break;
    case 'f32':
      out.byte(0x43);
      out.f32(Number(value));
      break;
    case 'f64':
      out.byte(0x44);
      out.f64(Number(value));
      break;
    case 'v128':
      out.put(0xfd, 0x0c);
      out.v128(BigInt(value));
      break;
    default:
      ty satisfies never;
  }
}

/** Emits `statements`; `loops` holds, per open loop, the block depth outside of it. */
export function emitStatements(
  statements: readonly Stmt[],
  out: Bytes,
  context: EmitContext,
  depth = 0,
  loops: readonly number[] = [],
): void {
  for (const s of statements) {
    switch (s.k) {
      case 'set':
        emitExpression(s.value, out, context);
        out.byte(0x21);
        out.u32(context.local(s.local));
        break;
      case 'drop':
        emitExpression(s.value, out, context);
        out.byte(0x1a);
        break;
      case 'store':
        emitExpression(s.address, out, context);
        emitExpression(s.value, out, context);
        emitStore(wasmOp(s.op), s.offset, out);
        break;
      case 'fence':
        out.put(0xfe, 0x03, 0x00);
        break;
      case 'bulk':
        for (const arg of s.args) emitExpression(arg, out, context);
        if (s.op === 'memory.copy') out.put(0xfc, 10, 0, 0);
        else out.put(0xfc, 11, 0);
        break;
      case 'if':
        emitExpression(s.condition, out, context);
        if (
          context.leaveIf !== undefined &&
          s.else.length === 0 &&
          s.then.length === 1 &&
          s.then[0]?.k === 'end'
        ) {
          context.leaveIf(out, depth);
          break;
        }
        if (s.unlikely === true) context.unlikely?.(out.length);
        out.byte(0x04);
        out.byte(0x40);
        emitStatements(s.then, out, context, depth + 1, loops);
        if (s.else.length > 0) {
          out.byte(0x05);
          emitStatements(s.else, out, context, depth + 1, loops);
        }
        out.byte(0x0b);
        break;
      case 'loop':
        out.put(0x02, 0x40, 0x03, 0x40);
        emitStatements(s.body, out, context, depth + 2, [...loops, depth]);
        out.put(0x0c, 0, 0x0b, 0x0b);
        break;
      case 'break':
      case 'continue': {
        const outside = loops.at(-1);
        if (outside === undefined) throw new Error(`${s.k} outside of a loop`);
        out.byte(0x0c);
        out.u32(depth - outside - (s.k === 'break' ? 1 : 2));
        break;
      }
      case 'call':
        emitCall(s.name, s.args, out, context);
        break;
      case 'return':
        for (const value of s.values) emitExpression(value, out, context);
        out.byte(0x0f);
        break;
      case 'end':
        context.end(s.how, out, depth, s.exit ?? -1);
        break;
      default:
        s satisfies never;
    }
  }
}
