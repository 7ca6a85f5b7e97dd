/** A machine: what it shall be (`VmSpec`), what can be changed while it runs, what is seen of it. */
import { z } from 'zod';
import { ENGINES, RESTART_POLICIES, VM_STATES } from '../vocabulary.ts';
import { Bytes, HostPath, Id, Labels, Timestamp, VmName } from './fields.ts';
import { ProblemFields } from './problem.ts';

const MiB = 2 ** 20;

export const RestartPolicy = z
  .strictObject({
    policy: z.enum(RESTART_POLICIES),
    /** Of `on-failure`; 0 = no limit. */
    maxRetries: z.int().min(0).max(1_000_000).default(0),
  })
  .refine((r) => r.maxRetries === 0 || r.policy === 'on-failure', {
    error: 'only on-failure has a number of retries',
    path: ['maxRetries'],
  });

/** Token buckets; 0 = no limit. */
export const DiskSpec = z.strictObject({
  path: HostPath,
  readOnly: z.boolean().default(false),
  bytesPerSecond: Bytes.default(0),
  operationsPerSecond: Bytes.default(0),
});

const EnvironmentName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,255}$/);
/** The kernel's limit of one argument; everything together is bounded by the size of a request. */
const Argument = z
  .string()
  .max(131_071)
  .regex(/^[^\0]*$/, { error: 'no NUL' });

/** Fractions are a cap: 0.5 is one CPU that runs half of the time. */
export const Cpus = z.number().min(0.01).max(255);
export const CpuWeight = z.int().min(1).max(10_000);

export const VmSpec = z.strictObject({
  image: z.string().min(1).max(255),
  /** Empty: the image's own. */
  command: z.array(Argument).max(4096).default([]),
  environment: z.record(EnvironmentName, Argument).default({}),
  workingDirectory: Argument.optional(),
  /** The command gets a terminal. */
  tty: z.boolean().default(false),
  /** Its standard input stays open, for `attach`. Else it is at its end from the start. */
  openStdin: z.boolean().default(false),
  memoryBytes: z
    .int()
    .min(16 * MiB)
    .max(64 * 1024 * MiB)
    .default(256 * MiB),
  cpus: Cpus.default(1),
  cpuWeight: CpuWeight.default(100),
  engine: z.enum(ENGINES).default('auto'),
  /** One of the image's kernels by name, or a file. */
  kernel: z.string().min(1).max(4096).optional(),
  initrd: HostPath.optional(),
  /** Added to the kernel command line. */
  append: z.string().max(2048).optional(),
  /** All kernel messages on the serial console. */
  kernelMessages: z.boolean().default(false),
  disks: z.array(DiskSpec).max(8).default([]),
  /** Memory for translated code. */
  codeCacheBytes: z
    .int()
    .min(MiB)
    .max(4096 * MiB)
    .optional(),
  /** Of the serial console; 0 = no limit. */
  consoleBytesPerSecond: Bytes.optional(),
  restart: RestartPolicy.default({ policy: 'no', maxRetries: 0 }),
  /** Started with the daemon, lowest first; null = not. `always` and `unless-stopped` are started after these. */
  autostart: z.int().min(0).max(1_000_000).nullable().default(null),
  /** Removed when it ends. */
  autoRemove: z.boolean().default(false),
  labels: Labels.default({}),
});

export const VmCreate = VmSpec.extend({
  /** Made up when absent. */
  name: VmName.optional(),
});

/** What `update` may change, while it runs or not. Absent: stays. */
export const VmUpdate = z
  .strictObject({
    name: VmName,
    cpus: Cpus,
    cpuWeight: CpuWeight,
    restart: RestartPolicy,
    autostart: z.int().min(0).max(1_000_000).nullable(),
    labels: Labels,
    consoleBytesPerSecond: Bytes,
    /** By place in the list of disks. */
    disks: z
      .array(
        z.strictObject({
          index: z.int().min(0).max(7),
          bytesPerSecond: Bytes.optional(),
          operationsPerSecond: Bytes.optional(),
        }),
      )
      .max(8),
  })
  .partial();

export const VmState = z.enum(VM_STATES);

export const Vm = z.object({
  id: Id,
  name: VmName,
  state: VmState,
  /** What the user wants; the daemon works towards it. */
  desired: z.enum(['running', 'paused', 'stopped']),
  spec: VmSpec,
  /** Changes with every change of the record; the value of `ETag`. */
  revision: z.int(),
  createdAt: Timestamp,
  startedAt: Timestamp.nullable(),
  endedAt: Timestamp.nullable(),
  /** Of the last run; null when it has not ended yet or was cut off. */
  exitCode: z.int().nullable(),
  /** Why the last run ended otherwise than by its command's end. */
  error: z.object(ProblemFields).nullable(),
  /** By its policy, since it was last started by somebody. */
  restarts: z.int(),
  /** When it will be started again; in state `restarting`. */
  restartAt: Timestamp.nullable(),
  /** Of its process, while there is one. */
  pid: z.int().nullable(),
  engine: z.object({ kind: z.enum(['soft', 'kvm']), reason: z.string() }).nullable(),
});

/** One moment. */
export const VmStats = z.object({
  id: Id,
  name: VmName,
  at: Timestamp,
  /** Processor time of the machine's process since it started. */
  cpuSeconds: z.number(),
  /** Share of one CPU over the last second or so. */
  cpuShare: z.number(),
  memoryBytes: Bytes,
  /** Resident memory of the process. */
  residentBytes: Bytes,
  diskReadBytes: Bytes,
  diskWriteBytes: Bytes,
  diskReads: z.int(),
  diskWrites: z.int(),
  consoleBytes: Bytes,
  threads: z.int(),
});

export const GuestProcess = z.object({
  pid: z.int(),
  user: z.string(),
  state: z.string(),
  memoryBytes: Bytes,
  command: z.string(),
});

export type VmSpec = z.output<typeof VmSpec>;
export type VmCreate = z.output<typeof VmCreate>;
/** Before defaults are filled in: what a client sends. */
export type VmCreateInput = z.input<typeof VmCreate>;
export type VmUpdate = z.output<typeof VmUpdate>;
export type VmState = z.output<typeof VmState>;
export type Vm = z.output<typeof Vm>;
export type VmStats = z.output<typeof VmStats>;
export type GuestProcess = z.output<typeof GuestProcess>;
export type RestartPolicy = z.output<typeof RestartPolicy>;
export type DiskSpec = z.output<typeof DiskSpec>;
