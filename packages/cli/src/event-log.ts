/** The file of `--event-log`: one line for each event of a deterministic machine. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type DeterministicOptions, eventLine, VmError } from '@vivarium/vm';

/** Often enough to find the place where two runs part, seldom enough to cost little. */
const CHECKPOINT_EVERY = 100_000_000;

export class EventLog {
  /** Written at once: a log that lacks its end when viv is killed is of no use. */
  readonly #file: number;
  /** For `VM.start`. */
  readonly options: DeterministicOptions = {
    checkpointEvery: CHECKPOINT_EVERY,
    onEvent: (event) => this.#line(eventLine(event)),
  };

  /** @throws VmError USAGE when the file cannot be written */
  constructor(path: string) {
    try {
      this.#file = openSync(path, 'w');
    } catch (cause) {
      throw new VmError('USAGE', {
        message: `The event log cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
        remedy: 'Check the path after --event-log',
        cause,
      });
    }
  }

  #line(text: string): void {
    writeSync(this.#file, `${text}\n`);
  }

  /** Writes the last line. @param retired instructions in all */
  close(retired: bigint): void {
    this.#line(`${retired} end`);
    closeSync(this.#file);
  }
}
