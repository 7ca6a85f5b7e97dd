/** The file a vCPU's worker thread runs: front half of the devices, the engine, one command after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { createSoftVcpu } from '../../engine/vcpu.ts';
import { CountedClock, type DeterministicSettings, seededRandomness } from '../../machine/deterministic.ts';
import { GuestMemory } from '../../machine/memory.ts';
import { createFrontBus, createMeetingAttendee } from '../../machine/front-platform.ts';
import type { Translate } from '../../engine/translate/region-tier.ts';
import type { CompileThread, CountedParts, TranslateOptions } from '../../machine/vcpu.ts';
import { executeCommand, type VcpuCommand, type VcpuReply } from '../../vm/vcpu-messages.ts';
import { Sampler } from '../../vm/profile/sampler.ts';
import type { SharedParts } from '../../vm.ts';
import type { WasmModule } from '../../wasm/api.ts';
import { compilerOf } from './compiler-of.ts';
import { type ClockOrigin, createClock } from './clock.ts';
import { compileThread } from './compile-thread.ts';
import { random } from './random.ts';

interface WorkerData extends SharedParts {
  readonly index: number;
  readonly module: WasmModule;
  readonly clockOrigin: ClockOrigin;
  readonly translate: TranslateOptions;
}

const { memory, layout, platform, model, profile, index, module, clockOrigin, deterministic } =
  workerData as WorkerData;
const translate = { ...(workerData as WorkerData).translate, exactCount: deterministic !== undefined };
const counted = deterministic === undefined ? undefined : countedParts(deterministic);
const clock = counted?.clock ?? createClock(clockOrigin);
const bus = createFrontBus(memory, layout, platform, { clock, meeting: counted?.meeting });
const guestMemory = new GuestMemory(memory.buffer, layout, []);
const sampler = profile === undefined ? undefined : new Sampler(guestMemory, index, profile, cpuNs);
const vcpu = createSoftVcpu(
  {
    memory,
    module,
    layout,
    index,
    bus,
    clock,
    // another stream than the entropy device's
    random: deterministic === undefined ? random : seededRandomness(~deterministic.seed),
    model,
    sampler,
    translate,
    compiler: compiler(),
    counted,
    cpuNs,
    compilerOf: translate.keep === true ? compilerOf : undefined,
  },
  await translator(),
);

/** Processor time of this thread: other programs on the host do not count. */
function cpuNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

/** A compile thread has a translator of its own. */
async function translator(): Promise<Translate> {
  if (translate.tier === 'auto' || translate.tier === 'off') return () => null;
  return (await import('../../engine/translate/translate.ts')).translate;
}

function compiler(): CompileThread | undefined {
  return translate.tier === 'auto' ? compileThread({ memory, layout, index, options: translate }) : undefined;
}

parentPort?.on('message', (command: VcpuCommand) =>
  parentPort?.postMessage(executeCommand(vcpu, command, guestMemory, sampler)),
);

function countedParts(settings: DeterministicSettings): CountedParts {
  return {
    settings,
    clock: new CountedClock(settings),
    meeting: createMeetingAttendee(memory),
    report: (events) => parentPort?.postMessage({ events } satisfies VcpuReply),
  };
}
