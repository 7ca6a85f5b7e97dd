/**
 * The smallest machine the bare-metal suite runs on: one vCPU of the soft engine on this thread, RAM, a serial
 * port that only listens, and a port that ends it.
 */
import { readFileSync } from 'node:fs';
import { hashRam, hashRecord } from '../../packages/vm/src/engine/state-hash.ts';
import { loadLinux } from '../../packages/vm/src/firmware/loaders/linux.ts';
import {
  CountedClock,
  DETERMINISTIC_DEFAULTS,
  type DeterministicSettings,
  eventLine,
  seededRandomness,
} from '../../packages/vm/src/machine/deterministic.ts';
import { layoutMemory, PageFlag, VCPU_BASE } from '../../packages/vm/src/machine/layout.ts';
import { GuestMemory } from '../../packages/vm/src/machine/memory.ts';
import { Request, VcpuMailbox } from '../../packages/vm/src/machine/mailbox.ts';
import type { Translate } from '../../packages/vm/src/engine/translate/region-tier.ts';
import { createMeetingAttendee } from '../../packages/vm/src/machine/platform.ts';
import type { CountedParts, TranslateOptions, TranslationStats } from '../../packages/vm/src/machine/vcpu.ts';
import { wasm } from '../../packages/vm/src/wasm/api.ts';
import { softEngine } from '../oracle/parts.ts';
import { FirmwareDma } from './firmware-dma.ts';

export interface Run {
  readonly serial: string;
  /** How the vCPU ended: `stopped` = through port 0x501. */
  readonly end: string;
  readonly instructions: bigint;
  readonly stats: TranslationStats | undefined;
  /** With `deterministic`: what happened, and hashes of RAM and vCPU at the end. */
  readonly events: readonly string[];
}

export interface RunOptions {
  /** Command line: `only=PREFIX` selects tests. */
  readonly only?: string;
  /** Wall time after which the machine is stopped. */
  readonly timeoutMs?: number;
  readonly translate?: TranslateOptions | undefined;
  readonly translator?: Translate;
  /** Counts instructions instead of time; the wall time is not limited then. */
  readonly deterministic?: Partial<DeterministicSettings>;
}

export function runOnSoftEngine(elf: string, options: RunOptions = {}): Run {
  const { only = '', timeoutMs = 120_000 } = options;
  const layout = layoutMemory(64 << 20);
  const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  bytes.fill(PageFlag.PRESENT, layout.pageFlags, layout.pageFlags + layout.ramBytes / 4096);
  const image = loadLinux({ kernel: readFileSync(elf), cmdline: only, layout });
  for (const piece of image.pieces) bytes.set(piece.bytes, layout.ramOffset + piece.gpa);
  const mailbox = new VcpuMailbox(memory.buffer, VCPU_BASE);
  const start = performance.now();
  let serial = '';
  let end = '';
  const parts = softEngine(options.translate, options.translator);
  const firmware = new FirmwareDma(new GuestMemory(memory.buffer, layout, [mailbox]));
  const events: string[] = [];
  const counted = options.deterministic && countedParts(memory.buffer, options.deterministic, events);
  const vcpu = parts.createSoftVcpu({
    counted,
    memory,
    module: parts.module,
    layout,
    index: 0,
    bus: {
      readPort: () => 0xffffffff,
      writePort: (port, _size, value) => {
        if (port === 0x3f8) serial += String.fromCharCode(value & 0xff);
        firmware.writePort(port, value);
        if (port !== 0x501) return;
        end = 'stopped';
        mailbox.request(Request.STOP);
      },
      readMmio: () => 0xffffffff,
      writeMmio: () => {},
      endOfInterrupt: () => {},
    },
    clock: counted?.clock ?? {
      nowNs: () => {
        if (performance.now() - start > timeoutMs && end === '') {
          end = 'timeout';
          mailbox.request(Request.STOP);
        }
        return performance.now() * 1e6;
      },
      realtimeNs: () => BigInt(Date.now()) * 1_000_000n,
    },
    random: counted
      ? seededRandomness(1)
      : { fill: (target) => void crypto.getRandomValues(target as Uint8Array<ArrayBuffer>) },
    model: parts.model,
    ...parts.options,
  });
  vcpu.load(image.vcpu);
  const exit = vcpu.run();
  if (end === '') end = exit.kind === 'shutdown' ? `shutdown: ${exit.why}` : exit.kind;
  if (counted) events.push(`end ${hashRam(memory.buffer, layout)} ${hashRecord(vcpu.save())}`);
  return { serial, end, instructions: vcpu.retired(), events, stats: vcpu.translationStats() };
}

/** No device meets this machine's vCPU. */
function countedParts(
  buffer: SharedArrayBuffer,
  wanted: Partial<DeterministicSettings>,
  events: string[],
): CountedParts {
  const settings = { ...DETERMINISTIC_DEFAULTS, log: true, ...wanted };
  return {
    settings,
    clock: new CountedClock(settings),
    meeting: createMeetingAttendee({ buffer }),
    report: (reported) => void events.push(...reported.map(eventLine)),
  };
}
