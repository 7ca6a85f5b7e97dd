/**
 * What the main thread and a vCPU's thread say to each other. A running vCPU reads no messages: a STOP request in
 * its mailbox comes first. Every command has exactly one reply, in order.
 */
import type { CountedEvent } from '../machine/deterministic.ts';
import type { DebugControl, RegionReport, SoftVcpu, TranslationStats, VcpuExit } from '../machine/vcpu.ts';
import type { GuestMemory } from '../machine/memory.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';
import type { Profile } from './profile/profile.ts';
import type { Sampler } from './profile/sampler.ts';
import { type Trace, type TraceRequest, traceVcpu } from './trace.ts';

export type VcpuCommand =
  | { readonly op: 'load'; readonly record: VcpuRecord; readonly resumes: boolean }
  | { readonly op: 'save' }
  | { readonly op: 'debug'; readonly control: DebugControl }
  | { readonly op: 'run' }
  | { readonly op: 'regions'; readonly address: bigint | undefined }
  | { readonly op: 'trace'; readonly request: TraceRequest };

export interface VcpuReply {
  /** After 'run'. */
  readonly exit?: VcpuExit;
  /** After 'run': guest instructions since the thread began. */
  readonly retired?: bigint;
  /** After 'run', of a vCPU that is sampled: since the thread began. */
  readonly profile?: Profile | undefined;
  /** After 'run': what translating did since the thread began. */
  readonly translation?: TranslationStats | undefined;
  /** After 'save'. */
  readonly record?: VcpuRecord;
  /** After 'regions'. */
  readonly regions?: readonly RegionReport[];
  /** After 'trace'. */
  readonly trace?: Trace;
  /** No reply: what happened in a run under way. */
  readonly events?: readonly CountedEvent[];
}

/** The vCPU thread's whole life: one command, one reply. */
export function executeCommand(
  vcpu: SoftVcpu,
  command: VcpuCommand,
  memory: GuestMemory,
  sampler?: Sampler,
): VcpuReply {
  switch (command.op) {
    case 'load':
      vcpu.load(command.record, command.resumes);
      return {};
    case 'save':
      return { record: vcpu.save() };
    case 'debug':
      vcpu.setDebug(command.control);
      return {};
    case 'run':
      return {
        exit: vcpu.run(),
        retired: vcpu.retired(),
        profile: sampler?.profile(),
        translation: vcpu.translationStats(),
      };
    case 'regions':
      return { regions: vcpu.regions(command.address) };
    case 'trace':
      return { trace: traceVcpu(vcpu, memory, command.request), retired: vcpu.retired() };
  }
}
