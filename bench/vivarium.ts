/** Our side: a machine on the soft engine in a process of its own, on built code. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NODE_ENV, NODE_FLAGS } from '../packages/cli/bin/runtime.js';
import type { BootFiles, Guest, Measured } from './guest.ts';

type Answer = { readonly event?: string } & Partial<Measured>;

/** The process of a machine, as lines of JSON. */
export class GuestProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(files: BootFiles, quiet: boolean) {
    const script = join(import.meta.dirname, 'guest-process.mjs');
    this.child = spawn(process.execPath, [...NODE_FLAGS, script, JSON.stringify({ ...files, quiet })], {
      env: { ...NODE_ENV, ...process.env },
    });
    this.child.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async next(): Promise<Answer> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the process of the machine ended; its standard error says why');
    return JSON.parse(String(value)) as Answer;
  }

  async until(event: string): Promise<void> {
    while ((await this.next()).event !== event);
  }

  async run(command: string): Promise<Measured> {
    this.child.stdin.write(`${JSON.stringify({ run: command })}\n`);
    const { ms, instructions } = await this.next();
    if (ms === undefined) throw new Error('the process of the machine gave no time');
    return { ms, instructions };
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}

export async function bootVivarium(files: BootFiles): Promise<Guest> {
  const began = performance.now();
  const guest = new GuestProcess(files, false);
  try {
    await guest.until('init');
    const initMs = performance.now() - began;
    await guest.until('ready');
    return { initMs, run: (command) => guest.run(command), stop: () => guest.stop() };
  } catch (error) {
    await guest.stop();
    throw error;
  }
}
