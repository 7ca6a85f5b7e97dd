/** The file a vCPU's worker thread runs: front half of the devices, the engine, one command after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { createSoftVcpu } from '../../engine/vcpu.ts';
import { GuestMemory } from '../../machine/memory.ts';
import { createFrontBus } from '../../machine/platform.ts';
import type { CompileThread, TranslateOptions } from '../../machine/vcpu.ts';
import { executeCommand, type VcpuCommand } from '../../vm/vcpu-messages.ts';
import { Sampler } from '../../vm/profile/sampler.ts';
import type { SharedParts } from '../../vm.ts';
import type { WasmModule } from '../../wasm/api.ts';
import { compilerOf } from './compiler-of.ts';
import { type ClockOrigin, createClock } from './clock.ts';
import { startCompileThread } from './compile-thread.ts';
import { random } from './random.ts';

interface WorkerData extends SharedParts {
  readonly index: number;
  readonly module: WasmModule;
  readonly clockOrigin: ClockOrigin;
  readonly translate: TranslateOptions;
}

const { memory, layout, platform, model, profile, index, module, clockOrigin, translate } =
  workerData as WorkerData;
const clock = createClock(clockOrigin);
const bus = createFrontBus(memory, layout, platform, { clock });
const guestMemory = new GuestMemory(memory.buffer, layout, []);
const sampler = profile === undefined ? undefined : new Sampler(guestMemory, index, profile);
const vcpu = createSoftVcpu({
  memory,
  module,
  layout,
  index,
  bus,
  clock,
  random,
  model,
  sampler,
  translate,
  compiler: compiler(),
  compilerOf: translate.keep === true ? compilerOf : undefined,
});

function compiler(): CompileThread | undefined {
  return translate.tier === 'auto'
    ? startCompileThread({ memory, layout, index, options: translate })
    : undefined;
}

parentPort?.on('message', (command: VcpuCommand) =>
  parentPort?.postMessage(executeCommand(vcpu, command, guestMemory, sampler)),
);
