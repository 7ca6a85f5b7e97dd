/** The file a compile thread runs: guest code from shared memory → compiled modules, for one vCPU. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { type CompileJob, compileJob } from '../../engine/translate/compile-job.ts';
import { GuestCode } from '../../engine/translate/guest-code.ts';
import { translate } from '../../engine/translate/translate.ts';
import { type MemoryLayout, VCPU_BASE, VCPU_STRIDE } from '../../machine/layout.ts';
import type { TranslateOptions } from '../../machine/vcpu.ts';
import { COMPILED } from '../../x86/state.ts';

interface WorkerData {
  readonly memory: WebAssembly.Memory;
  readonly layout: MemoryLayout;
  readonly index: number;
  readonly options: TranslateOptions;
  readonly port: MessagePort;
}

const { memory, layout, index, options, port } = workerData as WorkerData;
const area = VCPU_BASE + index * VCPU_STRIDE;
const buffer = memory.buffer as unknown as SharedArrayBuffer;
const source = new GuestCode(buffer, layout, area);
const words = new Int32Array(buffer);

/** CPU time of this thread: what translating costs, however many share the cores. */
function cpuNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

port.on('message', (job: CompileJob) => {
  port.postMessage(compileJob(job, source, translate, options, cpuNs));
  Atomics.add(words, (area + COMPILED) >> 2, 1);
});
