/** Progress of long work on standard error: one line rewritten on a terminal, a few plain lines otherwise. */
export interface ProgressUpdate {
  /** What is being done, such as a file's name. */
  readonly label: string;
  readonly doneBytes: number;
  /** Unknown for some downloads. */
  readonly totalBytes: number | undefined;
}

export interface ProgressTarget {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** A plain log gets a line when this much more of a file has arrived. */
const PLAIN_STEP = 0.25;
const BAR_CELLS = 24;

export class Progress {
  readonly #target: ProgressTarget;
  #label: string | undefined;
  #lastStep = -1;
  #lineOpen = false;

  constructor(target: ProgressTarget) {
    this.#target = target;
  }

  update(update: ProgressUpdate): void {
    if (update.label !== this.#label) {
      this.finish();
      this.#label = update.label;
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

  #draw({ label, doneBytes, totalBytes }: ProgressUpdate, share: number | undefined): void {
    const filled = Math.round(Math.min(share ?? 0, 1) * BAR_CELLS);
    const bar = share === undefined ? '' : `[${'#'.repeat(filled)}${' '.repeat(BAR_CELLS - filled)}] `;
    const line = `viv: ${bar}${amount(doneBytes, totalBytes)} ${label}`;
    this.#target.write(`\r\x1b[K${line.slice(0, (this.#target.columns ?? 80) - 1)}`);
    this.#lineOpen = true;
  }

  #log({ label, doneBytes, totalBytes }: ProgressUpdate, share: number | undefined): void {
    const step = share === undefined ? 0 : Math.floor(share / PLAIN_STEP);
    if (step <= this.#lastStep) return;
    this.#lastStep = step;
    this.#target.write(`viv: ${label} ${amount(doneBytes, totalBytes)}\n`);
  }
}

function amount(doneBytes: number, totalBytes: number | undefined): string {
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  return totalBytes === undefined ? `${mib(doneBytes)} MiB` : `${mib(doneBytes)} of ${mib(totalBytes)} MiB`;
}
