/**
 * The vCPU's side of its compile thread: requests wait here, go out in batches that share page tables, and a few
 * batches are under way at a time. A queue that overflows forgets its oldest requests: the code they name may be long
 * out of use.
 */
import type { CompileThread } from '../../machine/vcpu.ts';
import type { CompileJob, CompileResult } from './compile-job.ts';
import type { Paging } from './guest-code.ts';
import type { TranslationRequest } from './region.ts';

const MAX_WAITING = 512;
const MAX_BATCH = 8;
const MAX_UNDER_WAY = 3;

interface Waiting {
  readonly request: TranslationRequest;
  readonly paging: Paging;
}

export class CompileQueue {
  readonly #thread: CompileThread;
  /** How many results the thread has sent, as the shared word says. */
  readonly #sent: () => number;
  readonly #waiting: Waiting[] = [];
  #underWay = 0;
  #seen = 0;
  #forgotten = 0;

  constructor(thread: CompileThread, sent: () => number) {
    this.#thread = thread;
    this.#sent = sent;
    this.#seen = sent();
  }

  /** Requests dropped so far. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** @returns a request that was dropped for it */
  add(request: TranslationRequest, paging: Paging): TranslationRequest | undefined {
    this.#waiting.push({ request, paging });
    this.#post();
    if (this.#waiting.length <= MAX_WAITING) return undefined;
    this.#forgotten++;
    return this.#waiting.shift()?.request;
  }

  /** What has arrived since the last time. */
  *take(): Generator<CompileResult> {
    if (this.#sent() === this.#seen) return;
    for (let result = this.#thread.take(); result !== undefined; result = this.#thread.take()) {
      this.#seen = (this.#seen + 1) | 0;
      this.#underWay--;
      this.#post();
      yield result as CompileResult;
    }
  }

  #post(): void {
    while (this.#underWay < MAX_UNDER_WAY) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      const batch: TranslationRequest[] = [];
      for (const { request, paging } of this.#waiting) {
        if (batch.length === MAX_BATCH || !samePaging(paging, first.paging)) break;
        batch.push(request);
      }
      this.#waiting.splice(0, batch.length);
      const job: CompileJob = { paging: first.paging, requests: batch };
      this.#thread.post(job);
      this.#underWay++;
    }
  }
}

function samePaging(a: Paging, b: Paging): boolean {
  return a.cr3 === b.cr3 && a.cpl === b.cpl && a.cr0 === b.cr0 && a.cr4 === b.cr4;
}
