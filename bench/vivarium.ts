/** Our side: a machine on the soft engine in a process of its own, on built code. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NODE_ENV, NODE_FLAGS } from '../packages/cli/bin/runtime.js';
import { cpuMs, settledCpuMs } from './cpu-time.ts';
import {
  BEGIN_MARK,
  type BootFiles,
  END_MARK,
  type Guest,
  type Measured,
  marked,
  type Translate,
  within,
} from './guest.ts';

interface Answer {
  readonly event?: string;
  readonly console?: string;
  readonly output?: string;
  readonly stderr?: string;
  readonly instructions?: number;
}

/** How the process of a machine is started. */
export interface ProcessOptions {
  readonly quiet: boolean;
  readonly translate?: Translate | undefined;
  /** Flags of Node and V8. */
  readonly nodeFlags?: readonly string[];
}

/** The process of a machine, as lines of JSON. */
export class GuestProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly commandLine: readonly string[];
  readonly #lines: AsyncIterator<string>;

  constructor(files: BootFiles, { quiet, translate, nodeFlags = [] }: ProcessOptions) {
    const script = join(import.meta.dirname, 'guest-process.mjs');
    const args = [...NODE_FLAGS, ...nodeFlags, script, JSON.stringify({ ...files, quiet, translate })];
    this.commandLine = [process.execPath, ...args];
    this.child = spawn(process.execPath, args, { env: { ...NODE_ENV, ...process.env } });
    this.child.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The next answer with this event. */
  async until(event: string): Promise<Answer> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error('the process of the machine ended; its standard error says why');
      const answer = JSON.parse(String(value)) as Answer;
      if (answer.event === event) return answer;
    }
  }

  async run(command: string): Promise<Measured> {
    this.child.stdin.write(`${JSON.stringify({ run: marked(command) })}\n`);
    await this.until('begin');
    const cpuBefore = cpuMs(this.pid);
    const start = performance.now();
    await this.until('end');
    const ms = performance.now() - start;
    const { output = '', stderr = '', instructions } = await this.until('done');
    const begin = BEGIN_MARK.exec(output);
    const end = END_MARK.exec(output.slice(begin === null ? 0 : begin.index + begin[0].length));
    if (end?.[2] !== '0') throw new Error(`vivarium: ${command}: exit code ${end?.[2]}\n${stderr}`);
    const cpu = (await settledCpuMs(this.pid)) - cpuBefore;
    return { ms, cpuMs: cpu, output: end[1] ?? '', instructions };
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}

export async function bootVivarium(
  files: BootFiles,
  limitMs: number,
  options: Omit<ProcessOptions, 'quiet'>,
): Promise<Guest> {
  const began = performance.now();
  const guest = new GuestProcess(files, { ...options, quiet: false });
  try {
    const { console = '' } = await within(guest.until('init'), limitMs, 'vivarium: boot to /init');
    const init = { ms: performance.now() - began, cpuMs: cpuMs(guest.pid) };
    await within(guest.until('ready'), limitMs, 'vivarium: boot to ready');
    const { pid, commandLine } = guest;
    const run = (command: string, limit: number): Promise<Measured> =>
      within(guest.run(command), limit, `vivarium: ${command}`);
    return { pid, init, console, commandLine, run, stop: () => guest.stop() };
  } catch (error) {
    await guest.stop();
    throw error;
  }
}
