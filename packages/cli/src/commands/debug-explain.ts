/** `viv debug explain`: one address of a kernel or of plain code, as the engine sees it. */
import { readFile } from 'node:fs/promises';
import { explainFile, VmError } from '@vivarium/vm';
import { parseAddress, parseDebugArguments, usageError } from './debug-options.ts';

export const EXPLAIN_USAGE = 'viv debug explain FILE ADDRESS [--mode 64|32|16] [--base ADDRESS]';
const MODES: Readonly<Record<string, 0 | 1 | 2>> = { '16': 0, '32': 1, '64': 2 };

export async function runExplain(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseDebugArguments(args, ['mode', 'base'], EXPLAIN_USAGE);
  const [file, address] = positionals;
  if (file === undefined || address === undefined || positionals.length > 2)
    throw usageError('explain takes a file and an address', EXPLAIN_USAGE);
  const mode = MODES[values['mode'] ?? '64'];
  if (mode === undefined) throw usageError(`there is no ${values['mode']}-bit code`, EXPLAIN_USAGE);
  const base = values['base'];
  const lines = await explainFile(await read(file), {
    address: parseAddress(address, EXPLAIN_USAGE),
    mode,
    base: base === undefined ? undefined : parseAddress(base, EXPLAIN_USAGE),
  });
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new VmError('FILE_NOT_FOUND', {
      message: `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'Check the path',
      cause,
    });
  }
}
