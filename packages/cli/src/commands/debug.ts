/** `viv debug TOOL …`: windows into the engine. */
import { VmError } from '@vivarium/vm';
import { BISECT_USAGE, runBisect } from './debug-bisect.ts';
import { EXPLAIN_USAGE, runExplain } from './debug-explain.ts';
import { REGIONS_USAGE, runRegions } from './debug-regions.ts';
import { runTrace, TRACE_USAGE } from './debug-trace.ts';

interface Tool {
  readonly usage: string;
  readonly run: (args: readonly string[]) => Promise<number>;
}

const TOOLS: Readonly<Record<string, Tool>> = {
  explain: { usage: EXPLAIN_USAGE, run: runExplain },
  regions: { usage: REGIONS_USAGE, run: runRegions },
  bisect: { usage: BISECT_USAGE, run: runBisect },
  trace: { usage: TRACE_USAGE, run: runTrace },
};

export async function runDebug(name: string | undefined, args: readonly string[]): Promise<number> {
  const tool = name === undefined || !Object.hasOwn(TOOLS, name) ? undefined : TOOLS[name];
  if (tool === undefined) {
    throw new VmError('USAGE', {
      message: name === undefined ? 'no debug tool was named' : `there is no debug tool '${name}'`,
      remedy: `There is: ${Object.values(TOOLS)
        .map((one) => one.usage)
        .join('\n')}`,
    });
  }
  return tool.run(args);
}
