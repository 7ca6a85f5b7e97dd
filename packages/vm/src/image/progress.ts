/** What long work reports while it goes on. */
export interface Progress {
  readonly phase: 'wait' | 'index' | 'download' | 'unpack';
  /** A suite, package or file, for people. */
  readonly what: string;
  readonly doneBytes: number;
  readonly totalBytes: number | undefined;
}

export type OnProgress = (progress: Progress) => void;
