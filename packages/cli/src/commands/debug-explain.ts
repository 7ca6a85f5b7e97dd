/** `viv debug explain`: one address of a kernel, of plain code, or of a guest that runs, as the engine sees it. */
import { readFile } from 'node:fs/promises';
import { explainBytes, explainFile, regionText, type VM, VmError } from '@vivarium/vm';
import { GUEST_NAMES, withGuest } from './debug-guest.ts';
import { parseAddress, parseDebugArguments, usageError } from './debug-options.ts';

export const EXPLAIN_USAGE =
  'viv debug explain FILE ADDRESS [--mode 64|32|16] [--base ADDRESS], or viv debug explain ADDRESS [--translate auto|sync|always] -- COMMAND…';
const MODES: Readonly<Record<string, 0 | 1 | 2>> = { '16': 0, '32': 1, '64': 2 };

export async function runExplain(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseDebugArguments(args, ['mode', 'base', ...GUEST_NAMES], EXPLAIN_USAGE);
  const [file, address] = positionals;
  if (file !== undefined && /^0x/i.test(file)) {
    const wanted = parseAddress(file, EXPLAIN_USAGE);
    return withGuest(values, positionals.slice(1), EXPLAIN_USAGE, (vm) => explainLive(vm, wanted));
  }
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

/** The block as the interpreter has it, if its memory is there, and every region that contains the address. */
async function explainLive(vm: VM, address: bigint): Promise<string[]> {
  const regions = await vm.regions(address);
  const bytes = await vm.debugTarget().readMemory(address, 4096 - Number(address & 0xfffn));
  const block =
    bytes.length === 0 ? ['not mapped in the process that ran last'] : await explainBytes(address, bytes, 2);
  const texts = await Promise.all(regions.map(regionText));
  return [
    ...block,
    '',
    regions.length === 0 ? 'no region contains it' : `regions that contain it: ${regions.length}`,
    ...texts.flatMap((text) => ['', ...text]),
  ];
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
