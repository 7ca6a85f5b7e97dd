/** `bisect` on Node: the same machine again and again. */
import { VmError } from '../../base/errors.ts';
import type { TranslateOptions } from '../../machine/vcpu.ts';
import { bisect, type Outcome, type Verdict } from '../../vm/bisect.ts';
import { VM, type VmOptions } from './start.ts';

export interface BisectOptions {
  /** The machine; with a command, whose output and exit code are compared, or else with its serial console. */
  readonly vm: VmOptions;
  readonly translate: TranslateOptions;
  /** A run that takes longer, and five times as long as the interpreter's, has another result than one that ends. */
  readonly timeoutMs: number;
  readonly progress: (line: string) => void;
}

const PATIENCE = 5;

/** @throws VmError as `VM.start` says */
export function bisectMachine({ vm, translate, timeoutMs, progress }: BisectOptions): Promise<Verdict> {
  let patienceMs = timeoutMs;
  return bisect(translate, {
    progress,
    run: async (options) => {
      const began = performance.now();
      const keep = { ...options, keep: true };
      const outcome = await runOnce({ ...vm, translate: keep, noReboot: true }, patienceMs);
      if (options.tier === 'off') patienceMs = Math.max(patienceMs, PATIENCE * (performance.now() - began));
      return outcome;
    },
  });
}

async function runOnce(options: VmOptions, timeoutMs: number): Promise<Outcome> {
  const vm = await VM.start(options);
  let late = false;
  const timeout = setTimeout(() => {
    late = true;
    void vm.powerOff();
  }, timeoutMs);
  try {
    const said = await (vm.command === undefined ? serialOutput(vm) : commandOutput(vm, vm.command));
    await vm.powerOff();
    const { translation } = vm;
    const result = late ? `it did not end\n${said}` : said;
    return { result, hashes: translation?.hashes ?? [], last: translation?.last };
  } finally {
    clearTimeout(timeout);
    await vm.powerOff();
  }
}

async function commandOutput(vm: VM, command: NonNullable<VM['command']>): Promise<string> {
  void text(vm.serial);
  void command.stdin.close().catch(() => {});
  const [stdout, stderr, end] = await Promise.all([
    text(command.stdout),
    text(command.stderr),
    command.exitCode.then((code) => `exit code ${code}`, endOf),
  ]);
  return `${end}\nstdout:\n${stdout}\nstderr:\n${stderr}`;
}

async function serialOutput(vm: VM): Promise<string> {
  const [serial, exit] = await Promise.all([text(vm.serial), vm.exited]);
  return `${exit.reason}${exit.error === undefined ? '' : `: ${exit.error.message}`}\nserial console:\n${serial}`;
}

function endOf(error: unknown): string {
  return error instanceof VmError ? `${error.code}: ${error.message}` : String(error);
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let all = '';
  for await (const bytes of stream) all += decoder.decode(bytes, { stream: true });
  return all + decoder.decode();
}
