/** `viv debug regions`: the translated regions of a guest that were entered most. */
import { regionLine, type VM } from '@vivarium/vm';
import { GUEST_NAMES, withGuest } from './debug-guest.ts';
import { parseCount, parseDebugArguments } from './debug-options.ts';

export const REGIONS_USAGE =
  'viv debug regions [--count N] [--translate auto|sync|always] [--threshold N] [--kernel FILE] -- COMMAND…';
const DEFAULT_COUNT = '50';

export async function runRegions(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseDebugArguments(args, ['count', ...GUEST_NAMES], REGIONS_USAGE);
  const count = parseCount(values['count'] ?? DEFAULT_COUNT, REGIONS_USAGE);
  return withGuest(values, positionals, REGIONS_USAGE, (vm) => mostEntered(vm, count));
}

async function mostEntered(vm: VM, count: number): Promise<string[]> {
  const regions = [...(await vm.regions())].sort((a, b) => b.entered - a.entered);
  const lines = await Promise.all(regions.slice(0, count).map(regionLine));
  const rest = regions.length - lines.length;
  return rest > 0 ? [...lines, `(${rest} more)`] : lines;
}
