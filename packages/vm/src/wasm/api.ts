/**
 * The part of the WebAssembly JavaScript interface the core uses, typed without the DOM library.
 * Source: WebAssembly JavaScript Interface, section "The WebAssembly Namespace".
 */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
}
/** A compiled module; can be posted to workers. */
export interface WasmModule {
  readonly wasmModule?: never;
}
/** An exported function, as JavaScript sees it. */
export type WasmFunction = (...args: number[]) => number;
export interface WasmTable {
  readonly length: number;
  set(index: number, value: WasmFunction): void;
  /** @returns the length before */
  grow(delta: number, value: WasmFunction): number;
}
export interface WasmInstance {
  readonly exports: Readonly<Record<string, (...args: number[]) => number>>;
}
export type WasmImports = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

interface WasmNamespace {
  Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => WasmMemory;
  Module: {
    new (bytes: Uint8Array): WasmModule;
    customSections(module: WasmModule, name: string): ArrayBuffer[];
  };
  Instance: new (module: WasmModule, imports: WasmImports) => WasmInstance;
  compile(bytes: Uint8Array): Promise<WasmModule>;
  validate(bytes: Uint8Array): boolean;
}

/** The host's WebAssembly implementation. */
export const wasm: WasmNamespace = (globalThis as unknown as { WebAssembly: WasmNamespace }).WebAssembly;
