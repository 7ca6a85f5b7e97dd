/**
 * A guest that runs through much more code than the code cache holds, for as long as wanted, beside one without a limit:
 * what the limit costs, and whether memory stays bounded. Linux only.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layoutMemory, WASM_PAGE } from '../packages/vm/src/machine/layout.ts';
import { GUEST_ROOT, userland } from '../test/programs/userland.ts';
import { cFile } from './c-tree.ts';
import { type CodeCacheRound, codeCacheItems } from './code-cache-items.ts';
import { type BootFiles, within } from './guest.ts';
import { PREPARE_REAL, PROGRAM_FOLDER } from './items.ts';
import { codeMemory, proportionalBytes, touchedGuestBytes } from './process-memory.ts';
import { SOURCES } from './real-files.ts';
import type { BenchItem } from './result.ts';
import { type GuestProcess, startMachine } from './vivarium.ts';

export const DEFAULT_BUDGET: number = 64 << 20;
/** Low, so that much is translated, and not so low that the slots of regions run out before the cache without a limit. */
export const DEFAULT_THRESHOLD = 4000;
const UNLIMITED = 2 ** 40;
const SAMPLE_MS = 3000;

const TREE = join(SOURCES, 'tree');
const FILES = 8;
const FUNCTIONS = 2;
/** Parts of the compiler that one level of optimisation does not reach. */
const FLAGS = ['-O2', '-O1', '-O3 -g', '-Os', '-O2 -funroll-loops'];

const LINES = '/tmp/lines';
const PREPARE = `${PREPARE_REAL} && ${PROGRAM_FOLDER}/data lines 20000 >${LINES}`;
const PERL =
  'my %c; $c{$_ % 999} .= $_ for 1..60000; print length(join q(,), map { $c{$_} =~ s/1./one/gr } sort keys %c)';
const compile = (file: number): string =>
  `chroot ${GUEST_ROOT} gcc ${FLAGS[file % FLAGS.length]} -c ${TREE}/f${file}.c -o /tmp/f${file}.o`;
/** A round prints the same in every guest and each time. */
const ROUND: string = [
  ...Array.from({ length: FILES }, (_, file) => compile(file)),
  'cat /tmp/*.o | md5sum',
  `chroot ${GUEST_ROOT} perl -e '${PERL}'`,
  `chroot ${GUEST_ROOT} python3 -I ${SOURCES}/compute.py`,
  `sort ${LINES} | md5sum`,
  `gzip -c <${LINES} | md5sum`,
  `bzip2 -c <${LINES} | md5sum`,
  `awk '{ n[$1 % 100] += length($2) } END { for (k in n) s += n[k] * k; print s }' ${LINES}`,
  `sed 's/\\([a-e]\\)\\([a-z]\\)/\\2\\1/g' ${LINES} | sha512sum`,
  `grep -c 'e.*t.*a' ${LINES}`,
  `od -c ${LINES} | tail -n 1`,
  `tar -c ${GUEST_ROOT}/usr/include | wc -c`,
].join(' && ');

/** The files that a round compiles, as an archive. @param folder for files that are made */
export function treeArchive(folder: string): Uint8Array {
  const made = join(folder, 'tree');
  mkdirSync(made, { recursive: true });
  return userland(
    Array.from({ length: FILES }, (_, file): [string, string] => {
      const path = join(made, `f${file}.c`);
      writeFileSync(path, cFile(file, FUNCTIONS));
      return [join(TREE, `f${file}.c`), path];
    }),
  );
}

export interface CodeCacheOptions {
  readonly minutes: number;
  readonly budget: number;
  readonly threshold: number;
  /** No round may take longer. */
  readonly limitMs: number;
}

class Side {
  readonly name: string;
  readonly rounds: CodeCacheRound[] = [];
  readonly #guest: GuestProcess;
  readonly #memory: { readonly bytes: number; readonly ramOffset: number };
  readonly #limitMs: number;

