/** Records runs of a guest, block by block (trace.ts), on an interpreter that is generated for it. */
import { readFile } from 'node:fs/promises';
import { generateInterpreter } from '../../packages/vm/src/engine/interp/generate.ts';
import { clockOrigin, createClock } from '../../packages/vm/src/host/node/clock.ts';
import { nodeDecompressor } from '../../packages/vm/src/host/node/decompressor.ts';
import { random } from '../../packages/vm/src/host/node/random.ts';
import { workerThreads } from '../../packages/vm/src/host/node/threads.ts';
import { timer } from '../../packages/vm/src/host/node/timer.ts';
import { VirtualMachine } from '../../packages/vm/src/vm.ts';
import type { BootFiles } from '../guest.ts';
import { INIT_MARK } from '../workloads.ts';
import type { RecorderData } from './record-worker.ts';

export interface Recording {
  readonly name: string;
  /** A line for the guest's shell; '' = the boot up to /init. */
  readonly command: string;
}

/** Recording i goes to traceFile(folder, i + 1); the boot, if it is wanted, is the first. */
export async function record(
  files: BootFiles,
  recordings: readonly Recording[],
  folder: string,
): Promise<void> {
  const recorder: RecorderData = { folder, recording: new Int32Array(new SharedArrayBuffer(4)) };
  const module = new WebAssembly.Module(
    generateInterpreter({ min: 1, max: 65536 }, undefined, true) as Uint8Array<ArrayBuffer>,
  );
  const origin = clockOrigin();
  await using vm = new VirtualMachine(
    {
      engine: 'soft',
      memoryBytes: files.memoryMib * 2 ** 20,
      kernelFiles: async () => ({
        handOver: true,
        kernel: await readFile(files.kernel),
        initrd: await readFile(files.initrd),
      }),
      quiet: false,
      disks: [],
      noReboot: true,
    },
    {
      clock: createClock(origin),
      randomness: random,
      timer,
      decompressor: nodeDecompressor,
      threads: (shared) =>
        workerThreads(new URL('./record-worker.ts', import.meta.url), (index) => ({
          ...shared,
          ...recorder,
          index,
          module,
          clockOrigin: origin,
          translate: { tier: 'off' },
        })),
    },
  );
  const select = (recording: number): void => {
    recorder.recording[0] = recording;
  };
  select(recordings[0]?.command === '' ? 1 : 0);
  await vm.start({ paused: false });
  await until(vm.serial, INIT_MARK);
  select(0);
  await vm.ready;
  for (const [i, { command }] of recordings.entries()) {
    if (command === '') continue;
    select(i + 1);
    const { exitCode, stderr } = await vm.exec(['sh', '-c', `{ ${command}; } >/dev/null`]);
    select(0);
    if (exitCode !== 0) throw new Error(`'${command}' ended with ${exitCode}: ${stderr}`);
  }
  // the recorder closes its file at the next block
  await vm.exec(['true']);
}

async function until(output: ReadableStream<Uint8Array>, pattern: RegExp): Promise<void> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const bytes of output) {
    text = (text + decoder.decode(bytes, { stream: true })).slice(-10_000);
    if (pattern.test(text)) return;
  }
}
