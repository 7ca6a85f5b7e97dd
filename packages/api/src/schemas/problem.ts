/** Problem details (RFC 9457): what happened, why, what to do. */
import { z } from 'zod';

/** Our members of a problem, also where it is part of a record. */
export const ProblemFields = {
  /** From the table of codes (problems.ts), or one of the library's. */
  code: z.string().regex(/^[A-Z][A-Z0-9_]*$/),
  /** The same for all problems of a code. */
  title: z.string(),
  detail: z.string(),
  /** The errors behind it, nearest first. */
  causes: z.array(z.string()).optional(),
  remedy: z.string().optional(),
};

/** Where a request is wrong. */
export const Violation = z.object({
  /** JSON pointer into the body (RFC 6901), or the name of a parameter or header. */
  at: z.string(),
  detail: z.string(),
});

export const Problem = z.object({
  type: z.string(),
  status: z.int().min(400).max(599),
  instance: z.string().optional(),
  ...ProblemFields,
  violations: z.array(Violation).optional(),
  /** Typed facts for programs. */
  data: z.record(z.string(), z.unknown()).optional(),
});

export type Violation = z.output<typeof Violation>;
export type Problem = z.output<typeof Problem>;
export type ProblemRecord = Pick<Problem, keyof typeof ProblemFields>;
