/** Prints a test run: one line per file, every failure in full, every skip in one line, then the totals. */
import { relative } from 'node:path';
import type { run } from 'node:test';
import { inspect } from 'node:util';

export interface ReportOptions {
  readonly root: string;
  /** A skipped test counts as a failure, except one that needs /dev/kvm. */
  readonly strict: boolean;
  /** When the whole run began, on the clock of `performance.now()`. */
  readonly began: number;
}

interface Counts {
  tests: number;
  pass: number;
  fail: number;
  skipped: number;
}

/** @returns whether everything passed */
export async function report(stream: ReturnType<typeof run>, options: ReportOptions): Promise<boolean> {
  const total: Counts = { tests: 0, pass: 0, fail: 0, skipped: 0 };
  const failures: string[] = [];
  const skips: string[] = [];
  const output = new Map<string, string[]>();
  const name = (file: string | undefined): string =>
    file === undefined ? '?' : relative(options.root, file);
  for await (const event of stream) {
    if (event.type === 'test:stderr' || event.type === 'test:stdout') {
      const lines = output.get(event.data.file ?? '') ?? [];
      output.set(event.data.file ?? '', lines);
      lines.push(event.data.message);
    } else if (event.type === 'test:pass' || event.type === 'test:fail') {
      const { data } = event;
      const skip = data.skip;
      // A suite is no test of its own, and a file's own entry only matters when it failed by itself.
      if (event.type === 'test:pass' && data.details.type === 'suite') continue;
      if (event.type === 'test:fail') {
        if (!countsAsFailure(data.details.error)) continue;
        total.tests++;
        total.fail++;
        failures.push(`${name(data.file)}: ${data.name}\n${describe(data.details.error)}`);
      } else if (skip !== undefined && skip !== false) {
        total.tests++;
        const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason given';
        const line = `${name(data.file)}: ${data.name} (${reason})`;
        if (options.strict && !reason.includes('/dev/kvm')) {
          total.fail++;
          failures.push(`${line}\nskipped, which is a failure under CI`);
        } else {
          total.skipped++;
          skips.push(line);
        }
      } else {
        total.tests++;
        total.pass++;
      }
    } else if (event.type === 'test:summary' && event.data.file !== undefined) {
      const { counts, duration_ms, file } = event.data;
      const success: boolean = event.data.success === true;
      const seconds = (duration_ms / 1000).toFixed(1).padStart(6);
      console.log(`${success ? 'ok  ' : 'FAIL'} ${seconds} s  ${name(file)} (${counts.tests})`);
      const lines = output.get(file);
      if (!success && lines !== undefined) console.log(lines.join('').trimEnd().replaceAll(/^/gm, '     | '));
      output.delete(file);
    }
  }
  for (const failure of failures) console.log(`\nFAIL ${failure}`);
  if (skips.length > 0) console.log('');
  for (const skip of skips) console.log(`SKIP ${skip}`);
  console.log(
    `\n# tests ${total.tests}\n# pass ${total.pass}\n# fail ${total.fail}\n# skipped ${total.skipped}`,
  );
  console.log(`# duration_ms ${Math.round(performance.now() - options.began)}`);
  return total.fail === 0 && total.tests > 0;
}

/** A parent that failed only because a test inside it failed is not counted twice. */
function countsAsFailure(error: unknown): boolean {
  return !(error instanceof Error && 'failureType' in error && error.failureType === 'subtestsFailed');
}

function describe(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const text =
    cause instanceof Error
      ? (cause.stack ?? cause.message)
      : typeof cause === 'string'
        ? cause
        : inspect(cause);
  return text.replaceAll(/^/gm, '  ');
}
