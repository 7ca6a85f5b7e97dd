/**
 * Cold operations that an instruction hands to TypeScript (engine/system), by name. The number of a name is its
 * position: `Ops.system(name)` passes it to the `system` import.
 */
export const SYSTEM_NAMES: readonly string[] = [
  // far transfers (engine/system/transfers.ts, returns.ts, interrupts.ts)
  'FAR_JMP',
  'FAR_CALL',
  'FAR_RET',
  'IRET',
  'INT',
  'INT1',
  'INT3',
  'INTO',
  // system calls (engine/system/syscall.ts)
  'SYSCALL',
  'SYSRET',
  'SYSENTER',
  'SYSEXIT',
  // segments (engine/system/segments.ts)
  'LOAD_SEGMENT',
  'POP_SEGMENT',
  'LOAD_FAR_POINTER',
  'LAR',
  'LSL',
  'VERR',
  'VERW',
  'LLDT',
  'LTR',
  // control (engine/system/control.ts, debug.ts)
  'READ_CR',
  'WRITE_CR',
  'READ_DR',
  'WRITE_DR',
  'LMSW',
  'CLTS',
  'HLT',
  'POPF',
  // what depends on the model and the clock (engine/system/identity.ts, msr.ts)
  'CPUID',
  'RDPMC',
  'RDMSR',
  'WRMSR',
  'RDRAND',
  'HYPERCALL',
  // ports (engine/system/io.ts)
  'IN',
  'OUT',
  'INS',
  'OUTS',
];
