/**
 * WebAssembly functions as text for people: one line per statement, operands folded into it.
 *
 *   l5 = i64.add(l1, 0x10)
 *   block @1
 *     br_if @1 i64.eq(l5, l2)
 *
 * `l3` is local 3, `@1` a label, `t7` a value that was computed before what follows it, `=> x` a block's result.
 */
import { type Ty, wasmOps, type WasmOp } from './opcodes.ts';
import {
  type WasmContents,
  WasmFormatError,
  type WasmFunctionBody,
  WasmReader,
  type WasmSignature,
} from './read.ts';

export interface DisassembleOptions {
  /** Name of what lies `offset` bytes after the address in local 0; without one the offset is shown. */
  readonly place?: (offset: number) => string | undefined;
}

const OPS = new Map<number, WasmOp>(wasmOps().map((op) => [(op.prefix << 16) | op.code, op]));
const BLOCKS: Readonly<Record<number, 'block' | 'loop' | 'if'>> = { 2: 'block', 3: 'loop', 4: 'if' };
const VALUE_TYPES = 0x7b;
/** A longer operand gets a line of its own. */
const MOST_TEXT = 100;

interface Frame {
  readonly kind: 'function' | 'block' | 'loop' | 'if';
  readonly label: string;
  readonly signature: WasmSignature;
  /** Operands below it. */
  readonly height: number;
}

/** @throws WasmFormatError on an instruction that our emitters do not know */
export function disassembleFunction(
  contents: WasmContents,
  body: WasmFunctionBody,
  options: DisassembleOptions = {},
): string[] {
  return new Disassembly(contents, body, options).lines();
}

class Disassembly {
  readonly #contents: WasmContents;
  readonly #body: WasmFunctionBody;
  readonly #place: (offset: number) => string | undefined;
  readonly #code: WasmReader;
  readonly #lines: string[] = [];
  readonly #frames: Frame[] = [];
  #stack: string[] = [];
  #labels = 0;
  #values = 0;

  constructor(contents: WasmContents, body: WasmFunctionBody, options: DisassembleOptions) {
    this.#contents = contents;
    this.#body = body;
    this.#place = options.place ?? (() => undefined);
    this.#code = new WasmReader(body.code);
  }

  lines(): string[] {
    const { params, results, locals, index, name } = this.#body;
    const types = [...params, ...locals].map((type, i) => `l${i} ${type}`);
    this.#lines.push(
      `func ${name ?? index} (${types.slice(0, params.length).join(', ')}) → ${results.join(' ') || 'nothing'}`,
    );
    for (let i = params.length; i < types.length; i += 12)
      this.#lines.push(`  ${types.slice(i, i + 12).join(', ')}`);
    this.#frames.push({ kind: 'function', label: 'end', signature: this.#body, height: 0 });
    while (!this.#code.ended && this.#frames.length > 0) this.#instruction();
    return this.#lines;
  }

