/** A vCPU's compile thread as a Node worker. It begins with the first job and ends with the thread that starts it. */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { CompileThread } from '../../machine/vcpu.ts';
import { workerFile } from './threads.ts';

/** @param data what compile-worker.ts expects, but for the port */
export function compileThread(data: object): CompileThread {
  let port: MessagePort | undefined;
  return {
    post: (job) => {
      port ??= start(data);
      port.postMessage(job);
    },
    take: () => port && (receiveMessageOnPort(port)?.message as object | undefined),
  };
}

function start(data: object): MessagePort {
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
  return port1;
}
