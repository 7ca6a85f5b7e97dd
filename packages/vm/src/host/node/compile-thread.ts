/** A vCPU's compile thread as a Node worker. It begins at once and ends with the thread that starts it. */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { CompileThread } from '../../machine/vcpu.ts';
import { workerFile } from './threads.ts';

/**
 * Not with the first job: code that is hot a few milliseconds after the guest's start would be interpreted until the
 * worker has loaded its modules.
 * @param data what compile-worker.ts expects, but for the port
 */
export function compileThread(data: object): CompileThread {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(workerFile('compile-worker', import.meta.url), {
    workerData: { ...data, port: port2 },
    transferList: [port2],
    name: 'compile',
    execArgv: [],
    env: {},
    // Translating makes much garbage at once, little of which lives on.
    resourceLimits: { maxYoungGenerationSizeMb: 24 },
  });
  // A vCPU whose compile thread has died goes on with the interpreter.
  worker.on('error', () => {});
  worker.unref();
  port1.unref();
  return {
    post: (job) => port1.postMessage(job),
    take: () => receiveMessageOnPort(port1)?.message as object | undefined,
  };
}
