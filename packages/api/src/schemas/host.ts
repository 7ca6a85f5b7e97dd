/** The host: who answers, what it has, how it shares. */
import { z } from 'zod';
import { Bytes, Timestamp } from './fields.ts';
import { VmState } from './vm.ts';

export const Version = z.object({
  version: z.string(),
  /** Of the API; a client of another major version is refused. */
  api: z.string(),
  node: z.string(),
  pid: z.int(),
  startedAt: Timestamp,
});

export const Host = z.object({
  version: Version,
  cpus: z.int(),
  memoryBytes: Bytes,
  /** That the system says could be used without swapping. */
  availableMemoryBytes: Bytes,
  /** Promised to machines that have a process. */
  committed: z.object({ memoryBytes: Bytes, cpus: z.number() }),
  /** What more could be started now. */
  room: z.object({ memoryBytes: Bytes, cpus: z.number() }),
  machines: z.record(VmState, z.int()),
  daemon: z.object({ residentBytes: Bytes, cpuSeconds: z.number() }),
  /** Which of the machines' walls stand here, and why the others do not. */
  walls: z.array(z.object({ name: z.string(), stands: z.boolean(), reason: z.string() })),
});

/** Settings of a host; the file is `config.json`. */
export const Config = z.strictObject({
  /** Where Debian's packages come from. */
  mirror: z.url({ protocol: /^https?$/ }).optional(),
  /** Sum of machines' CPUs over the host's. */
  cpuOvercommit: z.number().min(0.1).max(1000).default(16),
  /** Memory that stays free for the host. */
  memoryReserveBytes: Bytes.default(512 * 2 ** 20),
  log: z
    .strictObject({
      maxBytes: z
        .int()
        .min(4096)
        .max(2 ** 40)
        .default(16 * 2 ** 20),
      maxFiles: z.int().min(1).max(20).default(3),
    })
    .default({ maxBytes: 16 * 2 ** 20, maxFiles: 3 }),
});
/** A merge patch (RFC 7396) of `Config`: null takes a setting back to its default. */
export const ConfigPatch = z.strictObject({
  mirror: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .optional(),
  cpuOvercommit: z.number().min(0.1).max(1000).nullable().optional(),
  memoryReserveBytes: Bytes.nullable().optional(),
  log: z
    .strictObject({
      maxBytes: z
        .int()
        .min(4096)
        .max(2 ** 40)
        .nullable()
        .optional(),
      maxFiles: z.int().min(1).max(20).nullable().optional(),
    })
    .nullable()
    .optional(),
});

export const DiskUse = z.object({
  items: z.array(
    z.object({
      kind: z.enum(['machine', 'image', 'download', 'database', 'log']),
      name: z.string(),
      bytes: Bytes,
      /** What `prune` would give back. */
      reclaimableBytes: Bytes,
    }),
  ),
});
export const PruneRequest = z.strictObject({
  /** Machines that have ended, with their logs. */
  machines: z.boolean().default(true),
  /** Downloads and made images that no machine uses. */
  cache: z.boolean().default(false),
  /** Ended operations and events older than the newest thousand. */
  history: z.boolean().default(true),
});

export type Version = z.output<typeof Version>;
export type Host = z.output<typeof Host>;
export type Config = z.output<typeof Config>;
export type ConfigPatch = z.output<typeof ConfigPatch>;
export type DiskUse = z.output<typeof DiskUse>;
export type PruneRequest = z.output<typeof PruneRequest>;
export type PruneInput = z.input<typeof PruneRequest>;
