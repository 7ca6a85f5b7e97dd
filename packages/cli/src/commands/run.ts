/** `viv run`. */
import { VmError } from '@vivarium/vm';
import { parseRunOptions } from './run-options.ts';

export async function runImage(
  image: string,
  command: readonly string[],
  raw: Readonly<Record<string, unknown>>,
): Promise<number> {
  parseRunOptions(image, command, raw);
  throw new VmError('ENGINE_UNAVAILABLE', {
    message: 'no engine is built into this version',
    remedy: 'See what is missing with: viv doctor',
  });
}
