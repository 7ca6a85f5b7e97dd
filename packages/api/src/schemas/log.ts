/** One piece of a machine's output: a line of `application/x-ndjson`. */
import { z } from 'zod';
import { LOG_STREAMS } from '../vocabulary.ts';
import { Timestamp } from './fields.ts';

export const LogStream = z.enum(LOG_STREAMS);
export const LogEntry = z.object({
  at: Timestamp,
  stream: LogStream,
  /** With its newline; long lines come in pieces. Bytes that are no UTF-8 are replaced. */
  text: z.string(),
});

export type LogStream = z.output<typeof LogStream>;
export type LogEntry = z.output<typeof LogEntry>;
