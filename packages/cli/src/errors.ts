/** Every failure as one screen: what happened, why, what to do, and the code to search for. */
import { inspect } from 'node:util';
import { VmError } from '@vivarium/vm';

/** Our own failures; the guest's exit codes are passed on as they are (Docker's convention). */
export const EXIT_OUR_ERROR = 125;

const MAX_CAUSES = 4;

/** @returns lines for standard error, ending in a newline */
export function renderError(error: unknown): string {
  if (!(error instanceof VmError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
    return `viv: an error in viv itself\n${indent(text)}\n  what to do: report it, with the lines above\n`;
  }
  const lines = [`viv: ${error.title}`, indent(error.message)];
  for (const cause of causes(error)) lines.push(indent(`because: ${cause}`));
  if (error.remedy !== undefined) lines.push(indent(`what to do: ${error.remedy}`));
  lines.push(`  code: ${error.code}`);
  return `${lines.join('\n')}\n`;
}

/** The same for programs (`--json`). */
export function errorRecord(error: unknown): Record<string, unknown> {
  if (!(error instanceof VmError)) return { code: 'INTERNAL', message: inspect(error) };
  const { code, title, message, remedy, data } = error;
  return { code, title, message, causes: causes(error), ...(remedy === undefined ? {} : { remedy }), data };
}

function causes(error: Error): string[] {
  const found: string[] = [];
  let cause: unknown = error.cause;
  while (cause !== undefined && cause !== null && found.length < MAX_CAUSES) {
    found.push(cause instanceof Error ? cause.message : inspect(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return found;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
