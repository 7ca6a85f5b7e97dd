/** What the daemon refuses: a code of the table with its reason, as it will be told to the client. */
import { type ProblemCode, type ProblemRecord, PROBLEMS, type Violation } from '@vivarium/api';

export interface ProblemOptions {
  /** What happened, in one sentence that names the thing. */
  readonly detail: string;
  readonly remedy?: string;
  readonly cause?: unknown;
  readonly violations?: readonly Violation[];
  readonly data?: Readonly<Record<string, unknown>>;
}

export class ProblemError extends Error {
  readonly code: ProblemCode;
  readonly options: ProblemOptions;

  constructor(code: ProblemCode, options: ProblemOptions) {
    super(options.detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ProblemError';
    this.code = code;
    this.options = options;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }
}

const MAX_CAUSES = 4;

/** Any error as it stands in a record: ours, the library's (it has code, title and remedy), or one that nobody expected. */
export function problemRecord(error: unknown): ProblemRecord {
  const causes = causesOf(error);
  const more = causes.length === 0 ? {} : { causes };
  if (error instanceof ProblemError) {
    const { detail, remedy } = error.options;
    const { title } = PROBLEMS[error.code];
    return { code: error.code, title, detail, ...more, ...(remedy === undefined ? {} : { remedy }) };
  }
  if (isVmError(error)) {
    const { code, title, message, remedy } = error;
    return { code, title, detail: message, ...more, ...(remedy === undefined ? {} : { remedy }) };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { code: 'INTERNAL', title: PROBLEMS.INTERNAL.title, detail, ...more };
}

interface VmErrorLike {
  readonly code: string;
  readonly title: string;
  readonly message: string;
  readonly remedy?: string | undefined;
}
/** By its shape: the class may come from another copy of the library. */
function isVmError(error: unknown): error is VmErrorLike {
  return error instanceof Error && error.name === 'VmError' && 'code' in error && 'title' in error;
}

function causesOf(error: unknown): string[] {
  const found: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && cause !== null && found.length < MAX_CAUSES) {
    found.push(cause instanceof Error ? cause.message : typeof cause === 'string' ? cause : 'unknown');
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return found;
}
