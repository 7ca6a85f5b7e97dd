/** `viv debug bisect`: the translated region that changes what a guest does. */
import { bisectMachine, regionText, type TranslateOptions, type Verdict, type VmOptions } from '@vivarium/vm';
import { parseCount, parseDebugArguments, usageError } from './debug-options.ts';

export const BISECT_USAGE =
  'viv debug bisect [--translate auto|sync|always] [--threshold N] [--timeout SECONDS] [--kernel FILE] [--initrd FILE] [--append STR] [-- COMMAND…]';
const NAMES = ['translate', 'threshold', 'timeout', 'kernel', 'initrd', 'append', 'memory'];
const DEFAULT_TIMEOUT = '120';

/** @returns 0: nothing differs; 1: a region was found; 2: none, since the guest does not always do the same */
export async function runBisect(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseDebugArguments(args, NAMES, BISECT_USAGE);
  const { kernel, initrd, append } = values;
  const tier = values['translate'] ?? 'sync';
  if (tier !== 'auto' && tier !== 'sync' && tier !== 'always')
    throw usageError(`there is no way to translate called '${tier}'`, BISECT_USAGE);
  const threshold = values['threshold'];
  const translate: TranslateOptions = {
    tier,
    ...(threshold === undefined ? {} : { threshold: parseCount(threshold, BISECT_USAGE) }),
  };
  const ownGuest = kernel !== undefined && positionals.length === 0;
  const vm: VmOptions = {
    ...(ownGuest ? {} : { image: 'busybox', command: { argv: commandOf(positionals) } }),
    ...(kernel === undefined ? {} : { kernel }),
    ...(initrd === undefined ? {} : { initrd }),
    ...(append === undefined ? {} : { append }),
    memory: values['memory'] ?? '256m',
  };
  const verdict = await bisectMachine({
    vm,
    translate,
    timeoutMs: parseCount(values['timeout'] ?? DEFAULT_TIMEOUT, BISECT_USAGE) * 1000,
    progress: (line) => process.stderr.write(`viv: ${line}\n`),
  });
  process.stdout.write(`${(await describe(verdict)).join('\n')}\n`);
  return verdict.kind === 'same' ? 0 : verdict.kind === 'found' ? 1 : 2;
}

function commandOf(positionals: readonly string[]): readonly string[] {
  if (positionals.length > 0) return positionals;
  throw usageError('bisect needs a command for the guest, or a kernel of its own', BISECT_USAGE);
}

async function describe(verdict: Verdict): Promise<string[]> {
  switch (verdict.kind) {
    case 'same':
      return [`nothing differs: ${verdict.regions} regions, and the result of the interpreter`];
    case 'unsteady':
      return [
        "the interpreter's own results differ from run to run; take a command that always says the same",
        ...side('one', verdict.results[0]),
        ...side('the other', verdict.results[1]),
      ];
    case 'found': {
      const { region, blocks } = verdict;
      return [
        'one region changes the result' +
          (region === undefined ? '' : `, with ${region.blocks} of its ${blocks} blocks`),
        ...side('interpreted', verdict.expected),
        ...side('translated', verdict.result),
        '',
        ...(region === undefined ? [] : await regionText(region)),
      ];
    }
    case 'several':
      return [
        `no region does it alone, or the guest does not always do the same; left are ${verdict.hashes.length}`,
        ...side('interpreted', verdict.expected),
        ...side('translated', verdict.result),
      ];
  }
}

/** The beginning of a result. */
function side(name: string, result: string): string[] {
  const lines = result.trimEnd().split('\n');
  return [`${name}:`, ...lines.slice(0, 12).map((line) => `  | ${line.slice(0, 160)}`)];
}
