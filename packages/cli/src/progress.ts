/** Progress of long work on standard error: one line rewritten on a terminal, a few plain lines otherwise. */
import type { Progress as ProgressUpdate } from '@vivarium/vm';

export interface ProgressTarget {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** A plain log gets a line when this much more of a file has arrived. */
const PLAIN_STEP = 0.25;
const BAR_CELLS = 24;

export class ProgressLine {
  readonly #target: ProgressTarget;
  #label: string | undefined;
  #lastStep = -1;
  #lineOpen = false;

  constructor(target: ProgressTarget) {
    this.#target = target;
  }

  update(update: ProgressUpdate): void {
    if (describe(update) !== this.#label) {
      this.finish();
      this.#label = describe(update);
      this.#lastStep = -1;
    }
    const share =
      update.totalBytes === undefined || update.totalBytes === 0
        ? undefined
        : update.doneBytes / update.totalBytes;
    if (this.#target.isTTY === true) this.#draw(update, share);
    else this.#log(update, share);
  }

  /** Ends an open line, so that other output starts on a fresh one. */
  finish(): void {
    if (this.#lineOpen) this.#target.write('\n');
    this.#lineOpen = false;
    this.#label = undefined;
  }

  #draw(update: ProgressUpdate, share: number | undefined): void {
    const filled = Math.round(Math.min(share ?? 0, 1) * BAR_CELLS);
    const bar = share === undefined ? '' : `[${'#'.repeat(filled)}${' '.repeat(BAR_CELLS - filled)}] `;
    const line = `viv: ${bar}${describe(update)}${amount(update)}`;
    // A terminal that has not been told its size says 0.
    const columns = this.#target.columns ?? 0;
    this.#target.write(`\r\x1b[K${line.slice(0, (columns > 0 ? columns : 80) - 1)}`);
    this.#lineOpen = true;
  }

  #log(update: ProgressUpdate, share: number | undefined): void {
    const step = share === undefined ? 0 : Math.floor(share / PLAIN_STEP);
    if (step <= this.#lastStep) return;
    this.#lastStep = step;
    this.#target.write(`viv: ${describe(update)}${amount(update)}\n`);
  }
}

const PHASES: Readonly<Record<ProgressUpdate['phase'], string>> = {
  wait: 'waiting for another viv that prepares',
  index: 'reading',
  download: 'downloading',
  unpack: 'unpacking',
};

function describe({ phase, what }: ProgressUpdate): string {
  return `${PHASES[phase]} ${what}`;
}

function amount({ doneBytes, totalBytes }: ProgressUpdate): string {
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  if (totalBytes !== undefined) return ` ${mib(doneBytes)} of ${mib(totalBytes)} MiB`;
  return doneBytes === 0 ? '' : ` ${mib(doneBytes)} MiB`;
}
