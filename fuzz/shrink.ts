/** Makes a failing program small: leaves out items as long as the difference stays (delta debugging). */
import type { Program } from './program.ts';

/** @param fails true when a program still shows a difference */
export function shrink(program: Program, fails: (p: Program) => boolean): Program {
  let best = program;
  const kept = (p: Program): number[] => p.kept.flatMap((keep, i) => (keep ? [i] : []));
  for (let chunk = Math.max(1, kept(best).length >> 1); chunk >= 1; chunk = chunk === 1 ? 0 : chunk >> 1) {
    let again = true;
    while (again) {
      again = false;
      const items = kept(best);
      for (let at = 0; at < items.length; at += chunk) {
        const drop = new Set(items.slice(at, at + chunk));
        const candidate = { ...best, kept: best.kept.map((keep, i) => keep && !drop.has(i)) };
        if (fails(candidate)) {
          best = candidate;
          again = chunk === 1;
        }
      }
    }
  }
  return best;
}
