/**
 * Runs test cases on the host's CPU through `runner.c`, which gcc compiles on first use (kept in the
 * temporary folder under the digest of its source).
 *
 * To the runner:   DATA and CONST content, then per case
 *   u32 size · u8 mode · u8 has fx · u16 code length · u32 patches · u32 rflags · u64 gpr[16] · u64 fs, gs base
 *   [512 fx] · code · patches (u32 address · u32 length · bytes)
 * From the runner, per case
 *   u32 size · u32 status · u32 signal · u32 vector · u64 error code, cr2, rip, rflags · u64 gpr[16]
 *   u64 fs, gs base · 512 fx · u32 lines · u32 0 · lines (u32 address · 64 bytes)
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { basePattern, type DirtyLine, type Outcome, type TestCase } from './case.ts';

const SOURCE = new URL('./runner.c', import.meta.url);
const HEAD_IN = 16 + 16 * 8 + 16;
const HEAD_OUT = 16 + 32 + 16 * 8 + 16 + 512 + 8;
const FX_OUT = 16 + 32 + 16 * 8 + 16;

let compiled: string | undefined;

/** True where cases can run natively: x86-64 Linux with gcc. */
export function nativeAvailable(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  // the runner sets FS and GS bases itself
  if (!/\bfsgsbase\b/.test(readFileSync('/proc/cpuinfo', 'utf8'))) return false;
  return spawnSync('gcc', ['--version']).status === 0;
}

/** Compiles `source` once per digest. @returns path of the executable */
export function compileCached(
  name: string,
  source: string,
  flags: readonly string[],
  libraries: readonly string[] = [],
): string {
  const digest = createHash('sha256').update(source).update(flags.join(' ')).digest('hex').slice(0, 16);
  const folder = join(tmpdir(), `vivarium-test-${process.getuid?.() ?? 0}`);
  const target = join(folder, `${name}-${digest}`);
  if (existsSync(target)) return target;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fresh = join(mkdtempSync(join(folder, 'cc-')), name);
  const built = spawnSync('gcc', [...flags, '-o', fresh, '-x', 'c', '-', '-x', 'none', ...libraries], {
    input: source,
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`gcc refused ${name}:\n${built.stderr}`);
  renameSync(fresh, target);
  return target;
}

function runner(): string {
  compiled ??= compileCached('runner', readFileSync(SOURCE, 'utf8'), [
    '-O2',
    '-static-pie',
    '-mfsgsbase',
    '-fno-stack-protector',
    '-fcf-protection=none',
  ]);
  return compiled;
}

function caseBytes(c: TestCase): number {
  let size = HEAD_IN + (c.fx ? 512 : 0) + c.code.length;
  for (const p of c.patches ?? []) size += 8 + p.bytes.length;
  return size;
}

export function writeCases(cases: readonly TestCase[]): Uint8Array {
  const pattern = basePattern();
  const total = cases.reduce((sum, c) => sum + caseBytes(c), pattern.length);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  bytes.set(pattern);
  let at = pattern.length;
  for (const c of cases) {
    const size = caseBytes(c);
    view.setUint32(at, size, true);
    view.setUint8(at + 4, c.mode);
    view.setUint8(at + 5, c.fx ? 1 : 0);
    view.setUint16(at + 6, c.code.length, true);
    view.setUint32(at + 8, c.patches?.length ?? 0, true);
    view.setUint32(at + 12, c.rflags, true);
    for (let i = 0; i < 16; i++) view.setBigUint64(at + 16 + i * 8, c.gpr[i] ?? 0n, true);
    view.setBigUint64(at + 144, c.fsBase ?? 0n, true);
    view.setBigUint64(at + 152, c.gsBase ?? 0n, true);
    let p = at + HEAD_IN;
    if (c.fx) {
      bytes.set(c.fx, p);
      p += 512;
    }
    bytes.set(c.code, p);
    p += c.code.length;
    for (const patch of c.patches ?? []) {
      view.setUint32(p, patch.addr, true);
      view.setUint32(p + 4, patch.bytes.length, true);
      bytes.set(patch.bytes, p + 8);
      p += 8 + patch.bytes.length;
    }
    at += size;
  }
  return bytes;
}

export function parseOutcomes(bytes: Uint8Array): Outcome[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const outcomes: Outcome[] = [];
  for (let at = 0; at + HEAD_OUT <= bytes.length; ) {
    const size = view.getUint32(at, true);
    if (at + size > bytes.length) break;
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = view.getBigUint64(at + 48 + i * 8, true);
    const dirty: DirtyLine[] = [];
    const lines = view.getUint32(at + FX_OUT + 512, true);
    for (let i = 0; i < lines; i++) {
      const p = at + HEAD_OUT + i * 68;
      dirty.push({ addr: view.getUint32(p, true), bytes: bytes.slice(p + 4, p + 68) });
    }
    outcomes.push({
      kind: view.getUint32(at + 4, true) === 1 ? 'timeout' : 'exception',
      vector: view.getUint32(at + 12, true),
      errorCode: Number(view.getBigUint64(at + 16, true)),
      cr2: view.getBigUint64(at + 24, true),
      rip: view.getBigUint64(at + 32, true),
      rflags: Number(view.getBigUint64(at + 40, true)),
      gpr,
      fsBase: view.getBigUint64(at + 176, true),
      gsBase: view.getBigUint64(at + 184, true),
      fx: bytes.slice(at + FX_OUT, at + FX_OUT + 512),
      dirty,
    });
    at += size;
  }
  return outcomes;
}

const CRASHED: Outcome = {
  kind: 'crash',
  vector: -1,
  errorCode: 0,
  cr2: 0n,
  rip: 0n,
  rflags: 0,
  gpr: new BigUint64Array(16),
  fsBase: 0n,
  gsBase: 0n,
  fx: new Uint8Array(512),
  dirty: [],
};

/** Runs every case; a case that kills the runner gives kind `crash`, and the rest runs in a new one. */
export function runNative(cases: readonly TestCase[]): Outcome[] {
  const outcomes: Outcome[] = [];
  while (outcomes.length < cases.length) {
    const run = spawnSync(runner(), [], {
      input: writeCases(cases.slice(outcomes.length)),
      maxBuffer: 2 ** 31 - 1,
    });
    if (run.error) throw run.error;
    for (const outcome of parseOutcomes(run.stdout)) outcomes.push(outcome);
    // A crash loses what was buffered, so repeat the lost cases one by one until the culprit is found.
    if (run.status !== 0) {
      if (outcomes.length < cases.length) outcomes.push(...isolate(cases.slice(outcomes.length)));
      break;
    }
  }
  return outcomes;
}

function isolate(cases: readonly TestCase[]): Outcome[] {
  if (cases.length > 1) {
    const half = cases.length >> 1;
    return [...runNative(cases.slice(0, half)), ...runNative(cases.slice(half))];
  }
  return [CRASHED];
}
