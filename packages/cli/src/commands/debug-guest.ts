/** A guest for debug tools: runs a command to its end, then shows the machine, which is still there. */
import { type TranslateOptions, VM } from '@vivarium/vm';
import { parseCount, usageError } from './debug-options.ts';

/** Options that the tools take for their guest. */
export const GUEST_NAMES: readonly string[] = [
  'translate',
  'threshold',
  'kernel',
  'initrd',
  'append',
  'memory',
];
const TIERS: readonly TranslateOptions['tier'][] = ['auto', 'sync', 'always'];

type Values = Readonly<Record<string, string | undefined>>;

/** @param look gives the lines to print */
export async function withGuest(
  values: Values,
  argv: readonly string[],
  usage: string,
  look: (vm: VM) => Promise<readonly string[]>,
): Promise<number> {
  if (argv.length === 0) throw usageError('the guest needs a command: -- COMMAND…', usage);
  const { kernel, initrd, append } = values;
  const vm = await VM.start({
    image: 'busybox',
    ...(kernel === undefined ? {} : { kernel }),
    ...(initrd === undefined ? {} : { initrd }),
    ...(append === undefined ? {} : { append }),
    memory: values['memory'] ?? '256m',
    translate: { ...translateOf(values, usage), keep: true },
    noReboot: true,
    command: { argv },
  });
  try {
    const { command } = vm;
    if (command === undefined) throw new Error('invariant broken: the machine was started without a command');
    void command.stdin.close().catch(() => {});
    await Promise.all([command.exitCode, pass(command.stdout), pass(command.stderr)]);
    const lines = await look(vm);
    process.stdout.write(`${lines.join('\n')}\n`);
  } finally {
    await vm.powerOff();
  }
  return 0;
}

export function translateOf(values: Values, usage: string): TranslateOptions {
  const name = values['translate'] ?? 'auto';
  const tier = TIERS.find((known) => known === name);
  if (tier === undefined) throw usageError(`there is no way to translate called '${name}'`, usage);
  const threshold = values['threshold'];
  return { tier, ...(threshold === undefined ? {} : { threshold: parseCount(threshold, usage) }) };
}

/** What the guest says is no part of the tool's own output. */
async function pass(stream: ReadableStream<Uint8Array>): Promise<void> {
  for await (const bytes of stream) process.stderr.write(bytes);
}
