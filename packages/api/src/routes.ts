/**
 * Every endpoint by its operation id: method and path, nothing else, so that a client needs no schema to find its way.
 * `{vm}` is an id, a name, or the beginning of an id that fits one machine only.
 */
export const API_VERSION = '1.0';
export const BASE_PATH = '/v1';

export const ROUTES = {
  getVersion: ['GET', '/version'],
  getHost: ['GET', '/host'],
  getConfig: ['GET', '/config'],
  /** Needs If-Match. */
  patchConfig: ['PATCH', '/config'],
  getDiskUse: ['GET', '/system/df'],
  /** 202, an operation. */
  prune: ['POST', '/system/prune'],
  /** The daemon ends; machines stay. 202, empty. */
  shutdown: ['POST', '/system/shutdown'],

  /** `items`, as all lists. ?state= (several), ?label=key[=value] (several), ?name= part of a name. */
  listVms: ['GET', '/vms'],
  /** 202, an operation. Takes Idempotency-Key. */
  createVm: ['POST', '/vms'],
  /** Has ETag. */
  getVm: ['GET', '/vms/{vm}'],
  /** Needs If-Match. */
  updateVm: ['PATCH', '/vms/{vm}'],
  /** ?force=true ends it first. 202, an operation. */
  removeVm: ['DELETE', '/vms/{vm}'],
  /** 202, operations, all of them. They take Idempotency-Key. */
  startVm: ['POST', '/vms/{vm}/start'],
  stopVm: ['POST', '/vms/{vm}/stop'],
  restartVm: ['POST', '/vms/{vm}/restart'],
  killVm: ['POST', '/vms/{vm}/kill'],
  pauseVm: ['POST', '/vms/{vm}/pause'],
  resumeVm: ['POST', '/vms/{vm}/resume'],
  /** ?timeoutSeconds= (30, at most 300): answers when it has ended (not before a start), or with what it is then. */
  waitVm: ['GET', '/vms/{vm}/wait'],
  /** application/x-ndjson. ?follow=true, ?tail=, ?since=, ?stream= (several). */
  getLogs: ['GET', '/vms/{vm}/logs'],
  getVmStats: ['GET', '/vms/{vm}/stats'],
  listStats: ['GET', '/stats'],
  listGuestProcesses: ['GET', '/vms/{vm}/processes'],

  /** ?vm=, ?state= (several), ?limit=: newest first. */
  listOperations: ['GET', '/operations'],
  /** ?waitSeconds= (0, at most 300): answers when it has ended, or with what it is then. */
  getOperation: ['GET', '/operations/{operation}'],
  cancelOperation: ['POST', '/operations/{operation}/cancel'],
  /** text/event-stream, resumed by Last-Event-ID. ?vm=, ?kind= (several), ?until=now: without waiting for more. */
  streamEvents: ['GET', '/events'],
  getOpenApi: ['GET', '/openapi.json'],
} as const satisfies Readonly<Record<string, readonly [method: string, path: string]>>;

export type OperationId = keyof typeof ROUTES;

/** WebSockets (RFC 6455), binary frames as attach.ts says. Not in the OpenAPI document, which has no word for them. */
export const SOCKETS = {
  /** The command's standard streams; may be opened before the machine is started. ?stdin=true */
  attach: '/vms/{vm}/attach',
  /** The serial console. ?input=true */
  console: '/vms/{vm}/console',
} as const;
