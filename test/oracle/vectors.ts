/**
 * Recorded outcomes of the host's CPU, so that the comparison also runs where the host is no x86-64. Cases are made
 * from a seed of their shape's name, the same on every host; the file holds a digest of each outcome.
 *
 *   one line per shape:  digest of its name · digest of its cases · digests of the outcomes    (8 hex digits each)
 *
 * Digest 0 = not compared: undefined or only bounded results, cases without an end.
 * `node test/oracle/record.ts` writes the file again, on x86-64.
 */
import { readFileSync } from 'node:fs';
import { ROWS } from '../../packages/vm/src/x86/isa/index.ts';
import type { Outcome, TestCase } from './case.ts';
import { comparedFx, type Masks } from './compare.ts';
import { comparable, type GeneratedCase, generate, type Shape, shapeName, shapesOf } from './generate.ts';
import { Random } from './random.ts';

export const VECTORS: URL = new URL('./vectors.txt', import.meta.url);
const CASES = 6;

class Digest {
  #value = 0x811c9dc5;
  byte(b: number): void {
    this.#value = Math.imul(this.#value ^ b, 0x01000193);
  }
  bytes(list: Uint8Array): void {
    for (const b of list) this.byte(b);
  }
  number(n: number): void {
    for (let i = 0; i < 32; i += 8) this.byte((n >>> i) & 0xff);
  }
  big(n: bigint): void {
    this.number(Number(n & 0xffffffffn));
    this.number(Number((n >> 32n) & 0xffffffffn));
  }
  text(s: string): void {
    for (const c of s) this.number(c.codePointAt(0) ?? 0);
  }
  /** Never 0. */
  get value(): number {
    return this.#value === 0 ? 1 : this.#value >>> 0;
  }
}

const hex8 = (n: number): string => n.toString(16).padStart(8, '0');

function nameDigest(shape: Shape): number {
  const d = new Digest();
  d.text(shapeName(shape));
  return d.value;
}

function addCase(d: Digest, c: TestCase): void {
  d.number(c.mode);
  d.bytes(c.code);
  for (const v of c.gpr) d.big(v);
  d.number(c.rflags);
  if (c.fx !== undefined) d.bytes(c.fx);
  for (const p of c.patches ?? []) {
    d.number(p.addr);
    d.bytes(p.bytes);
  }
}

const isMemoryFault = (vector: number): boolean => vector >= 12 && vector <= 14;
const hasErrorCode = (vector: number): boolean =>
  vector === 8 || (vector >= 10 && vector <= 14) || vector === 17;

/** What `differences` compares, as one number. */
export function outcomeDigest(c: TestCase, o: Outcome, masks: Masks | undefined): number {
  if (masks === undefined || masks.approximate !== undefined || o.kind !== 'exception') return 0;
  const d = new Digest();
  d.big(o.rip);
  if (masks.looseFault === true && isMemoryFault(o.vector)) return d.value;
  d.number(o.vector);
  if (hasErrorCode(o.vector))
    d.number(o.vector === 14 && o.cr2 >> 47n !== 0n ? o.errorCode & ~1 : o.errorCode);
  if (o.vector === 14) d.big(o.cr2);
  d.number(o.rflags & ~(0x10000 | (masks.undefinedFlags ?? 0)));
  const wide = c.mode === 64;
  for (let i = 0; i < (wide ? 16 : 8); i++) {
    const v = o.gpr[i] ?? 0n;
    d.big(wide ? v : v & 0xffffffffn);
  }
  d.bytes(comparedFx(o.fx, c.mode));
  for (const line of [...o.dirty].sort((a, b) => a.addr - b.addr)) {
    d.number(line.addr);
    d.bytes(line.bytes);
  }
  return d.value;
}

export interface ShapeCases {
  readonly shape: Shape;
  readonly name: number;
  readonly cases: readonly GeneratedCase[];
  /** Digest of the cases: tells a stale recording from a wrong result. */
  readonly input: number;
}

export function* shapesWithCases(): Generator<ShapeCases> {
  for (const shape of ROWS.filter(comparable).flatMap(shapesOf)) {
    const name = nameDigest(shape);
    const random = new Random(name);
    const cases = Array.from({ length: CASES }, () => generate(shape, random));
    const d = new Digest();
    for (const g of cases) addCase(d, g.test);
    yield { shape, name, cases, input: d.value };
  }
}

export function formatLine(s: ShapeCases, outcomes: readonly number[]): string {
  return `${hex8(s.name)} ${hex8(s.input)} ${outcomes.map(hex8).join('')}`;
}

/** Name digest → {digest of the cases, digests of the outcomes}. */
export function readVectors(): Map<number, { input: number; outcomes: number[] }> {
  const found = new Map<number, { input: number; outcomes: number[] }>();
  for (const line of readFileSync(VECTORS, 'utf8').trimEnd().split('\n')) {
    const [name = '', input = '', outcomes = ''] = line.split(' ');
    found.set(Number.parseInt(name, 16), {
      input: Number.parseInt(input, 16),
      outcomes: (outcomes.match(/.{8}/g) ?? []).map((digits) => Number.parseInt(digits, 16)),
    });
  }
  return found;
}
