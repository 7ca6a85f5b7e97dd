/** What happened, in order: `id` of the server-sent event is `seq`, and a client resumes behind the last it saw. */
import { z } from 'zod';
import { EVENT_KINDS } from '../vocabulary.ts';
import { Id, Timestamp, VmName } from './fields.ts';

export const EventKind = z.enum(EVENT_KINDS);

export const HostEvent = z.object({
  seq: z.int(),
  at: Timestamp,
  kind: EventKind,
  vm: z.object({ id: Id, name: VmName }).nullable(),
  data: z.record(z.string(), z.unknown()),
});

export type EventKind = z.output<typeof EventKind>;
export type HostEvent = z.output<typeof HostEvent>;
