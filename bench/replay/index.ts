/** Suite replay: the measurements behind docs/adr/0032. Nothing of the translator runs here. */
import type { BootFiles } from '../guest.ts';
import type { BenchItem } from '../result.ts';
import { measureEntries } from './entries.ts';
import { BlockGraph } from './former.ts';
import { measureMissPath } from './miss-path.ts';
import { record } from './record.ts';
import { RECORDINGS, SHAPES } from './shapes.ts';
import { replay } from './simulate.ts';
import { readBlocks } from './trace.ts';
import { measureV8Costs } from './v8-costs.ts';

/** @param folder for recordings, about 2 GB */
export async function measureReplay(files: BootFiles, folder: string): Promise<BenchItem[]> {
  const items = [...(await measureMissPath()), ...measureEntries(), ...(await measureV8Costs())];
  await record(files, RECORDINGS, folder);
  const graph = new BlockGraph(readBlocks(folder));
  RECORDINGS.forEach(({ name }, i) => {
    for (const shape of SHAPES) {
      const replayed = replay(folder, i + 1, graph, shape);
      const item = (what: string, value: number, unit: string): BenchItem => ({
        name: `${name}, ${shape.name}: ${what}`,
        suite: 'replay',
        value,
        unit,
        against: null,
        ratio: null,
      });
      items.push(
        item('in regions', 100 * replayed.inRegions, '%'),
        item('region entries', replayed.entriesPerThousand, 'per 1000 instructions'),
        item('translated', replayed.translated / 1000, 'k instructions'),
      );
    }
  });
  return items;
}
