/** The file of `--event-log`: one line for each event of a deterministic machine. */
import { open } from 'node:fs/promises';
import type { WriteStream } from 'node:fs';
import { type DeterministicOptions, eventLine, VmError } from '@vivarium/vm';

/** Often enough to find the place where two runs part, seldom enough to cost little. */
const CHECKPOINT_EVERY = 100_000_000;

export class EventLog {
  readonly #stream: WriteStream;
  /** For `VM.start`. */
  readonly options: DeterministicOptions;

  private constructor(stream: WriteStream) {
    this.#stream = stream;
    this.options = {
      checkpointEvery: CHECKPOINT_EVERY,
      onEvent: (event) => void stream.write(`${eventLine(event)}\n`),
    };
  }

  /** @throws VmError USAGE when the file cannot be written */
  static async create(path: string): Promise<EventLog> {
    try {
      return new EventLog((await open(path, 'w')).createWriteStream());
    } catch (cause) {
      throw new VmError('USAGE', {
        message: `The event log cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
        remedy: 'Check the path after --event-log',
        cause,
      });
    }
  }

  /** Writes the last line. @param retired instructions in all */
  close(retired: bigint): void {
    this.#stream.end(`${retired} end\n`);
  }
}
