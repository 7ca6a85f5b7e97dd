/** What is said as JSON in the frames of `attach` and `console` (frames.ts). */
import { z } from 'zod';
import { SIGNALS } from './vocabulary.ts';

export { CLIENT_FRAME, DAEMON_FRAME, MAX_FRAME_BYTES } from './frames.ts';

const Cells = z.int().min(1).max(10_000);
export const AttachControl = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('resize'), columns: Cells, rows: Cells }),
  z.strictObject({ kind: z.literal('signal'), name: z.enum(SIGNALS) }),
]);
export const AttachEvent = z.discriminatedUnion('kind', [
  /** Nothing follows. */
  z.object({ kind: z.literal('exit'), exitCode: z.int() }),
  z.object({
    kind: z.literal('error'),
    code: z.string(),
    title: z.string(),
    detail: z.string(),
    remedy: z.string().optional(),
  }),
]);

export type AttachControl = z.output<typeof AttachControl>;
export type AttachEvent = z.output<typeof AttachEvent>;
