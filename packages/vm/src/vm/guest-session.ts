/** The host's side of docs/guest-protocol.md: waits for the guest's init, starts commands, tells their ends. */
import { VmError } from '../base/errors.ts';
import { END, Ending, type GuestPort, inputStream, OutputPort } from './guest-port.ts';
import {
  commandLines,
  type GuestCommandLine,
  type GuestLine,
  LineReader,
  parseGuestLine,
  signalLine,
  sizeLine,
} from './guest-protocol.ts';

export interface GuestPorts {
  readonly terminal: GuestPort;
  readonly stdin: GuestPort;
  readonly stdout: GuestPort;
  readonly stderr: GuestPort;
  readonly control: GuestPort;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A command in the guest. */
export interface GuestProcess {
  /** Input of the command (of its terminal, with one). Writes wait while the guest does not read. */
  readonly stdin: WritableStream<Uint8Array>;
  /** Output; with a terminal all of it. Ends when the command has ended and everything is read. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Ends at once with a terminal. */
  readonly stderr: ReadableStream<Uint8Array>;
  /**
   * The exit code: 0–255, 128 + n for death by signal n, 126 and 127 as Docker has them; 0 when the guest powered
   * itself off. Rejects with a VmError when the machine ended otherwise.
   */
  readonly exitCode: Promise<number>;
  resize(columns: number, rows: number): void;
  /** Sends a signal to the command's process group, by its name without SIG. */
  signal(name: string): void;
}

interface Started {
  readonly mode: 'run' | 'exec';
  readonly lines: string;
  readonly exit: PromiseWithResolvers<number>;
  running: boolean;
}

export class GuestSession {
  readonly #ports: GuestPorts;
  readonly #output: Readonly<Record<'terminal' | 'stdout' | 'stderr', OutputPort>>;
  readonly #gone: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #ready: PromiseWithResolvers<string> = newReady();
  #isReady = false;
  #reader: LineReader;
  /** The first is the one that runs, or will when the guest is ready. */
  readonly #commands: Started[] = [];
  #size: TerminalSize | undefined;
  /** What the guest complained about last: an `error` line. */
  lastError: string | undefined;

  constructor(ports: GuestPorts) {
    const gone = this.#gone.promise;
    this.#ports = ports;
    this.#output = {
      terminal: new OutputPort(ports.terminal, gone),
      stdout: new OutputPort(ports.stdout, gone),
      stderr: new OutputPort(ports.stderr, gone),
    };
    this.#reader = new LineReader((text) => this.#line(parseGuestLine(text)));
    void this.#listen();
  }

  /** Resolves with the guest kernel's release when its init takes commands. */
  get ready(): Promise<string> {
    return this.#ready.promise;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /**
   * The guest begins to boot, for the first time or again. A 'run' that has not ended, and whatever still waits,
   * starts when it is up; an 'exec' that was running is over.
   */
  begin(): void {
    if (this.#isReady) this.#ready = newReady();
    this.#isReady = false;
    this.#reader = new LineReader((text) => this.#line(parseGuestLine(text)));
    const [first] = this.#commands;
    if (first?.running !== true) return;
    first.running = false;
    if (first.mode === 'run') return;
    this.#commands.shift();
    first.exit.reject(
      new VmError('GUEST_RESTARTED', {
        message: 'The guest restarted while the command was running',
        remedy: 'Wait for `ready` and start the command again',
      }),
    );
  }

  /**
   * Starts a command when the guest is ready and the commands before it have ended. With 'run' every process left
   * in the guest ends with it.
   */
  start(mode: 'run' | 'exec', command: GuestCommandLine, size?: TerminalSize): GuestProcess {
    const lines = commandLines(mode, command);
    if (size !== undefined) this.#size = size;
    const exit = Promise.withResolvers<number>();
    exit.promise.catch(() => undefined);
    this.#commands.push({ mode, lines, exit, running: false });
    const { terminal, stdin } = this.#ports;
    const output = this.#output;
    const ended = exit.promise.then(
      () => undefined,
      () => undefined,
    );
    if (!command.tty) stdin.open();
    const process: GuestProcess = {
      stdin: inputStream(command.tty ? terminal : stdin, !command.tty, this.#gone.promise),
      stdout: (command.tty ? output.terminal : output.stdout).stream(ended, !command.tty),
      stderr: command.tty ? emptyStream() : output.stderr.stream(ended, true),
      exitCode: exit.promise,
      resize: (columns, rows) => this.#resize({ columns, rows }),
      signal: (name) => this.#send(signalLine(name)),
    };
    this.#startNext();
    return process;
  }

  /** Asks the guest to shut down; false when it cannot hear yet. */
  powerOff(): boolean {
    if (this.#isReady) this.#send('poweroff\n');
    return this.#isReady;
  }

  /** The machine is gone; without an error the guest switched itself off. */
  end(error: VmError | undefined): void {
    this.#gone.resolve();
    if (error !== undefined) this.#ready.reject(error);
    for (const { exit } of this.#commands.splice(0)) {
      if (error === undefined) exit.resolve(0);
      else exit.reject(error);
    }
  }

  async #listen(): Promise<void> {
    let isGone = false;
    const ending = new Ending(() => isGone, [this.#gone.promise.then(() => void (isGone = true))]);
    for (;;) {
      const bytes = await Promise.race([ending.wait(), this.#ports.control.read()]);
      if (bytes === END) return;
      // Undefined: the guest has closed the port; a later read waits until it is opened again.
      if (bytes !== undefined) this.#reader.push(bytes);
    }
  }

  #line(line: GuestLine): void {
    switch (line.kind) {
      case 'ready':
        this.#isReady = true;
        this.#ready.resolve(line.release);
        if (this.#size !== undefined) this.#resize(this.#size);
        this.#startNext();
        break;
      case 'exit':
        if (this.#commands[0]?.running === true) this.#commands.shift()?.exit.resolve(line.code);
        this.#startNext();
        break;
      case 'error':
        this.lastError = line.text;
        break;
      case 'started':
      case 'unknown':
        break;
    }
  }

  #startNext(): void {
    const next = this.#commands[0];
    if (!this.#isReady || next === undefined || next.running) return;
    next.running = true;
    this.#send(next.lines);
  }

  #resize(size: TerminalSize): void {
    this.#size = size;
    this.#send(sizeLine(size.columns, size.rows));
  }

  /** The host says nothing before `ready`. */
  #send(text: string): void {
    if (this.#isReady) void this.#ports.control.write(new TextEncoder().encode(text));
  }
}

function newReady(): PromiseWithResolvers<string> {
  const ready = Promise.withResolvers<string>();
  ready.promise.catch(() => undefined);
  return ready;
}

function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
}
