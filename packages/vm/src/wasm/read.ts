/**
 * Reads WebAssembly modules (binary format, WebAssembly 2.0 §5) as far as tools that look at our own need it. Bytes
 * that are no module, or cut, are a `WasmFormatError`.
 */
import type { Ty } from './opcodes.ts';

export interface WasmSignature {
  readonly params: readonly Ty[];
  readonly results: readonly Ty[];
}

export interface WasmImport extends WasmSignature {
  /** "module.name" */
  readonly name: string;
}

export interface WasmFunctionBody extends WasmSignature {
  /** Index among all functions, the imported ones first. */
  readonly index: number;
  /** Its first exported name. */
  readonly name: string | undefined;
  /** Types of the locals after the parameters. */
  readonly locals: readonly Ty[];
  /** Instructions with the final `end`. */
  readonly code: Uint8Array;
}

export interface WasmContents {
  readonly types: readonly WasmSignature[];
  /** Functions only. */
  readonly imports: readonly WasmImport[];
  readonly functions: readonly WasmFunctionBody[];
}

export class WasmFormatError extends Error {}

const SECTION = { TYPE: 1, IMPORT: 2, FUNCTION: 3, EXPORT: 7, CODE: 10 } as const;
const TYPES: Readonly<Record<number, Ty>> = {
  0x7f: 'i32',
  0x7e: 'i64',
  0x7d: 'f32',
  0x7c: 'f64',
  0x7b: 'v128',
};
const MOST = 1_000_000;

/** A place in bytes. */
export class WasmReader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  get ended(): boolean {
    return this.at >= this.bytes.length;
  }
  byte(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw new WasmFormatError(`it ends at byte ${this.bytes.length}`);
    return value;
  }
  /** Unsigned LEB128 of 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new WasmFormatError(`a number at byte ${this.at} is too long`);
  }
  /** Signed LEB128 of up to 64 bits. */
  s64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(Number(shift) + 7, value);
    }
    throw new WasmFormatError(`a number at byte ${this.at} is too long`);
  }
  take(count: number): Uint8Array {
    if (this.at + count > this.bytes.length)
      throw new WasmFormatError(`it ends at byte ${this.bytes.length}`);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
  name(): string {
    return String.fromCharCode(...this.take(Math.min(this.u32(), MOST)));
  }
  list<T>(item: () => T): T[] {
    const count = this.u32();
    if (count > MOST) throw new WasmFormatError(`a list at byte ${this.at} has ${count} elements`);
    return Array.from({ length: count }, item);
  }
  type(): Ty {
    const code = this.byte();
    const type = TYPES[code];
    if (type === undefined) throw new WasmFormatError(`type 0x${code.toString(16)} at byte ${this.at - 1}`);
    return type;
  }
}

/** @throws WasmFormatError */
export function readWasm(module: Uint8Array): WasmContents {
  const reader = new WasmReader(module);
  const magic = reader.take(8);
  if (![0, 0x61, 0x73, 0x6d, 1, 0, 0, 0].every((byte, i) => magic[i] === byte))
    throw new WasmFormatError('it is no WebAssembly module');
  let types: WasmSignature[] = [];
  const imports: WasmImport[] = [];
  let signatures: WasmSignature[] = [];
  const names = new Map<number, string>();
  let bodies: { locals: Ty[]; code: Uint8Array }[] = [];
  const signature = (index: number): WasmSignature => {
    const type = types[index];
    if (type === undefined) throw new WasmFormatError(`there is no type ${index}`);
    return type;
  };
  while (!reader.ended) {
    const id = reader.byte();
    const section = new WasmReader(reader.take(reader.u32()));
    if (id === SECTION.TYPE) types = section.list(() => readType(section));
    if (id === SECTION.IMPORT) readImports(section, signature, imports);
    if (id === SECTION.FUNCTION) signatures = section.list(() => signature(section.u32()));
    if (id === SECTION.EXPORT) readExports(section, names);
    if (id === SECTION.CODE) bodies = section.list(() => readBody(section));
  }
  const functions = bodies.map((body, i) => {
    const index = imports.length + i;
    const type = signatures[i];
    if (type === undefined) throw new WasmFormatError(`function ${index} has no type`);
    return { index, name: names.get(index), ...type, ...body };
  });
  return { types, imports, functions };
}

function readType(section: WasmReader): WasmSignature {
  if (section.byte() !== 0x60) throw new WasmFormatError(`no function type at byte ${section.at - 1}`);
  return { params: section.list(() => section.type()), results: section.list(() => section.type()) };
}

function readImports(
  section: WasmReader,
  signature: (index: number) => WasmSignature,
  imports: WasmImport[],
): void {
  const limits = (): void => {
    const flags = section.byte();
    section.u32();
    if ((flags & 1) !== 0) section.u32();
  };
  section.list(() => {
    const name = `${section.name()}.${section.name()}`;
    const kind = section.byte();
    if (kind === 0) imports.push({ name, ...signature(section.u32()) });
    else if (kind === 2) limits();
    else if (kind === 3) section.take(2);
    else if (kind === 1) {
      section.byte();
      limits();
    } else throw new WasmFormatError(`import ${name} is of kind ${kind}`);
  });
}

function readExports(section: WasmReader, names: Map<number, string>): void {
  section.list(() => {
    const name = section.name();
    const kind = section.byte();
    const index = section.u32();
    if (kind === 0 && !names.has(index)) names.set(index, name);
  });
}

function readBody(section: WasmReader): { locals: Ty[]; code: Uint8Array } {
  const body = new WasmReader(section.take(section.u32()));
  const groups = body.list(() => ({ count: body.u32(), type: body.type() }));
  const locals: Ty[] = [];
  for (const { count, type } of groups) {
    if (locals.length + count > MOST) throw new WasmFormatError('a function has too many locals');
    for (let i = 0; i < count; i++) locals.push(type);
  }
  return { locals, code: body.bytes.subarray(body.at) };
}
