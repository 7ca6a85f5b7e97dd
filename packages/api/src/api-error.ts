/** Why a request was not done, as the daemon says it, or because there is none that answers. */
import { PROBLEMS, type ProblemCode } from './problems.ts';
import type { Operation } from './schemas/operation.ts';
import type { Problem, ProblemRecord, Violation } from './schemas/problem.ts';

export interface ApiErrorOptions {
  /** Of the table, or one of the library's. */
  readonly code: string;
  readonly title: string;
  readonly status: number;
  readonly remedy?: string | undefined;
  readonly causes?: readonly string[] | undefined;
  readonly violations?: readonly Violation[] | undefined;
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  /** The operation that failed. */
  readonly operation?: string | undefined;
  readonly cause?: unknown;
}

export class ApiError extends Error {
  readonly code: string;
  readonly title: string;
  readonly status: number;
  readonly remedy: string | undefined;
  /** The errors behind it, nearest first. */
  readonly causes: readonly string[];
  readonly violations: readonly Violation[];
  readonly data: Readonly<Record<string, unknown>>;
  readonly operation: string | undefined;

  /** @param detail what happened, in a sentence */
  constructor(detail: string, options: ApiErrorOptions) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ApiError';
    this.code = options.code;
    this.title = options.title;
    this.status = options.status;
    this.remedy = options.remedy;
    this.causes = options.causes ?? [];
    this.violations = options.violations ?? [];
    this.data = options.data ?? {};
    this.operation = options.operation;
  }

  get detail(): string {
    return this.message;
  }
}

/** One of the table's. */
export function apiError(
  code: ProblemCode,
  detail: string,
  more: Omit<ApiErrorOptions, 'code' | 'title' | 'status'> = {},
): ApiError {
  return new ApiError(detail, { code, ...PROBLEMS[code], ...more });
}

/** @param body of an answer with a status of 400 or more, parsed if it was JSON */
export function errorOfAnswer(status: number, body: unknown): ApiError {
  if (!isProblem(body))
    return new ApiError(`The daemon answered ${status} without a reason.`, {
      code: 'INTERNAL',
      title: PROBLEMS.INTERNAL.title,
      status,
    });
  const { detail, operation, ...rest } = body as Problem & { operation?: string };
  return new ApiError(detail, { ...rest, status, ...(typeof operation === 'string' ? { operation } : {}) });
}

/** Of an operation that has failed or was cancelled. */
export function errorOfOperation(operation: Operation): ApiError {
  const { id, state } = operation;
  if (operation.error === null)
    return apiError('OPERATION_CANCELLED', `Operation ${id} (${operation.kind}) is ${state}.`, {
      operation: id,
    });
  return errorOfRecord(operation.error, { operation: id });
}

/** Of an error inside another record: of an operation, of a machine. */
export function errorOfRecord(record: ProblemRecord, more: { readonly operation?: string } = {}): ApiError {
  const { detail, ...rest } = record;
  const known = PROBLEMS[record.code as ProblemCode] as { status: number } | undefined;
  return new ApiError(detail, { ...rest, status: known?.status ?? 500, ...more });
}

function isProblem(body: unknown): body is Problem {
  if (typeof body !== 'object' || body === null) return false;
  const { code, title, detail } = body as Partial<Record<string, unknown>>;
  return typeof code === 'string' && typeof title === 'string' && typeof detail === 'string';
}
