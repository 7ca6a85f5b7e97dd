/**
 * What the server asks of the host, one method per endpoint. Everything that comes in has been validated against the
 * schemas; everything refused is thrown as a `ProblemError`.
 */
import type {
  Config,
  ConfigPatch,
  DiskUse,
  GuestProcess,
  Host,
  HostEvent,
  KillRequest,
  LogEntry,
  LogStream,
  Operation,
  OperationState,
  PruneRequest,
  StopRequest,
  Version,
  Vm,
  VmCreate,
  VmState,
  VmStats,
  VmUpdate,
} from '@vivarium/api';

/** An id, a name, or the beginning of an id. */
export type VmRef = string;

export interface VmFilter {
  readonly states: readonly VmState[];
  /** `key` or `key=value`; all of them. */
  readonly labels: readonly string[];
  readonly name?: string | undefined;
}

/** Makes a repeated request give the operation that the first one began. */
export interface Idempotency {
  readonly key: string;
  /** Digest of method, path and body: the same key for another request is refused. */
  readonly request: string;
}

export interface LogQuery {
  readonly follow: boolean;
  /** The last so many entries. */
  readonly tail?: number | undefined;
  /** Milliseconds since 1970. */
  readonly since?: number | undefined;
  readonly streams: readonly LogStream[];
}

export interface EventQuery {
  /** The last event that the client has seen; undefined = only what comes. */
  readonly after?: number | undefined;
  readonly vm?: VmRef | undefined;
  readonly kinds: readonly HostEvent['kind'][];
  /** Ends with what there is now. */
  readonly untilNow: boolean;
}

export interface Revised<T> {
  readonly value: T;
  readonly revision: number;
}

/** One end of the streams of a machine, for a WebSocket. */
export interface Attachment {
  /** To the machine; resolves when more may be sent. */
  input(bytes: Uint8Array): Promise<void>;
  inputEnd(): void;
  resize(columns: number, rows: number): void;
  signal(name: string): void;
  /** Lets the machine go on without us. */
  close(): void;
}
export interface AttachmentEvents {
  /** Resolves when more may come: until then the guest waits. */
  readonly output: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>;
  /** Last: its exit code, or why there is none. */
  readonly end: (end: { readonly exitCode: number } | { readonly error: Error }) => void;
}

export interface HostService {
  version(): Version;
  host(): Promise<Host>;
  config(): Revised<Config>;
  /** @param revision of If-Match; undefined = any (`*`) */
  patchConfig(patch: ConfigPatch, revision: number | undefined): Revised<Config>;
  diskUse(): Promise<DiskUse>;
  prune(request: PruneRequest, idempotency?: Idempotency): Operation;
  shutdown(): void;

  listVms(filter: VmFilter): readonly Vm[];
  getVm(ref: VmRef): Vm;
  createVm(request: VmCreate, idempotency?: Idempotency): Operation;
  updateVm(ref: VmRef, update: VmUpdate, revision: number | undefined): Promise<Vm>;
  removeVm(ref: VmRef, force: boolean, idempotency?: Idempotency): Operation;
  startVm(ref: VmRef, idempotency?: Idempotency): Operation;
  stopVm(ref: VmRef, request: StopRequest, idempotency?: Idempotency): Operation;
  restartVm(ref: VmRef, request: StopRequest, idempotency?: Idempotency): Operation;
  killVm(ref: VmRef, request: KillRequest, idempotency?: Idempotency): Operation;
  pauseVm(ref: VmRef, idempotency?: Idempotency): Operation;
  resumeVm(ref: VmRef, idempotency?: Idempotency): Operation;
  waitVm(ref: VmRef, timeoutMs: number, signal: AbortSignal): Promise<Vm>;

  logs(ref: VmRef, query: LogQuery, signal: AbortSignal): AsyncIterable<LogEntry>;
  vmStats(ref: VmRef): Promise<VmStats>;
  listStats(): Promise<readonly VmStats[]>;
  guestProcesses(ref: VmRef): Promise<readonly GuestProcess[]>;
  /** In state `created` or `exited` it waits for the next start. */
  attach(ref: VmRef, input: boolean, events: AttachmentEvents): Promise<Attachment>;
  console(ref: VmRef, input: boolean, events: AttachmentEvents): Promise<Attachment>;

  listOperations(filter: {
    readonly vm?: VmRef | undefined;
    readonly states: readonly OperationState[];
    readonly limit: number;
  }): readonly Operation[];
  getOperation(id: string): Operation;
  waitOperation(id: string, timeoutMs: number, signal: AbortSignal): Promise<Operation>;
  cancelOperation(id: string): Operation;
  /** Of the newest event; 0 when there was none. What a new listener would resume behind. */
  eventSeq(): number;
  events(query: EventQuery, signal: AbortSignal): AsyncIterable<HostEvent>;
}
