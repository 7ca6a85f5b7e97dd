/** A booted guest that can be measured, whoever runs it. */
export interface Guest {
  /** From the start of the process to the kernel's start of /init. */
  readonly initMs: number;
  /** Runs a line in the guest's shell. */
  run(command: string): Promise<Measured>;
  stop(): Promise<void>;
}

export interface Measured {
  readonly ms: number;
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
