/**
 * Writes WebAssembly modules (binary format, WebAssembly 2.0 §5): one growing byte array, no nested arrays.
 */
import type { Ty } from './opcodes.ts';

const TYPE_CODE: Readonly<Record<Ty, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

export class Bytes {
  #data: Uint8Array;
  length = 0;

  constructor(capacity = 1024) {
    this.#data = new Uint8Array(capacity);
  }

  /** Makes room for `count` more bytes. */
  #reserve(count: number): void {
    if (this.length + count <= this.#data.length) return;
    const bigger = new Uint8Array(Math.max(this.#data.length * 2, this.length + count));
    bigger.set(this.#data.subarray(0, this.length));
    this.#data = bigger;
  }
  byte(value: number): void {
    if (this.length === this.#data.length) this.#reserve(1);
    this.#data[this.length++] = value;
  }
  put(...values: number[]): void {
    for (const v of values) this.byte(v);
  }
  append(other: Uint8Array): void {
    this.#reserve(other.length);
    this.#data.set(other, this.length);
    this.length += other.length;
  }
  /** Unsigned LEB128, below 2^32. */
  u32(value: number): void {
    let v = value >>> 0;
    while (v >= 0x80) {
      this.byte((v & 0x7f) | 0x80);
      v >>>= 7;
    }
    this.byte(v);
  }
  /** Signed LEB128. */
  s32(value: number): void {
    let v = value | 0;
    while (v < -0x40 || v >= 0x40) {
      this.byte((v & 0x7f) | 0x80);
      v >>= 7;
    }
    this.byte(v & 0x7f);
  }
  s64(value: bigint): void {
    const small = Number(value);
    if (small === (small | 0)) {
      this.s32(small);
      return;
    }
    let v = BigInt.asIntN(64, value);
    while (v < -0x40n || v >= 0x40n) {
      this.byte(Number(v & 0x7fn) | 0x80);
      v >>= 7n;
    }
    this.byte(Number(v & 0x7fn));
  }
  f64(value: number): void {
    const b = new Uint8Array(8);
    new DataView(b.buffer).setFloat64(0, value, true);
    this.append(b);
  }
  f32(value: number): void {
    const b = new Uint8Array(4);
    new DataView(b.buffer).setFloat32(0, value, true);
    this.append(b);
  }
  v128(value: bigint): void {
    for (let i = 0n; i < 16n; i++) this.byte(Number((value >> (i * 8n)) & 0xffn));
  }
  /** The length of an ASCII text, and the text. */
  name(text: string): void {
    this.u32(text.length);
    this.text(text);
  }
  text(text: string): void {
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }
  /** Forgets what was written, and keeps the room. */
  clear(): void {
    this.length = 0;
  }
  /** What was written, until more is. */
  bytes(): Uint8Array {
    return this.#data.subarray(0, this.length);
  }
}

export interface FunctionBody {
  readonly name: string;
  readonly params: readonly Ty[];
  readonly result: Ty | null;
  /** Types of the locals after the parameters. */
  readonly locals: readonly Ty[];
  /** Instructions without the final `end`. */
  readonly code: Uint8Array;
  /** Offsets in `code` of `if` and `br_if` that are hardly ever taken, ascending. */
  readonly unlikely?: readonly number[];
}

interface ImportedFunction {
  readonly module: string;
  readonly name: string;
  readonly params: readonly Ty[];
  readonly result: Ty | null;
}

/** Collects functions, then writes the module. Imports come first, so all must be added before any function. */
export class ModuleBuilder {
  readonly #imports: ImportedFunction[] = [];
  readonly #functions: (FunctionBody | null)[] = [];
  readonly #types: string[] = [];
  readonly #exports: { name: string; index: number; kind: 0 | 1 }[] = [];
  readonly #custom: { name: string; text: string }[] = [];
  #table: readonly number[] = [];
  #secondTable = 0;
  #importedTable: { readonly module: string; readonly name: string } | null = null;

  /** Adds an imported function. @returns its index */
  import(module: string, name: string, params: readonly Ty[], result: Ty | null): number {
    this.#imports.push({ module, name, params, result });
    return this.#imports.length - 1;
  }
  /** Imports a function table: number 0 of a module that has none of its own. */
  importTable(module: string, name: string): void {
    this.#importedTable = { module, name };
  }
  /** Reserves a function index, so that functions can call one another in any order. */
  reserve(): number {
    this.#functions.push(null);
    return this.#imports.length + this.#functions.length - 1;
  }
  body(index: number, body: FunctionBody): void {
    this.#functions[index - this.#imports.length] = body;
  }
  export(name: string, index: number): void {
    this.#exports.push({ name, index, kind: 0 });
  }
  /** Fills table 0 with these functions, from slot 0. */
  table(functions: readonly number[]): void {
    this.#table = functions;
  }
  /** Adds and exports table 1, of at least `entries` entries, all null. Needs table 0. */
  secondTable(name: string, entries: number): void {
    this.#secondTable = entries;
    this.#exports.push({ name, index: 1, kind: 1 });
  }
  /** Adds a custom section with this text. */
  custom(name: string, text: string): void {
    this.#custom.push({ name, text });
  }
  /** Index of a function type. */
  type(params: readonly Ty[], result: Ty | null): number {
    const key = `${params.join()}:${result ?? ''}`;
    const found = this.#types.indexOf(key);
    if (found >= 0) return found;
    this.#types.push(key);
    return this.#types.length - 1;
  }

  /** @param memoryPages minimum and maximum of the imported shared memory `env.memory` */
  write(memoryPages: { min: number; max: number }): Uint8Array {
    const functionTypes = this.#functions.map((f) => {
      if (f === null) throw new Error('a reserved function has no body');
      return this.type(f.params, f.result);
    });
    const importTypes = this.#imports.map((f) => this.type(f.params, f.result));
    const out = new Bytes();
    out.put(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    section(out, 1, (s) => {
      s.u32(this.#types.length);
      for (const key of this.#types) {
        const [params = '', result = ''] = key.split(':');
        const list = params === '' ? [] : (params.split(',') as Ty[]);
        s.byte(0x60);
        s.u32(list.length);
        s.put(...list.map((t) => TYPE_CODE[t]));
        if (result === '') s.u32(0);
        else s.put(1, TYPE_CODE[result as Ty]);
      }
    });
    section(out, 2, (s) => {
      s.u32(this.#imports.length + (this.#importedTable === null ? 1 : 2));
      this.#imports.forEach((f, i) => {
        s.name(f.module);
        s.name(f.name);
        s.byte(0);
        s.u32(importTypes[i] as number);
      });
      if (this.#importedTable !== null) {
        s.name(this.#importedTable.module);
        s.name(this.#importedTable.name);
        s.put(1, 0x70, 0, 0);
      }
      s.name('env');
      s.name('memory');
      s.put(2, 3);
      s.u32(memoryPages.min);
      s.u32(memoryPages.max);
    });
    section(out, 3, (s) => {
      s.u32(functionTypes.length);
      for (const t of functionTypes) s.u32(t);
    });
    if (this.#table.length > 0) {
      section(out, 4, (s) => {
        s.put(this.#secondTable > 0 ? 2 : 1, 0x70, 1);
        s.u32(this.#table.length);
        s.u32(this.#table.length);
        if (this.#secondTable === 0) return;
        s.put(0x70, 0);
        s.u32(this.#secondTable);
      });
    }
    section(out, 7, (s) => {
      s.u32(this.#exports.length);
      for (const e of this.#exports) {
        s.name(e.name);
        s.byte(e.kind);
        s.u32(e.index);
      }
    });
    if (this.#table.length > 0) {
      section(out, 9, (s) => {
        s.put(1, 0, 0x41, 0, 0x0b);
        s.u32(this.#table.length);
        for (const f of this.#table) s.u32(f);
      });
    }
    const declarations = this.#functions.map((f) => localDeclarations(f?.locals ?? []));
    this.#branchHints(out, declarations);
    section(out, 10, (s) => {
      s.u32(this.#functions.length);
      this.#functions.forEach((f, i) => {
        if (f === null) return;
        const locals = declarations[i] as Uint8Array;
        s.u32(locals.length + f.code.length + 1);
        s.append(locals);
        s.append(f.code);
        s.byte(0x0b);
      });
    });
    for (const { name, text } of this.#custom) {
      section(out, 0, (s) => {
        s.name(name);
        s.text(text);
      });
    }
    section(out, 0, (s) => this.#names(s));
    return out.bytes().slice();
  }

  /** The branch hinting proposal's section `metadata.code.branch_hint`: offsets from the function's local declarations. */
  #branchHints(out: Bytes, declarations: readonly Uint8Array[]): void {
    const hinted = this.#functions.flatMap((f, i) =>
      f === null || f.unlikely === undefined || f.unlikely.length === 0 ? [] : [{ unlikely: f.unlikely, i }],
    );
    if (hinted.length === 0) return;
    section(out, 0, (s) => {
      s.name('metadata.code.branch_hint');
      s.u32(hinted.length);
      for (const { unlikely, i } of hinted) {
        s.u32(this.#imports.length + i);
        const start = (declarations[i] as Uint8Array).length;
        s.u32(unlikely.length);
        for (const at of unlikely) {
          s.u32(start + at);
          s.byte(1);
          s.byte(0);
        }
      }
    });
  }

  /** The name section: function names for profilers and stack traces. */
  #names(s: Bytes): void {
    s.name('name');
    const map = new Bytes();
    map.u32(this.#functions.length);
    this.#functions.forEach((f, i) => {
      map.u32(this.#imports.length + i);
      map.name(f?.name ?? '');
    });
    s.byte(1);
    s.u32(map.length);
    s.append(map.bytes());
  }
}

/** Contents of the section being written. */
const contents = new Bytes();

function section(out: Bytes, id: number, fill: (s: Bytes) => void): void {
  contents.clear();
  fill(contents);
  out.byte(id);
  out.u32(contents.length);
  out.append(contents.bytes());
}

function localDeclarations(locals: readonly Ty[]): Uint8Array {
  const groups = localGroups(locals);
  const body = new Bytes(1 + 6 * groups.length);
  body.u32(groups.length);
  for (const [count, ty] of groups) {
    body.u32(count);
    body.byte(TYPE_CODE[ty]);
  }
  return body.bytes();
}

function localGroups(locals: readonly Ty[]): [number, Ty][] {
  const groups: [number, Ty][] = [];
  let last: [number, Ty] | null = null;
  for (const ty of locals) {
    if (last !== null && last[1] === ty) last[0]++;
    else groups.push((last = [1, ty]));
  }
  return groups;
}
