/** Types only: what each operation of the API takes and gives. */
import type { Config, ConfigPatch, DiskUse, Host, PruneInput, Version } from './schemas/host.ts';
import type { KillInput, Operation, OperationState, StopInput } from './schemas/operation.ts';
import type { HostEvent } from './schemas/event.ts';
import type { LogStream } from './schemas/log.ts';
import type { GuestProcess, Vm, VmCreateInput, VmState, VmStats, VmUpdate } from './schemas/vm.ts';

export interface Items<T> {
  readonly items: readonly T[];
}
interface VmPath {
  /** An id, a name, or the beginning of an id. */
  readonly vm: string;
}
interface OperationPath {
  readonly operation: string;
}
/** The revision that was read; `*` = whatever there is. */
export type IfMatch = number | '*';

interface Begin<Response> {
  /** The same key again gives the operation that the first request began. Without it a lost answer leaves you guessing. */
  readonly idempotencyKey?: string | undefined;
  readonly response: Response;
}
interface BeginOnVm extends Begin<Operation> {
  readonly path: VmPath;
}

export interface VmsQuery {
  readonly state?: readonly VmState[] | undefined;
  /** `key` or `key=value`; all of them. */
  readonly label?: readonly string[] | undefined;
  /** Part of a name. */
  readonly name?: string | undefined;
}
export interface LogsQuery {
  readonly follow?: boolean | undefined;
  readonly tail?: number | undefined;
  /** RFC 3339. */
  readonly since?: string | undefined;
  readonly stream?: readonly LogStream[] | undefined;
}
export interface OperationsQuery {
  readonly vm?: string | undefined;
  readonly state?: readonly OperationState[] | undefined;
  readonly limit?: number | undefined;
}
export interface EventsQuery {
  readonly vm?: string | undefined;
  readonly kind?: readonly HostEvent['kind'][] | undefined;
  /** Without waiting for more. */
  readonly until?: 'now' | undefined;
}

/** Answered with one JSON document. */
export interface Calls {
  getVersion: { readonly response: Version };
  getHost: { readonly response: Host };
  getConfig: { readonly response: Config };
  patchConfig: { readonly body: ConfigPatch; readonly ifMatch: IfMatch; readonly response: Config };
  getDiskUse: { readonly response: DiskUse };
  prune: Begin<Operation> & { readonly body?: PruneInput };
  shutdown: { readonly response: null };

  listVms: { readonly query?: VmsQuery; readonly response: Items<Vm> };
  createVm: Begin<Operation> & { readonly body: VmCreateInput };
  getVm: { readonly path: VmPath; readonly response: Vm };
  updateVm: {
    readonly path: VmPath;
    readonly body: VmUpdate;
    readonly ifMatch: IfMatch;
    readonly response: Vm;
  };
  removeVm: BeginOnVm & { readonly query?: { readonly force?: boolean | undefined } };
  startVm: BeginOnVm;
  stopVm: BeginOnVm & { readonly body?: StopInput };
  restartVm: BeginOnVm & { readonly body?: StopInput };
  killVm: BeginOnVm & { readonly body?: KillInput };
  pauseVm: BeginOnVm;
  resumeVm: BeginOnVm;
  waitVm: {
    readonly path: VmPath;
    readonly query?: { readonly timeoutSeconds?: number | undefined };
    readonly response: Vm;
  };
  getVmStats: { readonly path: VmPath; readonly response: VmStats };
  listStats: { readonly response: Items<VmStats> };
  listGuestProcesses: { readonly path: VmPath; readonly response: Items<GuestProcess> };

  listOperations: { readonly query?: OperationsQuery; readonly response: Items<Operation> };
  getOperation: {
    readonly path: OperationPath;
    readonly query?: { readonly waitSeconds?: number | undefined };
    readonly response: Operation;
  };
  cancelOperation: { readonly path: OperationPath; readonly response: Operation };
  getOpenApi: { readonly response: Readonly<Record<string, unknown>> };
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Until the daemon begins to answer, beside what it was asked to wait. */
  readonly timeoutMs?: number | undefined;
}
export type CallOptions<K extends keyof Calls> = Omit<Calls[K], 'response'> & RequestOptions;
export type CallResponse<K extends keyof Calls> = Calls[K]['response'];
/** Options may be left out where nothing in them is needed. */
export type CallArguments<K extends keyof Calls> =
  Record<never, never> extends CallOptions<K> ? [options?: CallOptions<K>] : [options: CallOptions<K>];
