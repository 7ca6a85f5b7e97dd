/** What happened, in order: `id` of the server-sent event is `seq`, and a client resumes behind the last it saw. */
import { z } from 'zod';
import { Id, Timestamp, VmName } from './fields.ts';

export const EVENT_KINDS = [
  'daemon.started',
  'daemon.stopping',
  'vm.created',
  /** `data`: from, to, and of an end its exit code. */
  'vm.state',
  'vm.updated',
  'vm.removed',
  /** `data`: the operation. */
  'operation',
  /** A client came too late: events before `seq` are gone. */
  'gap',
] as const;
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
