/**
 * The vCPU's side of its compile thread: requests wait here, the hottest go first, in batches that share page tables,
 * and a few batches are under way at a time. A queue that overflows forgets its coldest requests.
 */
import type { CompileThread } from '../../machine/vcpu.ts';
import type { CompileJob, CompileResult } from './compile-job.ts';
import type { Paging } from './guest-code.ts';
import type { TranslationRequest } from './region.ts';

const MAX_WAITING = 512;
/** What an overflow leaves, so that not every request overflows. */
const KEPT = 384;
const NONE: readonly TranslationRequest[] = [];
const MAX_BATCH = 8;
const MAX_UNDER_WAY = 3;
const FULL_ENOUGH = 4;

export interface CompileQueueOptions {
  readonly thread: CompileThread;
  /** How many results the thread has sent, as the shared word says. */
  readonly sent: () => number;
  /** Executions of a block since it was asked for; −1 when it is gone. */
  readonly heat: (request: TranslationRequest) => number;
}

interface Waiting {
  readonly request: TranslationRequest;
  readonly paging: Paging;
  heat: number;
}

export class CompileQueue {
  readonly #o: CompileQueueOptions;
  #waiting: Waiting[] = [];
  #underWay = 0;
  #seen: number;
  #forgotten = 0;

  constructor(options: CompileQueueOptions) {
    this.#o = options;
    this.#seen = options.sent();
  }

  /** Requests dropped so far. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** @returns requests that were dropped for it */
  add(request: TranslationRequest, paging: Paging): readonly TranslationRequest[] {
    this.#waiting.push({ request, paging, heat: 0 });
    if (this.#waiting.length <= MAX_WAITING) return NONE;
    this.#sort();
    const dropped = this.#waiting.splice(KEPT).map((waiting) => waiting.request);
    this.#forgotten += dropped.length;
    return dropped;
  }

  /** What has arrived since the last time; sends what waits. */
  *take(): Generator<CompileResult> {
    if (this.#o.sent() === this.#seen) {
      this.#post();
      return;
    }
    for (let result = this.#o.thread.take(); result !== undefined; result = this.#o.thread.take()) {
      this.#seen = (this.#seen + 1) | 0;
      this.#underWay--;
      this.#post();
      yield result as CompileResult;
    }
  }

  /** Hottest first, without those that are gone; of equals the older ones. */
  #sort(): void {
    for (const waiting of this.#waiting) waiting.heat = this.#o.heat(waiting.request);
    this.#waiting = this.#waiting.filter(({ heat }) => heat >= 0).sort((a, b) => b.heat - a.heat);
  }

  #post(): void {
    if (this.#underWay >= MAX_UNDER_WAY || this.#waiting.length === 0) return;
    if (this.#waiting.length > 1) this.#sort();
    while (this.#underWay < MAX_UNDER_WAY) {
      const [first] = this.#waiting;
      // while the thread has work, a batch may fill: a module has its price
      if (first === undefined || (this.#underWay > 0 && this.#waiting.length < FULL_ENOUGH)) return;
      const batch = this.#waiting.filter((other) => together(first, other)).slice(0, MAX_BATCH);
      this.#waiting = this.#waiting.filter((other) => !batch.includes(other));
      const job: CompileJob = { paging: first.paging, requests: batch.map(({ request }) => request) };
      this.#o.thread.post(job);
      this.#underWay++;
    }
  }
}

/** Do both mean the same page tables? All kernels map themselves the same way in every process. */
function together(a: Waiting, b: Waiting): boolean {
  const { paging: p } = a;
  const { paging: q } = b;
  if (p.cpl !== q.cpl || p.cr0 !== q.cr0 || p.cr4 !== q.cr4) return false;
  return p.cr3 === q.cr3 || (a.request.rip < 0n && b.request.rip < 0n);
}
