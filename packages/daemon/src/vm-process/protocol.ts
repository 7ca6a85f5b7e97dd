/**
 * What the daemon and a VM's process say to each other, over the process's unix socket. Frames, both ways:
 *
 *   u32 length of what follows (little-endian) · u8 FRAME · content
 *
 * The process speaks first: a `Hello`. The daemon answers with a `Choice`: the protocol's version, and what the
 * connection is for. The newest control connection replaces the one before; attach and console connections are many.
 * A daemon of version N speaks N and N−1, and so does a process, which may be older or newer than its daemon.
 */
import type { LogStream, ProblemRecord, VmSpec } from '@vivarium/api';

export const PROTOCOL = { newest: 1, oldest: 1 } as const;
export const MAX_FRAME_BYTES: number = 1 << 20;

export const FRAME = {
  /** JSON. */
  MESSAGE: 0,
  /** Attach, console: to the process. */
  INPUT: 1,
  INPUT_END: 2,
  /** Attach, console: from the process. */
  OUTPUT: 3,
  /** Attach only. */
  ERROR_OUTPUT: 4,
} as const;

export interface Hello {
  readonly protocol: { readonly newest: number; readonly oldest: number };
  readonly vm: string;
  /** Random, of this run of the machine: a process of an earlier run is a stranger. */
  readonly launch: string;
  readonly pid: number;
  /** Version of the program. */
  readonly version: string;
  readonly phase: Phase;
}

/** `waiting`: for `launch`. `ended`: it goes when its end has been written down. */
export type Phase = 'waiting' | 'starting' | 'running' | 'paused' | 'ended';

export interface Choice {
  readonly protocol: number;
  readonly role: 'control' | 'attach' | 'console';
  /** Attach, console: what it sends goes to the machine. */
  readonly input?: boolean;
}

/** Everything a machine needs that is not in its process's arguments. Paths are absolute and were opened to it. */
export interface Launch {
  readonly spec: VmSpec;
  readonly kernel: string;
  readonly initrd: string | null;
  readonly log: { readonly maxBytes: number; readonly maxFiles: number };
}

/** Requests on the control connection, with what they give. */
export interface Calls {
  launch: { params: Launch; result: null };
  pause: { params: null; result: null };
  resume: { params: null; result: null };
  /** Asks the guest to shut down, and pulls the plug after a while. The answer is the event `exit`. */
  stop: { params: { readonly timeoutMs: number }; result: null };
  powerOff: { params: null; result: null };
  /** To the guest's command. */
  signal: { params: { readonly name: string }; result: null };
  limits: { params: Limits; result: null };
  usage: { params: null; result: Usage };
  processes: { params: null; result: readonly ProcessLine[] };
}
export type Call = keyof Calls;

export interface CallMessage {
  readonly kind: 'call';
  readonly id: number;
  readonly call: Call;
  readonly params: unknown;
}
export interface ReplyMessage {
  readonly kind: 'reply';
  readonly id: number;
  readonly result?: unknown;
  readonly error?: ProblemRecord;
}
/** Unasked, on the control connection. The first after a `Choice` says how things are. */
export type EventMessage =
  | { readonly kind: 'phase'; readonly phase: Phase; readonly engine: EngineUsed | null }
  | { readonly kind: 'exit'; readonly exit: ExitRecord };

/** On an attach connection, to the process. */
export type AttachRequest =
  | { readonly kind: 'resize'; readonly columns: number; readonly rows: number }
  | { readonly kind: 'signal'; readonly name: string };
/** On an attach connection, from the process, last. */
export type AttachEnd = { readonly kind: 'exit'; readonly exit: ExitRecord };

export interface EngineUsed {
  readonly kind: 'soft' | 'kvm';
  readonly reason: string;
}

/** How a run ended: the content of `exit.json`, and of the event. */
export interface ExitRecord {
  readonly launch: string;
  /** Of the guest's command; null when it did not come to that. */
  readonly exitCode: number | null;
  readonly error: ProblemRecord | null;
  /** RFC 3339. */
  readonly startedAt: string | null;
  readonly endedAt: string;
}

/** Absent: stays as it is. */
export interface Limits {
  /** Cap in CPUs; null = none. */
  readonly cpus?: number | null;
  /** What the daemon gives it while the host is contended; ends by itself after `ttlMs`. */
  readonly share?: { readonly cpus: number; readonly ttlMs: number } | null;
  /** 0 = none. */
  readonly consoleBytesPerSecond?: number;
  readonly disks?: readonly {
    readonly index: number;
    readonly bytesPerSecond?: number;
    readonly operationsPerSecond?: number;
  }[];
}

export interface Usage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly diskReadBytes: number;
  readonly diskWriteBytes: number;
  readonly diskReads: number;
  readonly diskWrites: number;
  readonly consoleBytes: number;
  readonly threads: number;
  /** Was it held back since it was asked last? */
  readonly held: boolean;
}

export interface ProcessLine {
  readonly pid: number;
  readonly user: string;
  readonly state: string;
  readonly memoryBytes: number;
  readonly command: string;
}

/** One line of a log file (`log.ndjson`, `log.1.ndjson` … older): what `LogEntry` of the API is made from. */
export interface LogLine {
  /** Milliseconds since 1970. */
  readonly t: number;
  readonly s: LogStream;
  readonly d: string;
}
