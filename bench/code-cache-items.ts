/** What the rounds of suite code-cache (code-cache.ts) say. */
import { type BenchItem, median } from './result.ts';

/** A round, and how the process stood after it. Memory in bytes. */
export interface CodeCacheRound {
  readonly ms: number;
  readonly cpuMs: number;
  /** Executable memory: after the round, and the most that was seen in it. */
  readonly code: { readonly now: number; readonly most: number; readonly mappings: number };
  /** Proportional memory of the process without guest RAM. */
  readonly memory: number;
  readonly threads: number;
  readonly handles: number;
  readonly files: number;
  /** The translator's estimate of cached code, and its largest value so far. */
  readonly estimate: number;
  readonly mostEstimate: number;
  readonly regions: number;
  readonly installed: number;
  /** So far. */
  readonly evicted: number;
}

type Rounds = readonly CodeCacheRound[];
const SUITE = 'code-cache';
const MIB = 2 ** 20;

/** Rounds after the first, and the last ones, a quarter of all each: a sawtooth of collected garbage is in both. */
export function windows(rounds: Rounds): { readonly early: Rounds; readonly late: Rounds } {
  const later = rounds.slice(1);
  const size = Math.max(1, Math.floor(rounds.length / 4));
  return { early: later.slice(0, size), late: later.slice(-size) };
}

/** @param limited with a cache of `budget` bytes @param free without a limit, the same work */
export function codeCacheItems(limited: Rounds, free: Rounds, budget: number): BenchItem[] {
  const most = (rounds: Rounds, of: (round: CodeCacheRound) => number): number => Math.max(...rounds.map(of));
  const evicted = limited.at(-1)?.evicted ?? 0;
  const mostFree = most(free, (round) => round.mostEstimate);
  return [
    time('first round', limited.slice(0, 1), free.slice(0, 1)),
    time('later rounds', limited.slice(1), free.slice(1)),
    time('last quarter', windows(limited).late, windows(free).late),
    over(
      'largest estimate',
      most(limited, (round) => round.mostEstimate),
      budget,
    ),
    {
      ...over('largest estimate, no limit', mostFree, budget),
      ...(mostFree < 2 * budget ? { failed: 'the work has too little code for this budget' } : {}),
    },
    over(
      'most machine code seen',
      most(limited, (round) => round.code.most),
      budget,
    ),
    over(
      'most machine code seen, no limit',
      most(free, (round) => round.code.most),
      budget,
    ),
    {
      ...plain('regions evicted', evicted, ''),
      ...(evicted === 0 ? { failed: 'nothing was evicted' } : {}),
    },
    ...growth('', limited),
    ...growth(', no limit', free),
  ];
}

function time(name: string, limited: Rounds, free: Rounds): BenchItem {
  const seconds = (rounds: Rounds, of: 'ms' | 'cpuMs'): number => median(rounds.map((r) => r[of])) / 1000;
  const [value, other] = [seconds(limited, 'ms'), seconds(free, 'ms')];
  const [cpu, otherCpu] = [seconds(limited, 'cpuMs'), seconds(free, 'cpuMs')];
  return {
    ...plain(name, value, 's'),
    against: 'no limit',
    other,
    ratio: value / other,
    cpu: { value: cpu, other: otherCpu, ratio: cpu / otherCpu },
  };
}

function over(name: string, bytes: number, budget: number): BenchItem {
  return {
    ...plain(name, bytes / MIB, 'MiB'),
    against: 'budget',
    other: budget / MIB,
    ratio: bytes / budget,
  };
}

/** What must not grow: the last quarter of the rounds over the first one. */
function growth(suffix: string, rounds: Rounds): BenchItem[] {
  const { early, late } = windows(rounds);
  const item = (name: string, of: (round: CodeCacheRound) => number, unit = '', scale = 1): BenchItem => {
    const [value, other] = [late, early].map((some) => median(some.map(of)) / scale) as [number, number];
    return { ...plain(name + suffix, value, unit), against: 'first quarter', other, ratio: value / other };
  };
  return [
    item('memory beyond the guest', (round) => round.memory, 'MiB', MIB),
    item('machine code', (round) => round.code.now, 'MiB', MIB),
    item('mappings of machine code', (round) => round.code.mappings),
    item('threads', (round) => round.threads),
    item('handles', (round) => round.handles),
    item('open files', (round) => round.files),
  ];
}

function plain(name: string, value: number, unit: string): BenchItem {
  return { name, suite: SUITE, value, unit, against: null, ratio: null, apart: true };
}
