/**
 * When a block is translated, by whom, and what became of it: what stands between the run loop, which reports hot
 * blocks, and the translator. One per vCPU.
 */
import type { TranslationStats } from '../../machine/vcpu.ts';
import * as S from '../../x86/state.ts';
import type { RegionSlots } from '../code-cache.ts';
import type { CompileResult } from './compile-job.ts';
import type { CompileQueue } from './compile-queue.ts';
import type { GuestCode, Paging } from './guest-code.ts';
import type { CodeSource, TranslatedModule, TranslateOptions, TranslationRequest } from './region.ts';
import { codeHash } from './region-log.ts';
import type { CompiledModule, RegionTable } from './region-table.ts';

/** The translator. null: nothing at these places is worth it. */
export type Translate = (
  source: CodeSource,
  requests: readonly TranslationRequest[],
  options: TranslateOptions,
) => TranslatedModule | null;

export const DEFAULT_THRESHOLD = 8000;
/**
 * A machine that starts executes much code for the first and last time: until it has come to so many boundaries, which is
 * a second or two of running, its code has to become hotter.
 */
const YOUNG_BOUNDARIES = 2500;
const YOUNG_THRESHOLD = 64_000;
/** Each time a page's regions are overwritten, code there has to become this often twice as hot. */
const MAX_DOUBLINGS = 12;

/** Executions after which a block is translated, once the machine is not young any more. */
function thresholdOf({ tier, threshold }: TranslateOptions): number {
  if (tier === 'always' || tier === 'random') return 1;
  return threshold ?? DEFAULT_THRESHOLD;
}

export interface RegionTierOptions {
  readonly options: TranslateOptions;
  readonly translate: Translate;
  readonly source: GuestCode;
  readonly table: () => RegionTable;
  readonly paging: () => Paging;
  /** Told the threshold at first, and when it falls: by so much less blocks are as hot as they were. */
  readonly begins: (threshold: number, less: number) => void;
  /** For the tier `auto`. */
  readonly queue?: CompileQueue | undefined;
  /** For statistics. */
  readonly nowNs: () => number;
}

export class RegionTier implements RegionSlots {
  readonly #o: RegionTierOptions;
  #threshold: number;
  /** Boundaries until the machine is not young any more, 0 = it is not. */
  #young: number;
  #requests = 0;
  #declined = 0;
  #guestInstructions = 0;
  #failed = 0;
  #lastError: string | undefined;
  #translateNs = 0;
  #compileNs = 0;
  #installNs = 0;

  constructor(options: RegionTierOptions) {
    this.#o = options;
    const { tier, threshold } = options.options;
    this.#young = tier === 'auto' && threshold === undefined ? YOUNG_BOUNDARIES : 0;
    this.#threshold = this.#young > 0 ? YOUNG_THRESHOLD : thresholdOf(options.options);
    options.begins(this.#threshold, 0);
  }

  slotAt(host: number, mode: number): number {
    return this.#o.table().slotAt(host, mode);
  }
  written(host: number, bytes: number): void {
    this.#o.table().written(host, bytes);
  }
  clear(): void {
    this.#o.table().clear();
  }

  heatOf(host: number, mode: number): number {
    const { tier, seed = 0 } = this.#o.options;
    if (tier === 'off' || (mode & S.BLOCK_MODE_BIT.STEP) !== 0) return S.HEAT_NEVER;
    if (tier === 'always') return 1;
    if (tier === 'random') return chosen(host, seed) ? 1 : S.HEAT_NEVER;
    const doublings = Math.min(this.#o.table().rewrites(host), MAX_DOUBLINGS);
    return this.#threshold * 2 ** doublings;
  }

  /**
   * A block has become hot; asked once for each until it is decoded again.
   * @returns blocks that may be asked for again
   */
  hot(request: TranslationRequest): readonly TranslationRequest[] {
    const { source, translate, options, nowNs, queue, paging } = this.#o;
    if (options.tier === 'off' || !this.#permitted(request)) return [];
    this.#requests++;
    if (options.tier === 'auto' && queue !== undefined) return queue.add(request, paging());
    source.setPaging(paging());
    const started = nowNs();
    const module = translate(source, [this.#leveled(request)], options);
    this.#translateNs += nowNs() - started;
    if (module === null) this.#declined++;
    else this.#install(module);
    return [];
  }

  /** Where everything is translated at once, half of it is as large as what becomes hot again. */
  #leveled(request: TranslationRequest): TranslationRequest {
    const { tier, seed = 0 } = this.#o.options;
    if (tier !== 'always' && tier !== 'random') return request;
    return { ...request, level: chosen(request.host, seed + 1) ? 2 : 1 };
  }

  #permitted({ host }: TranslationRequest): boolean {
    const { only } = this.#o.options;
    if (only === undefined) return true;
    const hash = codeHash(this.#o.source.u8, host);
    return hash >= only.from && hash < only.to;
  }

  /** At a boundary, while no region runs: takes what the compile thread has finished. */
  poll(): void {
    const { queue } = this.#o;
    if (this.#young > 0 && --this.#young === 0) this.#growUp();
    if (queue === undefined) return;
    for (const result of queue.take()) this.#take(result);
  }

  #growUp(): void {
    const young = this.#threshold;
    this.#threshold = thresholdOf(this.#o.options);
    this.#o.begins(this.#threshold, young - this.#threshold);
  }

  #take({ module, compiled, wasmBytes, requests, translateNs, compileNs, error }: CompileResult): void {
    this.#translateNs += translateNs;
    this.#compileNs += compileNs;
    if (error !== undefined) {
      this.#failed++;
      this.#lastError = error;
    }
    this.#declined += requests - (module?.regions.length ?? 0);
    if (module !== null && compiled !== null) this.#install(module, { module: compiled, wasmBytes });
  }

  #install(module: TranslatedModule, compiled?: CompiledModule): void {
    const started = this.#o.nowNs();
    this.#o.table().install(module, compiled);
    this.#installNs += this.#o.nowNs() - started;
    for (const region of module.regions) this.#guestInstructions += region.instructions;
  }

  /** @param counter gives one of the run loop's counters by its place in the state */
  stats(counter: (offset: number) => number): TranslationStats {
    return {
      ...this.#o.table().counters(),
      requests: this.#requests,
      declined: this.#declined,
      instructions: counter(S.REGION_INSTRUCTIONS),
      interprets: counter(S.REGION_INTERPRETS),
      mismatches: counter(S.REGION_MISMATCHES),
      left: this.#o.table().left(),
      exits: this.#o.options.countExits === true ? this.#o.table().exits() : [],
      guestInstructions: this.#guestInstructions,
      forgotten: this.#o.queue?.forgotten ?? 0,
      failed: this.#failed,
      lastError: this.#lastError,
      translateMs: this.#translateNs / 1e6,
      compileMs: this.#compileNs / 1e6,
      installMs: this.#installNs / 1e6,
      vcpuMs: undefined,
    };
  }
}

/** A coin for each place and seed. */
function chosen(host: number, seed: number): boolean {
  let hash = Math.imul(host ^ Math.imul(seed, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) & 1) === 0;
}
