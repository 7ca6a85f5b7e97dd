/** Fields that several schemas share. */
import { z } from 'zod';
import { NAME_PATTERN } from '../vocabulary.ts';

export const VmName = z
  .string()
  .regex(NAME_PATTERN)
  .meta({ description: 'Unique among the machines of a host' });

/** 16 hexadecimal digits; a machine keeps its id for life. */
export const Id = z.string().regex(/^[0-9a-f]{16}$/);

/** RFC 3339, UTC, milliseconds. */
export const Timestamp = z.iso.datetime({ precision: 3 });

export const Labels = z
  .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$/), z.string().max(1024))
  .refine((labels) => Object.keys(labels).length <= 64, { error: 'at most 64 labels' });

/** A path on the host, absolute. */
export const HostPath = z
  .string()
  .max(4096)
  .regex(/^(\/|[A-Za-z]:[\\/])[^\0]*$/, { error: 'an absolute path' });

export const Bytes = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
