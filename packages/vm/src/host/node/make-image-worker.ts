/** The worker that makes an image and puts it into the cache. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ErrorCode } from '../../base/error-codes.ts';
import { VmError } from '../../base/errors.ts';
import type { Progress } from '../../image/progress.ts';
import { type MakeOptions, makeImage } from './make-image.ts';

/** Ends with the worker's exit; before that `failed` at most once. */
export type MakeReply =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly remedy: string;
      readonly cause: Error | undefined;
      readonly data: Readonly<Record<string, unknown>>;
    };

const post = (reply: MakeReply): void => parentPort?.postMessage(reply);

/** A copy that passes between threads, with its own causes. */
function plainError(error: unknown): Error | undefined {
  if (error === undefined) return undefined;
  if (!(error instanceof Error)) return new Error('an unknown cause');
  const cause = plainError(error.cause);
  return new Error(error.message, cause === undefined ? undefined : { cause });
}

try {
  await makeImage(workerData as MakeOptions, (progress) => post({ kind: 'progress', progress }));
} catch (error) {
  if (!(error instanceof VmError)) throw error;
  const { code, message, remedy = '', data } = error;
  post({ kind: 'failed', code, message, remedy, data, cause: plainError(error.cause) });
}
