/** Long work: what was asked for, how far it is, how it ended. */
import { z } from 'zod';
import { OPERATION_KINDS, OPERATION_STATES, SIGNALS } from '../vocabulary.ts';
import { Id, Timestamp, VmName } from './fields.ts';
import { ProblemFields } from './problem.ts';

export const OperationKind = z.enum(OPERATION_KINDS);
export const OperationState = z.enum(OPERATION_STATES);

export const Operation = z.object({
  id: Id,
  kind: OperationKind,
  /** The machine it is about. */
  vm: z.object({ id: Id, name: VmName }).nullable(),
  state: OperationState,
  /** What it does now, and how much of that is done (0 to 1), when that is known. */
  progress: z.object({ phase: z.string(), fraction: z.number().min(0).max(1).nullable() }).nullable(),
  /** Why it failed. */
  error: z.object(ProblemFields).nullable(),
  /** What it found, of kinds that find something (prune: bytes and names). */
  result: z.record(z.string(), z.unknown()).nullable(),
  cancellable: z.boolean(),
  createdAt: Timestamp,
  startedAt: Timestamp.nullable(),
  endedAt: Timestamp.nullable(),
});

export const StopRequest = z.strictObject({
  /** Then the plug is pulled. */
  timeoutSeconds: z.number().min(0).max(86_400).default(10),
});
export const KillRequest = z.strictObject({
  /** KILL pulls the plug; the others go to the guest's command. */
  signal: z.enum(['KILL', ...SIGNALS]).default('KILL'),
});

export type Operation = z.output<typeof Operation>;
export type OperationKind = z.output<typeof OperationKind>;
export type OperationState = z.output<typeof OperationState>;
export type StopRequest = z.output<typeof StopRequest>;
export type KillRequest = z.output<typeof KillRequest>;
export type StopInput = z.input<typeof StopRequest>;
export type KillInput = z.input<typeof KillRequest>;
