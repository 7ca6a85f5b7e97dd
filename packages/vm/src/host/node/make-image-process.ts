/** The process that makes an image and puts it into the cache; its options come as the one argument, in JSON. */
import type { ErrorCode } from '../../base/error-codes.ts';
import { VmError } from '../../base/errors.ts';
import type { Progress } from '../../image/progress.ts';
import { type MakeOptions, makeImage } from './make-image.ts';

/** What it says to its parent, until it exits. */
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

const post = (reply: MakeReply): void => void process.send?.(reply);

/** A copy that passes between processes, with its own causes. */
function plainError(error: unknown): Error | undefined {
  if (error === undefined) return undefined;
  if (!(error instanceof Error)) return new Error('an unknown cause');
  const cause = plainError(error.cause);
  return new Error(error.message, cause === undefined ? undefined : { cause });
}

// Without its parent nobody waits for the image; a download goes on in the next run.
const orphaned = (): never => process.exit(1);
process.on('disconnect', orphaned);
try {
  const options: unknown = JSON.parse(process.argv[2] ?? '');
  await makeImage(options as MakeOptions, (progress) => post({ kind: 'progress', progress }));
} catch (error) {
  if (!(error instanceof VmError)) throw error;
  const { code, message, remedy = '', data } = error;
  post({ kind: 'failed', code, message, remedy, data, cause: plainError(error.cause) });
}
process.off('disconnect', orphaned);
process.disconnect?.();
