/**
 * The one error type for host and user errors. A guest fault is never an exception: it is a returned value.
 * Codes live in `error-codes.ts`; each names its title and HTTP-like class once.
 */
import { ERROR_CODES, type ErrorCode } from './error-codes.ts';

export interface VmErrorOptions {
  /** What happened, in one sentence naming the file, option or package. */
  readonly message: string;
  /** What the user can do about it: a sentence, or an exact line to type. */
  readonly remedy?: string;
  readonly cause?: unknown;
  /** Typed facts for programs (`--json`). */
  readonly data?: Readonly<Record<string, unknown>>;
}

export class VmError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, options: VmErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VmError';
    this.code = code;
    this.remedy = options.remedy;
    this.data = options.data ?? {};
  }

  /** The title of the error's code, the same for every occurrence. */
  get title(): string {
    return ERROR_CODES[this.code].title;
  }
}

/** Checks an invariant of our own code. Never used for anything a guest or a user can cause. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}
