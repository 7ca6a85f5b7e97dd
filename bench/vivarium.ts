/** Our side: a machine on the soft engine in a process of its own, on built code. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NODE_ENV, NODE_FLAGS } from '../packages/cli/bin/runtime.js';
import { cpuMs, settledCpuMs } from './cpu-time.ts';
import { threadReport, threadTimes } from './threads.ts';
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
  readonly translation?: TranslationCounters;
  readonly handles?: number;
}

/** Of the translator (TranslationStats), as far as benchmarks read it. */
export interface TranslationCounters {
  readonly regions: number;
  readonly bytes: number;
  readonly mostBytes: number;
  readonly installed: number;
  readonly evicted: number;
}

/** How a machine's process stands after a command. */
export interface ProcessState {
  readonly translation: TranslationCounters | undefined;
  readonly handles: number | undefined;
}

/** How our machine is started. */
export interface MachineOptions {
  readonly quiet?: boolean;
  readonly translate?: Translate | undefined;
  /** Say after each command what the translator did (standard error). */
  readonly stats?: boolean;
  /** Flags of Node and V8. */
  readonly nodeFlags?: readonly string[];
}

export function startMachine(files: BootFiles, options: MachineOptions = {}): GuestProcess {
  const { nodeFlags = [], ...machine } = options;
  return new GuestProcess('vivarium', 'guest-process.mjs', { quiet: false, ...files, ...machine }, nodeFlags);
}

/** A process that runs a machine, as lines of JSON (guest-process.mjs). */
export class GuestProcess {
  readonly name: string;
  readonly child: ChildProcessWithoutNullStreams;
  readonly commandLine: readonly string[];
  readonly #lines: AsyncIterator<string>;

  constructor(name: string, script: string, options: object, nodeFlags: readonly string[] = []) {
    this.name = name;
    const file = join(import.meta.dirname, script);
    const args = [...NODE_FLAGS, ...nodeFlags, file, JSON.stringify(options)];
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

  async run(command: string, stats = false): Promise<Measured & ProcessState> {
    const threads = stats ? threadTimes(this.pid) : undefined;
    this.child.stdin.write(`${JSON.stringify({ run: marked(command) })}\n`);
    await this.until('begin');
    const cpuBefore = cpuMs(this.pid);
    const start = performance.now();
    await this.until('end');
    const ms = performance.now() - start;
    const { output = '', stderr = '', instructions, translation, handles } = await this.until('done');
    const begin = BEGIN_MARK.exec(output);
    const end = END_MARK.exec(output.slice(begin === null ? 0 : begin.index + begin[0].length));
    if (end?.[2] !== '0') throw new Error(`${this.name}: ${command}: exit code ${end?.[2]}\n${stderr}`);
    const cpu = (await settledCpuMs(this.pid)) - cpuBefore;
    if (threads !== undefined)
      console.error(`CPU by thread: ${threadReport(threads, threadTimes(this.pid))}`);
    return { ms, cpuMs: cpu, output: end[1] ?? '', instructions, translation, handles };
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}

export function bootVivarium(files: BootFiles, limitMs: number, options: MachineOptions): Promise<Guest> {
  const began = performance.now();
  return booted(startMachine(files, options), began, limitMs, options.stats);
}

/** @param began when its process was started (performance.now) */
export async function booted(
  guest: GuestProcess,
  began: number,
  limitMs: number,
  stats = false,
): Promise<Guest> {
  const { name, pid, commandLine } = guest;
  try {
    const { console: shown = '' } = await within(guest.until('init'), limitMs, `${name}: boot to /init`);
    const init = { ms: performance.now() - began, cpuMs: cpuMs(pid) };
    if (stats) console.error(`CPU by thread: ${threadReport(new Map(), threadTimes(pid))}`);
    await within(guest.until('ready'), limitMs, `${name}: boot to ready`);
    const run = (command: string, limit: number): Promise<Measured> =>
      within(guest.run(command, stats), limit, `${name}: ${command}`);
    return { pid, init, console: shown, commandLine, run, stop: () => guest.stop() };
  } catch (error) {
    await guest.stop();
    throw error;
  }
}
