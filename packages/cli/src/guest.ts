/** What `viv run` needs of a command that runs in a machine. `machine.ts` makes one of a `VM`. */
export interface GuestCommand {
  /** Input of the command (of its terminal, with one). Writes wait while the guest does not read. */
  readonly stdin: WritableStream<Uint8Array>;
  /** Output; with a terminal all of it. Ends when the command has ended and everything is read. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Empty with a terminal. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** The exit code, after the command has ended; rejects when the guest crashed. */
  readonly exitCode: Promise<number>;
  /** The size of the terminal changed. */
  resize(columns: number, rows: number): void;
  /** Sends a signal to the command, by its name without SIG. */
  signal(name: string): void;
  /** Ends the machine at once; `exitCode` settles afterwards. */
  kill(): void;
}
