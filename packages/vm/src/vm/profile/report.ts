/** Profiles as text: a table for people, and stacks for flame graphs. */
import type { Profile } from './profile.ts';
import { type ProfileSymbols, Symbolizer } from './symbolizer.ts';

interface Weight {
  samples: number;
  ns: number;
}

const DEFAULT_ROWS = 30;

/**
 * One line per stack, "process;outer;inner samples": what flamegraph.pl, speedscope and inferno read. Functions of
 * the kernel end in _[k].
 */
export function foldedStacks(profile: Profile, symbols: ProfileSymbols): string[] {
  const symbolizer = new Symbolizer(profile, symbols);
  const stacks = new Map<string, number>();
  for (const { process, frames, count } of profile.samples) {
    const names = frames.map((address, i) => symbolizer.name(process, address, i > 0));
    const stack = [process, ...names.reverse()].map((name) => name.replaceAll(/[;\s]/g, '_')).join(';');
    stacks.set(stack, (stacks.get(stack) ?? 0) + count);
  }
  return [...stacks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([stack, count]) => `${stack} ${count}`);
}

/** Functions, instructions and processes with the most samples. What a function calls is not counted to it. */
export function profileTable(
  profile: Profile,
  symbols: ProfileSymbols,
  rows: number = DEFAULT_ROWS,
): string[] {
  const symbolizer = new Symbolizer(profile, symbols);
  const functions = new Map<string, Weight>();
  const places = new Map<string, Weight>();
  const processes = new Map<string, Weight>();
  for (const { process, frames, count, ns } of profile.samples) {
    const address = frames[0] ?? 0n;
    const name = symbolizer.name(process, address, false);
    add(functions, name, count, ns);
    add(places, `0x${address.toString(16).padEnd(16)}  ${name}`, count, ns);
    add(processes, process, count, ns);
  }
  const late = profile.late === 0 ? '' : `, ${profile.late} of them late`;
  const lost = profile.lost === 0 ? '' : `, ${profile.lost} not kept`;
  return [
    `${profile.taken} samples, one per ${profile.interval} instructions${late}${lost}; ` +
      `${(profile.instructions / 1e6).toFixed(1)} M instructions in ${(profile.ns / 1e9).toFixed(2)} s`,
    '',
    ...table('function', functions, profile, rows),
    '',
    ...table('instruction', places, profile, rows),
    '',
    ...table('process', processes, profile, rows),
  ];
}

function add(weights: Map<string, Weight>, name: string, samples: number, ns: number): void {
  const weight = weights.get(name) ?? { samples: 0, ns: 0 };
  weight.samples += samples;
  weight.ns += ns;
  weights.set(name, weight);
}

function table(
  heading: string,
  weights: ReadonlyMap<string, Weight>,
  profile: Profile,
  rows: number,
): string[] {
  const sorted = [...weights].sort(([, a], [, b]) => b.samples - a.samples);
  const samples = Math.max(1, profile.taken - profile.lost);
  const ns = Math.max(
    1,
    sorted.reduce((sum, [, weight]) => sum + weight.ns, 0),
  );
  const lines = sorted.slice(0, rows).map(([name, weight]) => {
    const perInstruction = weight.ns / (weight.samples * profile.interval);
    return [
      `${((weight.samples / samples) * 100).toFixed(2)} %`.padStart(12),
      `${((weight.ns / ns) * 100).toFixed(2)} %`.padStart(9),
      perInstruction.toFixed(2).padStart(9),
      `  ${name}`,
    ].join('');
  });
  const rest = sorted.length - lines.length;
  const head = `${'instructions'.padStart(12)}${'time'.padStart(9)}${'ns each'.padStart(9)}  ${heading}`;
  return [head, ...lines, ...(rest > 0 ? [`${''.padStart(32)}(${rest} more)`] : [])];
}
