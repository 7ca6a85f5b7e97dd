/**
 * One machine-code experiment, and what came of it. The same case runs on the host's CPU (`native.ts`) and on
 * the soft engine (`engine.ts`), at the same addresses, at CPL 3, so every register and address is comparable.
 *
 *   0x1000_0000  CODE   8 KiB  read, write, execute; filled with INT3 behind the case's code
 *   0x2000_0000  DATA   8 KiB  read, write; a fixed pseudo-random pattern plus the case's patches
 *   0x2000_2000  CONST  4 KiB  read only, the pattern goes on
 *   0x2400_0000  STACK  4 KiB  read, write
 *
 * Everything else is unmapped. A case ends with the first exception; code that runs off its end meets an INT3.
 */
export const CODE_BASE: number = 0x10000000;
export const CODE_SIZE: number = 0x2000;
export const DATA_BASE: number = 0x20000000;
export const DATA_SIZE: number = 0x2000;
export const CONST_BASE: number = 0x20002000;
export const CONST_SIZE: number = 0x1000;
export const STACK_BASE: number = 0x24000000;
export const STACK_SIZE: number = 0x1000;
/** Default RSP: middle of the stack, 16-byte aligned. */
export const STACK_TOP: number = STACK_BASE + 0x800;

/** Selectors in force on Linux and in our prepared address space: user code 64, user code 32, user data. */
export const USER_CS64: number = 0x33;
export const USER_CS32: number = 0x23;
export const USER_DS: number = 0x2b;

export const Gpr = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
} as const;

export interface Patch {
  readonly addr: number;
  readonly bytes: Uint8Array;
}

export interface TestCase {
  readonly mode: 64 | 32;
  readonly code: Uint8Array;
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
  readonly gpr: BigUint64Array;
  readonly rflags: number;
  /** FXSAVE64 image (512 bytes); undefined = the state after FNINIT and MXCSR 1F80. */
  readonly fx?: Uint8Array | undefined;
  readonly patches?: readonly Patch[];
  readonly fsBase?: bigint;
  readonly gsBase?: bigint;
}

/** A 64-byte line of writable memory whose content differs from what it was before the case ran. */
export interface DirtyLine {
  readonly addr: number;
  readonly bytes: Uint8Array;
}

export interface Outcome {
  /** `timeout`: did not stop in time (state meaningless). `crash`: the runner died of it. */
  readonly kind: 'exception' | 'timeout' | 'crash';
  readonly vector: number;
  readonly errorCode: number;
  /** Meaningful for vector 14 only. */
  readonly cr2: bigint;
  readonly gpr: BigUint64Array;
  readonly rip: bigint;
  readonly rflags: number;
  readonly fx: Uint8Array;
  readonly fsBase: bigint;
  readonly gsBase: bigint;
  readonly dirty: readonly DirtyLine[];
}

/** The fixed content of DATA and CONST before patches (xorshift32). */
export function basePattern(): Uint8Array {
  const words = new Uint32Array((DATA_SIZE + CONST_SIZE) / 4);
  let x = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer);
}

/** FXSAVE64 image after FNINIT with MXCSR 1F80. */
export function initialFx(): Uint8Array {
  const fx = new Uint8Array(512);
  const view = new DataView(fx.buffer);
  view.setUint16(0, 0x037f, true);
  view.setUint32(24, 0x1f80, true);
  view.setUint32(28, 0xffff, true);
  return fx;
}
