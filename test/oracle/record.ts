/** Writes vectors.txt: what this host's CPU does with the recorded cases. */
import { writeFileSync } from 'node:fs';
import { runNative } from './native.ts';
import { formatLine, outcomeDigest, type ShapeCases, shapesWithCases, VECTORS } from './vectors.ts';

export function record(): string {
  const all: ShapeCases[] = [...shapesWithCases()];
  const cases = all.flatMap((s) => s.cases);
  const outcomes = runNative(cases.map((g) => g.test));
  let at = 0;
  const lines = all.map((s) => {
    const digests = s.cases.map((g) => {
      const outcome = outcomes[at++];
      return outcome === undefined ? 0 : outcomeDigest(g.test, outcome, g.masks);
    });
    return formatLine(s, digests);
  });
  return `${lines.sort().join('\n')}\n`;
}

if (import.meta.main) writeFileSync(VECTORS, record());
