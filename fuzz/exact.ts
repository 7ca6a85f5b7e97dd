/** Deterministic mode: a program takes as many instructions on every tier, whatever ends it. */
import type { TranslateOptions } from '../packages/vm/src/machine/vcpu.ts';
import { EngineRunner } from '../test/oracle/engine.ts';
import { softEngine } from '../test/oracle/parts.ts';
import { Random } from '../test/oracle/random.ts';
import type { FuzzOptions, FuzzResult } from './programs.ts';
import { listing } from './listing.ts';
import { makeProgram, palette } from './make.ts';
import { toCase } from './program.ts';

export function fuzzCounts(o: FuzzOptions, translate: TranslateOptions): FuzzResult {
  const random = new Random(o.seed);
  const palettes = { 64: palette(64), 32: palette(32) };
  const options = [{ tier: 'off' } as const, translate];
  const runners = options.map((one) => new EngineRunner(softEngine({ ...one, exactCount: true })));
  let found = 0;
  let skipped = 0;
  for (let i = 0; i < o.programs; i++) {
    const program = makeProgram(random, palettes);
    const test = toCase(program);
    const [want, got] = runners.map((runner) => {
      const before = runner.retired();
      const { kind } = runner.run(test);
      return kind === 'exception' ? runner.retired() - before : undefined;
    });
    if (want === undefined || got === undefined) skipped++;
    else if (want !== got && found++ < (o.limit ?? 5)) {
      o.print(`program ${i + 1} of seed ${o.seed} takes ${want} instructions, translated ${got}:`);
      for (const line of listing(program)) o.print(`  ${line}`);
    }
  }
  return { programs: o.programs, differences: found, skipped };
}
