/**
 * A vCPU's saved state, named after the architecture and the same under every engine: a plain record that
 * structured clone carries. Sections are Intel SDM volume 3.
 */
import {
  bigint,
  biguint,
  bytes,
  flag,
  list,
  nullable,
  oneOf,
  record,
  type Schema,
  table,
  uint,
} from '../base/schema.ts';

/**
 * Bits of `attributes`: bytes 5 and 6 of a descriptor with the limit's nibble left out (3.4.5).
 *
 *   0-3 type · 4 S · 5-6 DPL · 7 P · 8 AVL · 9 L · 10 D/B · 11 G          P = 0: unusable
 */
export interface SegmentRecord {
  selector: number;
  base: bigint;
  /** In bytes, granularity applied: 0xffffffff for a flat segment. */
  limit: number;
  attributes: number;
}

export interface TableRecord {
  base: bigint;
  limit: number;
}

export interface ApicRecord {
  /** IA32_APIC_BASE: bit 8 BSP, bit 10 x2APIC, bit 11 enabled. */
  base: bigint;
  /** The register page as KVM lays it out: one register per 16 bytes, ID (0x20) to divide (0x3e0). */
  page: Uint8Array;
  /** IA32_TSC_DEADLINE in guest TSC ticks; 0 = disarmed. */
  tscDeadline: bigint;
}

export interface KvmClockRecord {
  /** MSR_KVM_SYSTEM_TIME_NEW; bit 0 = enabled. */
  systemTime: bigint;
  /** MSR_KVM_WALL_CLOCK_NEW. */
  wallClock: bigint;
  /** What the guest's clock shows now, in nanoseconds since boot. */
  nowNs: bigint;
}

export interface EventsRecord {
  /** An exception raised and not yet delivered. */
  exception: { vector: number; errorCode: number | null; payload: bigint } | null;
  /** An interrupt acknowledged by the APIC and not yet delivered. */
  interrupt: number | null;
  /** 'sti' and 'mov-ss' hold interrupts (the latter debug traps too) back for one instruction. */
  shadow: 'none' | 'sti' | 'mov-ss';
  nmiPending: boolean;
  /** Between an NMI and the next IRET. */
  nmiBlocked: boolean;
}

export type Activity = 'running' | 'halted' | 'wait-for-sipi' | 'shutdown';

export interface VcpuRecord {
  kind: 'vcpu';
  version: 1;
  /** Hardware order: rax rcx rdx rbx rsp rbp rsi rdi r8 … r15. */
  gpr: bigint[];
  rip: bigint;
  rflags: bigint;
  es: SegmentRecord;
  cs: SegmentRecord;
  ss: SegmentRecord;
  ds: SegmentRecord;
  fs: SegmentRecord;
  gs: SegmentRecord;
  ldtr: SegmentRecord;
  tr: SegmentRecord;
  gdtr: TableRecord;
  idtr: TableRecord;
  cr0: bigint;
  cr2: bigint;
  cr3: bigint;
  cr4: bigint;
  cr8: bigint;
  efer: bigint;
  xcr0: bigint;
  /** DR0–DR7; 4 and 5 unused. */
  dr: bigint[];
  /** Every other MSR with a stored value: index as lower-case hexadecimal without prefix → value. */
  msrs: Record<string, bigint>;
  /** FXSAVE image, 64-bit form. */
  fpu: Uint8Array;
  apic: ApicRecord;
  kvmclock: KvmClockRecord;
  /** IA32_TIME_STAMP_COUNTER at the moment of saving; it goes on from here. */
  tsc: bigint;
  /** IA32_TSC_ADJUST. */
  tscAdjust: bigint;
  events: EventsRecord;
  activity: Activity;
}

const u64 = biguint(64);
const segment: Schema<SegmentRecord> = record({
  selector: uint(16),
  base: u64,
  limit: uint(32),
  attributes: uint(12),
});
const descriptorTable: Schema<TableRecord> = record({ base: u64, limit: uint(16) });

export const vcpuSchema: Schema<VcpuRecord> = record<VcpuRecord>({
  kind: oneOf('vcpu'),
  version: oneOf(1),
  gpr: list(u64, 16),
  rip: u64,
  rflags: u64,
  es: segment,
  cs: segment,
  ss: segment,
  ds: segment,
  fs: segment,
  gs: segment,
  ldtr: segment,
  tr: segment,
  gdtr: descriptorTable,
  idtr: descriptorTable,
  cr0: u64,
  cr2: u64,
  cr3: u64,
  cr4: u64,
  cr8: biguint(4),
  efer: u64,
  xcr0: u64,
  dr: list(u64, 8),
  msrs: table(/^[0-9a-f]{1,8}$/, u64),
  fpu: bytes(512),
  apic: record({ base: u64, page: bytes(1024), tscDeadline: u64 }),
  kvmclock: record({ systemTime: u64, wallClock: u64, nowNs: u64 }),
  tsc: u64,
  tscAdjust: bigint(64),
  events: record({
    exception: nullable(record({ vector: uint(5), errorCode: nullable(uint(32)), payload: u64 })),
    interrupt: nullable(uint(8)),
    shadow: oneOf('none', 'sti', 'mov-ss'),
    nmiPending: flag,
    nmiBlocked: flag,
  }),
  activity: oneOf('running', 'halted', 'wait-for-sipi', 'shutdown'),
});

/** Checks a record that came from outside this process. */
export function parseVcpu(value: unknown): VcpuRecord {
  return vcpuSchema.parse(value, 'vcpu');
}
