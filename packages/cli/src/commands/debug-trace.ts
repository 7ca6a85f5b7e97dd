/** `viv debug trace`: boots a kernel and writes what it executes, one line per instruction or block. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { traceFormatter, VM, type VmOptions } from '@vivarium/vm';
import { parseCount, parseDebugArguments, usageError } from './debug-options.ts';

export const TRACE_USAGE =
  'viv debug trace [--instructions N | --blocks N] [--kernel FILE] [--initrd FILE] [--append STR] [-o|--output FILE]';
const NAMES = ['instructions', 'blocks', 'kernel', 'initrd', 'append', 'output', 'memory'];
const DEFAULT_COUNT = '1000';
/** Steps per question to the vCPU's thread. */
const BATCH = 2000;

export async function runTrace(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseDebugArguments(
    args.map((arg) => (arg === '-o' ? '--output' : arg)),
    NAMES,
    TRACE_USAGE,
  );
  if (positionals.length > 0) throw usageError(`trace does not know '${positionals[0]}'`, TRACE_USAGE);
  if (values['instructions'] !== undefined && values['blocks'] !== undefined)
    throw usageError('a trace counts instructions or blocks', TRACE_USAGE);
  const granularity = values['blocks'] === undefined ? 'instruction' : 'block';
  const count = parseCount(values['blocks'] ?? values['instructions'] ?? DEFAULT_COUNT, TRACE_USAGE);
  const output = values['output'];
  const sink = output === undefined ? process.stdout : createWriteStream(output);
  const vm = await VM.start({
    ...source(values),
    memory: values['memory'] ?? '256m',
    paused: true,
    noReboot: true,
  });
  const formatter = await traceFormatter();
  try {
    for (let left = count; left > 0; ) {
      const { entries, exit } = await vm.trace({ count: Math.min(left, BATCH), granularity });
      if (!sink.write(entries.map((entry) => `${formatter.line(entry)}\n`).join('')))
        await once(sink, 'drain');
      left -= entries.length;
      if (exit === undefined) continue;
      process.stderr.write(
        `viv: the guest ended the trace: ${exit.kind === 'shutdown' ? exit.why : exit.kind}\n`,
      );
      break;
    }
  } finally {
    await vm.powerOff();
    if (sink !== process.stdout) {
      sink.end();
      await once(sink, 'close');
    }
  }
  return 0;
}

function source(values: Readonly<Record<string, string | undefined>>): VmOptions {
  const { kernel, initrd, append } = values;
  return {
    ...(kernel === undefined ? { image: 'busybox' } : { kernel }),
    ...(initrd === undefined ? {} : { initrd }),
    ...(append === undefined ? {} : { append }),
  };
}
