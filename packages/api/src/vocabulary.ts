/** Words of the API as plain lists: for schemas, and for programs that have no time to load a schema library. */

/** What names a machine in a URL or on the command line: letters, digits, `_`, `.` and `-`, no dot or dash first. */
export const NAME_PATTERN: RegExp = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/**
 *   created ─start─▶ starting ─▶ running ◀─▶ paused
 *                       ▲           └────┬────┘
 *                  restarting ◀─┐     stopping
 *                  (waits)      └────────┴──▶ exited ─start─▶ …
 */
export const VM_STATES = [
  'created',
  'starting',
  'running',
  'paused',
  'stopping',
  'restarting',
  'exited',
] as const;

export const RESTART_POLICIES = ['no', 'on-failure', 'always', 'unless-stopped'] as const;
export const ENGINES = ['auto', 'soft', 'kvm'] as const;

export const OPERATION_KINDS = [
  'create',
  'start',
  'stop',
  'restart',
  'kill',
  'pause',
  'resume',
  'remove',
  'prune',
] as const;
export const OPERATION_STATES = ['pending', 'running', 'done', 'failed', 'cancelled'] as const;

export const EVENT_KINDS = [
  'daemon.started',
  'daemon.stopping',
  'vm.created',
  /** `data`: from, to, and of an end its exit code. */
  'vm.state',
  'vm.updated',
  'vm.removed',
  /** `data`: the operation. */
  'operation',
  /** A client came too late: events before `seq` are gone. */
  'gap',
] as const;

export const LOG_STREAMS = ['stdout', 'stderr', 'console'] as const;

/** That can be sent to the guest's command. */
export const SIGNALS = ['INT', 'TERM', 'HUP', 'QUIT', 'USR1', 'USR2'] as const;
