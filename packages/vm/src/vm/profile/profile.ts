/** Profiles of a guest: what a sampler found, and what a person asks for. Plain data: it crosses threads. */

/** Where a Linux kernel tells which task runs. */
export interface TaskPlace {
  /** Address of the pointer to the task, from the start of a CPU's own variables. */
  readonly current: number;
  /** In the task: its name, 16 bytes. */
  readonly name: number;
}

export interface ProfileRequest {
  /** Guest instructions between two samples, on average. */
  readonly interval: number;
  readonly task?: TaskPlace | undefined;
}

/** What was found several times. */
export interface Sample {
  /** Name of the running task; without it, the address of its page tables. */
  readonly process: string;
  /** Linear addresses, the innermost first: an instruction, then return addresses. */
  readonly frames: readonly bigint[];
  /** Code at the first frame, as far as its page goes. */
  readonly code: Uint8Array;
  count: number;
  /** Nanoseconds of the host's processor from the samples before to these. */
  ns: number;
}

export interface Profile {
  readonly interval: number;
  readonly samples: readonly Sample[];
  /** Samples taken, `lost` ones (too many different stacks) counted. */
  readonly taken: number;
  readonly lost: number;
  /** Samples taken some instructions later than asked, where translated code stopped. */
  readonly late: number;
  readonly instructions: number;
  readonly ns: number;
}