  #instruction(): void {
    const code = this.#code;
    const opcode = code.byte();
    const kind = BLOCKS[opcode];
    if (kind !== undefined) this.#open(kind);
    else if (opcode === 0x05) this.#otherwise();
    else if (opcode === 0x0b) this.#close();
    else if (opcode === 0x0c) this.#branch('br', '');
    else if (opcode === 0x0d) this.#branch('br_if', ` ${this.#pop()}`);
    else if (opcode === 0x0e) this.#branchTable();
    else if (opcode === 0x0f) this.#leave(`return ${this.#results(this.#body.results)}`.trimEnd());
    else if (opcode === 0x00) this.#leave('unreachable');
    else if (opcode === 0x10) this.#call(this.#function(code.u32()), false);
    else if (opcode === 0x12) this.#call(this.#function(code.u32()), true);
    else if (opcode === 0x11 || opcode === 0x13) this.#callIndirect(opcode === 0x13);
    else if (opcode === 0x1a) this.#statement(`drop ${this.#pop()}`);
    else if (opcode === 0x1b || opcode === 0x1c) this.#select(opcode === 0x1c);
    else if (opcode >= 0x20 && opcode <= 0x24) this.#variable(opcode, code.u32());
    else if (opcode === 0x41) this.#push(number(BigInt.asIntN(32, code.s64())));
    else if (opcode === 0x42) this.#push(number(code.s64()));
    else if (opcode === 0x43 || opcode === 0x44) this.#float(opcode === 0x44);
    else if (opcode !== 0x01) this.#operation(opcode);
  }

  // ---- operands ----

  #push(text: string): void {
    if (text.length <= MOST_TEXT) this.#stack.push(text);
    else this.#stack.push(this.#named(text));
  }
  #named(text: string): string {
    const name = `t${this.#values++}`;
    this.#line(`${name} = ${text}`);
    return name;
  }
  /** `?`: in code that is never reached. */
  #pop(): string {
    const below = this.#frames.at(-1)?.height ?? 0;
    return this.#stack.length > below ? (this.#stack.pop() as string) : '?';
  }
  #pops(types: readonly Ty[]): string[] {
    return types.map(() => this.#pop()).reverse();
  }
  #results(types: readonly Ty[]): string {
    return this.#pops(types).join(', ');
  }

  #line(text: string): void {
    this.#lines.push('  '.repeat(this.#frames.length) + text);
  }
  /** What is not used yet was computed before this. */
  #statement(text: string): void {
    this.#stack = this.#stack.map((value) =>
      /^(-?(0x)?[0-9a-f]+|t\d+|@\d+)$/.test(value) ? value : this.#named(value),
    );
    this.#line(text);
  }

  // ---- control ----

  #signature(): WasmSignature {
    const start = this.#code.at;
    const first = this.#code.byte();
    if (first === 0x40) return { params: [], results: [] };
    this.#code.at = start;
    if (first >= VALUE_TYPES && first < 0x80) return { params: [], results: [this.#code.type()] };
    const type = this.#contents.types[Number(this.#code.s64())];
    if (type === undefined) throw new WasmFormatError(`a block at byte ${start} has no type`);
    return type;
  }

  #open(kind: 'block' | 'loop' | 'if'): void {
    const signature = this.#signature();
    const condition = kind === 'if' ? ` ${this.#pop()}` : '';
    const params = this.#pops(signature.params);
    const label = `@${++this.#labels}`;
    this.#statement(`${kind} ${label}${condition}`);
    this.#frames.push({ kind, label, signature, height: this.#stack.length });
    this.#stack.push(...params);
  }

  #otherwise(): void {
    const frame = this.#frames.at(-1);
    this.#yield(frame);
    this.#frames.pop();
    this.#line('else');
    if (frame === undefined) return;
    this.#frames.push(frame);
    this.#stack.length = Math.min(this.#stack.length, frame.height);
  }

  #close(): void {
    const frame = this.#frames.at(-1);
    this.#yield(frame);
    this.#frames.pop();
    if (frame === undefined || frame.kind === 'function') return;
    this.#stack.length = Math.min(this.#stack.length, frame.height);
    this.#line(`end ${frame.label}`);
    for (const _ of frame.signature.results) this.#stack.push(frame.label);
  }

  #yield(frame: Frame | undefined): void {
    if (frame === undefined || frame.signature.results.length === 0) return;
    if (this.#stack.length > frame.height) this.#statement(`=> ${this.#results(frame.signature.results)}`);
  }

  /** Nothing after it is reached up to the end of the block. */
  #leave(text: string): void {
    this.#statement(text);
    this.#stack.length = Math.min(this.#stack.length, this.#frames.at(-1)?.height ?? 0);
  }

  #target(depth: number): Frame {
    const frame = this.#frames[this.#frames.length - 1 - depth];
    if (frame === undefined) throw new WasmFormatError(`there is no label ${depth} at byte ${this.#code.at}`);
    return frame;
  }
  #branch(name: 'br' | 'br_if', condition: string): void {
    const { kind, label, signature } = this.#target(this.#code.u32());
    const types = kind === 'loop' ? signature.params : signature.results;
    const values = this.#pops(types);
    const text = `${name} ${label}${condition}${values.length === 0 ? '' : ` => ${values.join(', ')}`}`;
    if (name === 'br') {
      this.#leave(text);
      return;
    }
    this.#statement(text);
    this.#stack.push(...values);
  }
  #branchTable(): void {
    const labels = this.#code.list(() => this.#target(this.#code.u32()).label);
    const last = this.#target(this.#code.u32()).label;
    this.#leave(`br_table ${this.#pop()} [${labels.join(' ')}] else ${last}`);
  }

  // ---- calls ----

  #function(index: number): WasmSignature & { readonly name: string } {
    const { imports, functions } = this.#contents;
    const found = imports[index] ?? functions[index - imports.length];
    if (found === undefined) throw new WasmFormatError(`there is no function ${index}`);
    return { params: found.params, results: found.results, name: found.name ?? `f${index}` };
  }
  #callIndirect(tail: boolean): void {
    const type = this.#contents.types[this.#code.u32()];
    const table = this.#code.u32();
    if (type === undefined) throw new WasmFormatError(`a call at byte ${this.#code.at} has no type`);
    const index = this.#pop();
    this.#call({ ...type, name: `table${table}[${index}]` }, tail);
  }
  #call({ name, params, results }: WasmSignature & { readonly name: string }, tail: boolean): void {
    const text = `${name}(${this.#results(params)})`;
    if (tail) {
      this.#leave(`return_call ${text}`);
      return;
    }
    if (results.length === 0) this.#statement(`call ${text}`);
    else {
      // in order with everything else that has effects
      const value = `t${this.#values++}`;
      this.#statement(`${value} = call ${text}`);
      this.#stack.push(value);
    }
  }

  // ---- the rest ----

  #select(typed: boolean): void {
    if (typed) this.#code.list(() => this.#code.type());
    const condition = this.#pop();
    const [no, yes] = [this.#pop(), this.#pop()];
    this.#push(`(${condition} ? ${yes} : ${no})`);
  }

  #variable(opcode: number, index: number): void {
    const name = `${opcode >= 0x23 ? 'g' : 'l'}${index}`;
    if (opcode === 0x20 || opcode === 0x23) {
      this.#stack.push(name);
      return;
    }
    this.#statement(`${name} = ${this.#pop()}`);
    if (opcode === 0x22) this.#stack.push(name);
  }

  #float(wide: boolean): void {
    const bytes = this.#code.take(wide ? 8 : 4);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    this.#push(wide ? `${view.getFloat64(0, true)}d` : `${view.getFloat32(0, true)}f`);
  }

  #operation(first: number): void {
    const start = this.#code.at - 1;
    const prefix = first >= 0xfc ? first : 0;
    const code = prefix === 0 ? first : this.#code.u32();
    if (prefix === 0xfd && code === 0x0c) {
      const bytes = [...this.#code.take(16)].reverse();
      this.#push(`0x${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')}v`);
      return;
    }
    if (prefix === 0xfc && (code === 0x0a || code === 0x0b)) {
      this.#code.take(code === 0x0a ? 2 : 1);
      this.#statement(`memory.${code === 0x0a ? 'copy' : 'fill'}(${this.#results(['i32', 'i32', 'i32'])})`);
      return;
    }
    const op = OPS.get((prefix << 16) | code);
    if (op === undefined) {
      const bytes = [prefix, code].filter((byte) => byte !== 0).map((byte) => byte.toString(16));
      throw new WasmFormatError(`instruction ${bytes.join(' ')} at byte ${start} is not known`);
    }
    const place = op.immediate === 'memory' ? this.#memory() : undefined;
    const lanes = this.#lanes(op);
    const operands = this.#pops(op.params);
    if (place !== undefined) operands.splice(0, 1, this.#address(operands[0] ?? '?', place));
    const text = `${op.name}${lanes}(${operands.join(', ')})`;
    // whatever reads or writes memory stays in order
    if (op.result === null) this.#statement(text);
    else if (op.name.includes('atomic.rmw')) {
      const value = `t${this.#values++}`;
      this.#statement(`${value} = ${text}`);
      this.#stack.push(value);
    } else this.#push(text);
  }

  #memory(): number {
    const alignment = this.#code.u32();
    if ((alignment & 0x40) !== 0) this.#code.u32();
    return this.#code.u32();
  }
  #address(base: string, offset: number): string {
    const name = base === 'l0' ? this.#place(offset) : undefined;
    return name ?? (offset === 0 ? base : `${base} + 0x${offset.toString(16)}`);
  }

  #lanes(op: WasmOp): string {
    if (op.immediate === 'lane') return `[${this.#code.byte()}]`;
    if (op.immediate === 'lanes16') return `[${[...this.#code.take(16)].join(' ')}]`;
    if (op.immediate === 'zero') this.#code.byte();
    return '';
  }
}

function number(value: bigint): string {
  const magnitude = value < 0n ? -value : value;
  return `${value < 0n ? '-' : ''}${magnitude < 10n ? magnitude : `0x${magnitude.toString(16)}`}`;
}
