/** What a vCPU and its compile thread say to each other, and the thread's side of it. Everything can be sent. */
import { wasm, type WasmModule } from '../../wasm/api.ts';
import type { GuestCode, Paging } from './guest-code.ts';
import type { TranslatedModule, TranslateOptions, TranslationRequest } from './region.ts';
import type { Translate } from './region-tier.ts';

export interface CompileJob {
  /** All requests are meant in these page tables. */
  readonly paging: Paging;
  readonly requests: readonly TranslationRequest[];
}

export interface CompileResult {
  readonly requests: number;
  /** Without its bytes; null when nothing was worth translating. */
  readonly module: TranslatedModule | null;
  readonly compiled: WasmModule | null;
  readonly wasmBytes: number;
  readonly translateNs: number;
  readonly compileNs: number;
  readonly error?: string;
}

/** Translates and compiles. An error of the translator becomes a result: the machine runs on, interpreted. */
export function compileJob(
  job: CompileJob,
  source: GuestCode,
  translate: Translate,
  options: TranslateOptions,
  nowNs: () => number,
): CompileResult {
  const started = nowNs();
  let translated = started;
  try {
    source.setPaging(job.paging);
    const module = translate(source, job.requests, options);
    translated = nowNs();
    const compiled = module === null ? null : new wasm.Module(module.bytes);
    return {
      requests: job.requests.length,
      module: module === null ? null : sendable(module, options.keep === true),
      compiled,
      wasmBytes: module?.bytes.length ?? 0,
      translateNs: translated - started,
      compileNs: nowNs() - translated,
    };
  } catch (error) {
    return {
      requests: job.requests.length,
      module: null,
      compiled: null,
      wasmBytes: 0,
      translateNs: translated - started,
      compileNs: 0,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}

/** Without the module's bytes, unless they are wanted. */
function sendable(module: TranslatedModule, withBytes: boolean): TranslatedModule {
  return withBytes ? module : { ...module, bytes: new Uint8Array(0) };
}
