/**
 * Contracts inside the soft engine: what the run loop (engine/vcpu.ts), the cold part (engine/system) and the
 * memory unit ask of one another. State is shared through the vCPU's area in linear memory (x86/state.ts).
 */

/** How a cold operation ends: the same codes as a handler's status in the interpreter. */
export const STATUS = {
  /** Go on with the next record. */
  NEXT: 0,
  /** RIP (state) was set: look the block up. Also when anything changed that decoding or translation depends on. */
  JUMP: 1,
  /** Leave the run loop: FAULT is set, or an exit was requested (`ColdResult`). */
  EXIT: 2,
} as const;

/** What the interpreter's `run` returns. */
export const RUN_EXIT = {
  /** At a block boundary: budget used up, or attention wanted. */
  BOUNDARY: 0,
  /** A handler left: FAULT is set or a cold operation asked for it. RECORD names the instruction. */
  RECORD: 1,
  /** No decoded block at RIP: FAULT is set, or FETCH_HOST is where to decode. */
  NO_BLOCK: 2,
  /** The block whose first record is RECORD got hot, and has not been executed this time. RIP is exact. */
  HOT: 3,
  /** The region whose slot is in RECORD has been entered REGION_HOT times, and not this time. RIP is exact. */
  HOT_REGION: 4,
} as const;

/** Instructions in a decoded block at most. */
export const BLOCK_INSTRUCTIONS: number = 64;
/**
 * Where instructions are counted exactly: how far code that is begun while BUDGET is above 0 may go past its end. A
 * block never goes further; a region looks (translate/emit-region.ts).
 */
export const BUDGET_SLACK: number = BLOCK_INSTRUCTIONS - 1;

/** Access bits of `MemoryUnit.translate` and of page-fault error codes. */
export const ACCESS = {
  READ: 0,
  WRITE: 1,
  /** Check as user mode (otherwise as supervisor, whatever CPL is: descriptor tables, interrupt delivery). */
  USER: 2,
  FETCH: 4,
} as const;

export interface MemoryUnit {
  /**
   * Linear → host address (offset in the shared memory) of one byte, valid to the end of its page; sets accessed
   * and dirty bits. 0 = fault: FAULT, FAULT_CODE and FAULT_ADDRESS are set. 1 = device memory: WALK_GPA is set.
   */
  translate(va: bigint, access: number): number;
  /** After a change of CR3 (`global` false: global pages stay) or of CR0/CR4/EFER paging bits (true). */
  flush(global: boolean): void;
  /** Must follow every change of CS, SS, CPL, CR0, CR4, EFER, RFLAGS.AC/TF, DR7 or flatness of segments. */
  modeChanged(): void;
  /** Tells the decoded-code cache that `bytes` at host address `host` were written from TypeScript. */
  written(host: number, bytes: number): void;
}
