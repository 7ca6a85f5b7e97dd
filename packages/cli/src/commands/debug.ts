/** `viv debug TOOL …`: windows into the engine. */
import { VmError } from '@vivarium/vm';

type Tool = (args: readonly string[]) => Promise<number>;

/** By name; a tool appears here once the engine has it. */
const TOOLS: Readonly<Record<string, { readonly summary: string; readonly run: Tool }>> = {};

export async function runDebug(name: string | undefined, args: readonly string[]): Promise<number> {
  const tool = name === undefined ? undefined : TOOLS[name];
  if (tool === undefined) {
    const names = Object.keys(TOOLS);
    throw new VmError('USAGE', {
      message: name === undefined ? 'no debug tool was named' : `there is no debug tool '${name}'`,
      remedy: names.length === 0 ? 'This version has none yet' : `There is: ${names.join(', ')}`,
    });
  }
  return tool.run(args);
}
