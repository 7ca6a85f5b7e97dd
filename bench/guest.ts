/** A booted guest that can be measured, whoever runs it. */
export interface Guest {
  /** The process that runs it. */
  readonly pid: number;
  /** From the start of the process to the kernel's start of /init. */
  readonly init: Cost;
  /** What its serial console had shown by then. */
  readonly console: string;
  /** The process as it was started. */
  readonly commandLine: readonly string[];
  /** Runs a line in the guest's shell. Rejects when it fails, or takes longer than `limitMs`. */
  run(command: string, limitMs: number): Promise<Measured>;
  stop(): Promise<void>;
}

/** Wall time, and CPU time of all threads of the process, those that have ended included. */
export interface Cost {
  readonly ms: number;
  /** NaN on hosts without /proc. */
  readonly cpuMs: number;
}

export interface Measured extends Cost {
  /** What the line printed. */
  readonly output: string;
  /** Guest instructions executed meanwhile, where the engine counts them. */
  readonly instructions: number | undefined;
}

/** What both sides boot. */
export interface BootFiles {
  /** vmlinux, so that nobody decompresses a kernel in the guest. */
  readonly kernel: string;
  readonly initrd: string;
  readonly memoryMib: number;
}

/** How the translator of ours is used (`translate` of VM.start); undefined: as it comes. */
export type Translate = Readonly<Record<string, string | number>>;

/** What the shell in the guest runs: the line between two marks, whose arrival at the host is the measured time. */
export function marked(command: string): string {
  if (command.includes('\n')) throw new Error(`more than one line: ${command}`);
  return `echo @begin; { ${command}; }; echo @end $?`;
}

export const BEGIN_MARK: RegExp = /@begin\n/;
/** Groups: what was printed since the begin mark, the exit code. */
export const END_MARK: RegExp = /^([^]*)@end (\d+)\n/;

/** Rejects, and says what it was, when `work` takes too long. */
export async function within<T>(work: Promise<T>, limitMs: number, what: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what}: no end after ${limitMs / 1000} s`)), limitMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
