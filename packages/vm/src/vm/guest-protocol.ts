/** The lines of docs/guest-protocol.md: what the host says to the guest's init, and what it answers. */
import { VmError } from '../base/errors.ts';

export const PROTOCOL_VERSION: number = 1;
/** Longest line either side may send, in bytes. */
export const LINE_MAX: number = 128 * 1024;

export interface GuestCommandLine {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly tty: boolean;
}

export type GuestLine =
  | { readonly kind: 'ready'; readonly version: number; readonly release: string }
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'error'; readonly text: string }
  /** A word of a later version, or noise. */
  | { readonly kind: 'unknown'; readonly text: string };

/** A shell word that evaluates to `value`. */
export function quoteWord(value: string): string {
  if (value.includes('\0')) {
    throw new VmError('USAGE', {
      message: 'A command for the guest contains a NUL character',
      remedy: 'Remove it: no program argument or environment variable can hold one',
    });
  }
  return `'${value.replaceAll("'", `'\\''`).replaceAll('\n', `'"$NL"'`)}'`;
}

function line(word: string, values: readonly string[]): string {
  const text = [word, ...values.map(quoteWord)].join(' ');
  if (new TextEncoder().encode(text).length >= LINE_MAX) {
    throw new VmError('USAGE', {
      message: `The guest's command is too long: its ${word} line exceeds ${LINE_MAX} bytes`,
      remedy: 'Shorten the arguments, or give the data on standard input',
    });
  }
  return `${text}\n`;
}

/** The lines that start a command; 'run' ends all other guest processes with it, 'exec' does not. */
export function commandLines(mode: 'run' | 'exec', command: GuestCommandLine): string {
  const entries = Object.entries(command.env ?? {});
  for (const [name] of entries) {
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) continue;
    throw new VmError('USAGE', {
      message: `'${name}' is no name for an environment variable`,
      remedy: 'Use letters, digits and underscores, a digit not first',
    });
  }
  if (command.argv.length === 0) throw new Error('invariant broken: a command without words');
  return [
    entries.length === 0
      ? ''
      : line(
          'env',
          entries.map(([name, value]) => `${name}=${value}`),
        ),
    command.cwd === undefined ? '' : line('cwd', [command.cwd]),
    line('argv', command.argv),
    `${mode} ${command.tty ? 'tty' : 'pipe'}\n`,
  ].join('');
}

export function sizeLine(columns: number, rows: number): string {
  const clamp = (n: number): number => Math.min(Math.max(Math.trunc(n), 1), 0xffff);
  return `size ${clamp(columns)} ${clamp(rows)}\n`;
}

/** @param name without SIG @throws VmError USAGE when it cannot be one */
export function signalLine(name: string): string {
  if (!/^[A-Z][A-Z0-9+-]*$/.test(name)) {
    throw new VmError('USAGE', { message: `'${name}' is no signal's name`, remedy: 'For example: TERM' });
  }
  return `signal ${name}\n`;
}

export function parseGuestLine(text: string): GuestLine {
  const ready = /^ready (\d{1,4}) (\S{1,128})$/.exec(text);
  if (ready !== null) return { kind: 'ready', version: Number(ready[1]), release: ready[2] ?? '' };
  const started = /^started (\d{1,9})$/.exec(text);
  if (started !== null) return { kind: 'started', pid: Number(started[1]) };
  const exit = /^exit (\d{1,3})$/.exec(text);
  if (exit !== null && Number(exit[1]) < 256) return { kind: 'exit', code: Number(exit[1]) };
  if (text.startsWith('error ')) return { kind: 'error', text: text.slice(6) };
  return { kind: 'unknown', text };
}

/** Splits what comes from the guest into lines; an over-long one is dropped, not kept. */
export class LineReader {
  readonly #onLine: (text: string) => void;
  readonly #decoder: TextDecoder = new TextDecoder();
  #partial = '';
  #dropping = false;

  constructor(onLine: (text: string) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Uint8Array): void {
    const lines = (this.#partial + this.#decoder.decode(bytes, { stream: true })).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const text of lines) {
      if (this.#dropping) this.#dropping = false;
      else this.#onLine(text);
    }
    if (this.#partial.length > LINE_MAX) {
      this.#partial = '';
      this.#dropping = true;
    }
  }
}
