/** The library's entry point on Node. */
export { ERROR_CODES, type ErrorCode } from './base/error-codes.ts';
export { VmError, type VmErrorOptions } from './base/errors.ts';
export { parseSize } from './base/size.ts';
export {
  explainBytes,
  explainFile,
  type ExplainFileOptions,
  regionLine,
  regionText,
  traceFormatter,
  translationReport,
} from './host/node/debug-tools.ts';
export { bisectMachine, type BisectOptions } from './host/node/bisect.ts';
export { type PrepareOptions, prepareBusybox, storeMirror } from './host/node/prepare.ts';
export type { ProfileReport } from './host/node/profile-report.ts';
export { type FileSource, VM, type VmOptions } from './host/node/start.ts';
export type { PreparedImage } from './image/busybox.ts';
export { DEFAULT_KERNEL, KERNELS, type KernelName } from './image/kernels.ts';
export type { OnProgress, Progress } from './image/progress.ts';
export { type CountedEvent, eventLine } from './machine/deterministic.ts';
export type { RegionReport, TranslateOptions, TranslationStats } from './machine/vcpu.ts';
export type { DeterministicOptions } from './vm/deterministic-options.ts';
export type { MachineState } from './machine/lifecycle.ts';
export { chooseEngine, type EngineChoice, type EngineWish } from './vm/engine-choice.ts';
export type { Verdict } from './vm/bisect.ts';
export type { GuestProcess, TerminalSize } from './vm/guest-session.ts';
export type { Trace, TraceEntry, TraceRequest } from './vm/trace.ts';
export type { TraceFormatter } from './vm/trace-format.ts';
export type { MachineExit } from './vm/machine.ts';
export type { ExecResult } from './vm.ts';
