/**
 * Connects a command in the guest to this process: streams with back-pressure, the terminal in raw mode, window
 * size, signals. The terminal is restored however this process ends, except by SIGKILL.
 */
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { EscapeFilter } from './escape.ts';
import type { GuestCommand } from './guest.ts';

export interface AttachStreams {
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(mode: boolean): unknown };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly stderr: Writable;
}

export interface AttachOptions {
  /** Pass our standard input on. Otherwise the command's input ends at once. */
  readonly interactive: boolean;
  readonly tty: boolean;
}

/** Signals that go to the guest's command; on the third of them the machine ends at once. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];
const PATIENCE = 3;
/** What a terminal may be left in by a guest that ended in the middle: cursor hidden, colours, alternate screen. */
const TERMINAL_RESET = '\x1b[?1049l\x1b[?2004l\x1b[?25h\x1b[0m';
const QUIT_EXIT_CODE = 128 + constants.signals.SIGKILL;

/** @returns the exit code of the command */
export async function attach(
  guest: GuestCommand,
  options: AttachOptions,
  streams: AttachStreams,
): Promise<number> {
  const undo: (() => void)[] = [];
  let quit = false;
  const end = (): void => {
    quit = true;
    guest.kill();
  };
  try {
    undo.push(forwardSignals(guest, end));
    if (options.tty) undo.push(followWindowSize(guest, streams.stdout));
    if (options.interactive) {
      const raw = options.tty && streams.stdin.isTTY === true;
      if (raw) undo.push(enterRawMode(streams.stdin));
      undo.push(passInput(guest, streams.stdin, raw ? new EscapeFilter() : undefined, end));
    } else {
      guest.stdin.close().catch(ignoreClosed);
    }
    const outputs = [passOutput(guest.stdout, streams.stdout), passOutput(guest.stderr, streams.stderr)];
    try {
      const code = await guest.exitCode;
      await Promise.all(outputs);
      return code;
    } catch (error) {
      await Promise.all(outputs);
      if (quit) return QUIT_EXIT_CODE;
      throw error;
    }
  } finally {
    for (const step of undo.reverse()) step();
    if (quit && streams.stdout.isTTY === true) streams.stdout.write(`${TERMINAL_RESET}\r\n`);
  }
}

function enterRawMode(stdin: AttachStreams['stdin']): () => void {
  const leave = (): void => {
    stdin.setRawMode?.(false);
  };
  stdin.setRawMode?.(true);
  process.on('exit', leave);
  return () => {
    leave();
    process.removeListener('exit', leave);
  };
}

function followWindowSize(guest: GuestCommand, stdout: AttachStreams['stdout']): () => void {
  const tell = (): void => {
    const { columns = 0, rows = 0 } = stdout;
    // A terminal that has not been told its size says 0.
    if (columns > 0 && rows > 0) guest.resize(columns, rows);
  };
  tell();
  stdout.on('resize', tell);
  return () => stdout.removeListener('resize', tell);
}

function forwardSignals(guest: GuestCommand, end: () => void): () => void {
  let count = 0;
  const handler = (signal: NodeJS.Signals): void => {
    count++;
    if (count >= PATIENCE) end();
    else guest.signal(signal.slice('SIG'.length));
  };
  for (const signal of FORWARDED) process.on(signal, handler);
  return () => {
    for (const signal of FORWARDED) process.removeListener(signal, handler);
  };
}

/** Copies input until it ends or the guest stops reading. @returns what stops the copying */
function passInput(
  guest: GuestCommand,
  stdin: Readable,
  escape: EscapeFilter | undefined,
  quit: () => void,
): () => void {
  const writer = guest.stdin.getWriter();
  let stopped = false;
  const stop = (): void => {
    stopped = true;
    stdin.pause();
    stdin.removeListener('data', onData);
    stdin.removeListener('end', onEnd);
    stdin.removeListener('error', onEnd);
    // A terminal or pipe that nobody reads any more must not keep the process alive.
    if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
  };
  const onData = (chunk: Uint8Array): void => {
    const { bytes, quit: wantsQuit } = escape?.push(chunk) ?? { bytes: chunk, quit: false };
    if (wantsQuit) {
      stop();
      quit();
      return;
    }
    stdin.pause();
    writer.write(bytes).then(() => {
      if (!stopped) stdin.resume();
    }, stop);
  };
  const onEnd = (): void => {
    stop();
    writer.close().catch(ignoreClosed);
  };
  stdin.on('data', onData);
  stdin.on('end', onEnd);
  stdin.on('error', onEnd);
  return stop;
}

/** Copies output, waiting for a slow reader, until the guest's stream ends. */
async function passOutput(from: ReadableStream<Uint8Array>, to: Writable): Promise<void> {
  for await (const chunk of from) {
    if (to.destroyed) continue;
    if (!to.write(chunk))
      await new Promise<void>((resolve) => to.once('drain', resolve).once('close', resolve));
  }
}

/** Closing a stream whose guest is gone already is no error. */
function ignoreClosed(): void {}
