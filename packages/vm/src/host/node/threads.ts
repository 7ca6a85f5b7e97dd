/** vCPU threads as Node workers. */
import { Worker } from 'node:worker_threads';
import type { VcpuReply } from '../../vm/vcpu-messages.ts';
import type { ThreadStarter } from '../../vm/vcpu-thread.ts';

/** A worker file beside `from`: `.ts` when running the sources, `.js` when compiled. */
export function workerFile(name: string, from: string): URL {
  return new URL(`./${name}${from.endsWith('.ts') ? '.ts' : '.js'}`, from);
}

/** @param data what the worker's file expects in `workerData`, given the vCPU's index */
export function workerThreads(file: URL, data: (index: number) => object): ThreadStarter {
  return (index, events) => {
    const worker = new Worker(file, {
      workerData: data(index),
      name: `vcpu${index}`,
      execArgv: [],
      env: {},
      // The loop allocates little: a large nursery would only fill up with the garbage of decoding (20 MB).
      resourceLimits: { maxYoungGenerationSizeMb: 6 },
    });
    worker.on('message', (reply: VcpuReply) => events.reply(reply));
    worker.on('messageerror', (error) => events.failed(error));
    worker.on('error', (error) => events.failed(error));
    worker.on('exit', (code) => events.failed(new Error(`exit code ${code}`)));
    return {
      post: (command) => worker.postMessage(command),
      terminate: async () => {
        await worker.terminate();
      },
    };
  };
}