  constructor(name: string, files: BootFiles, cacheBytes: number, { threshold, limitMs }: CodeCacheOptions) {
    this.name = name;
    this.#limitMs = limitMs;
    this.#guest = startMachine(files, { quiet: true, translate: { tier: 'auto', threshold, cacheBytes } });
    const { wasmPages, ramOffset } = layoutMemory(files.memoryMib * 2 ** 20);
    this.#memory = { bytes: wasmPages * WASM_PAGE, ramOffset };
  }

  async ready(): Promise<void> {
    await within(this.#guest.until('ready'), this.#limitMs, `${this.name}: boot`);
    await within(this.#guest.run(PREPARE), this.#limitMs, PREPARE);
  }

  /** @returns what the round printed */
  async round(): Promise<string> {
    const { pid } = this.#guest;
    let most = codeMemory(pid).bytes;
    const sampling = setInterval(() => {
      most = Math.max(most, codeMemory(pid).bytes);
    }, SAMPLE_MS);
    try {
      const run = this.#guest.run(ROUND);
      const { ms, cpuMs, output, translation, handles } = await within(run, this.#limitMs, this.name);
      if (translation === undefined) throw new Error('the machine has no translator');
      const code = codeMemory(pid);
      const round: CodeCacheRound = {
        ms,
        cpuMs,
        code: { now: code.bytes, most: Math.max(most, code.bytes), mappings: code.mappings },
        memory: proportionalBytes(pid) - touchedGuestBytes(pid, this.#memory.bytes, this.#memory.ramOffset),
        threads: readdirSync(`/proc/${pid}/task`).length,
        files: readdirSync(`/proc/${pid}/fd`).length,
        handles: handles ?? Number.NaN,
        estimate: translation.bytes,
        mostEstimate: translation.mostBytes,
        regions: translation.regions,
        installed: translation.installed,
        evicted: translation.evicted,
      };
      this.rounds.push(round);
      this.#say(round);
      return output;
    } finally {
      clearInterval(sampling);
    }
  }

  #say(round: CodeCacheRound): void {
    const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
    console.error(
      `${this.name}, round ${this.rounds.length}: ${(round.ms / 1000).toFixed(1)} s (CPU ${(round.cpuMs / 1000).toFixed(1)} s), ` +
        `estimate ${mib(round.estimate)} MiB (largest ${mib(round.mostEstimate)}), ${round.regions} regions, ` +
        `${round.installed} installed, ${round.evicted} evicted; machine code ${mib(round.code.now)} MiB ` +
        `(largest ${mib(round.code.most)}) in ${round.code.mappings} mappings; memory beyond the guest ${mib(round.memory)} MiB; ` +
        `${round.threads} threads, ${round.handles} handles, ${round.files} files`,
    );
  }

  stop(): Promise<void> {
    return this.#guest.stop();
  }
}

/** @param files with the archives of suite real and `treeArchive` in them */
export async function measureCodeCache(files: BootFiles, options: CodeCacheOptions): Promise<BenchItem[]> {
  if (process.platform !== 'linux') return [];
  const uptime = readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
  console.error(`translating after ${options.threshold} executions; load of the host ${uptime}`);
  const limited = new Side('with the limit', files, options.budget, options);
  const free = new Side('without', files, UNLIMITED, options);
  const sides = [limited, free];
  try {
    for (const side of sides) await side.ready();
    const printed = new Set<string>();
    const end = performance.now() + options.minutes * 60_000;
    for (let round = 1; round <= 2 || performance.now() < end; round++) {
      for (const side of round % 2 === 1 ? sides : sides.toReversed()) printed.add(await side.round());
      if (printed.size > 1)
        throw new Error(`round ${round} printed something else: ${[...printed].join('\n')}`);
    }
    return codeCacheItems(limited.rounds, free.rounds, options.budget);
  } finally {
    for (const side of sides) await side.stop();
  }
}
