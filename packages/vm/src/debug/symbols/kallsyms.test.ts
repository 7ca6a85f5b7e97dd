import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseKallsyms } from './kallsyms.ts';

type Layout = '6.1' | '6.12';
const BASE = 0xffff_ffff_8100_0000n;

/** Tokens: every letter stands for itself, but number 1 is 'Tfn'. */
const TOKENS = Array.from({ length: 256 }, (_, i) =>
  i === 1 ? 'Tfn' : i === 0 ? '!' : String.fromCharCode(i),
);

function words(...values: readonly number[]): number[] {
  return values.flatMap((v) => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, v >>> 24]);
}
const padded = (bytes: readonly number[]): number[] => [
  ...bytes,
  ...new Array<number>(-bytes.length & 7).fill(0),
];
const quad = (value: bigint): number[] => words(Number(value & 0xffff_ffffn), Number(value >> 32n));

/** An image with `count` functions fn0, fn1 … 16 bytes apart, one variable of a CPU, and junk around. */
function image(layout: Layout, count: number, order: boolean): Uint8Array {
  const names: number[] = [];
  const markers: number[] = [];
  const offsets: number[] = [];
  for (let i = 0; i <= count; i++) {
    if (i % 256 === 0) markers.push(names.length);
    const long = 'x'.repeat(i === 3 ? 200 : 0);
    const text = i === count ? 'Avariable' : `\x01${i}${long}`;
    const length = text.length < 0x80 ? [text.length] : [(text.length & 0x7f) | 0x80, text.length >> 7];
    names.push(...length, ...[...text].map((c) => c.charCodeAt(0)));
    offsets.push(i === count ? 0x1fb80 : -1 - 16 * i);
  }
  const tokens: number[] = [];
  const index: number[] = [];
  for (const token of TOKENS) {
    index.push(tokens.length & 0xff, tokens.length >> 8);
    tokens.push(...[...token].map((c) => c.charCodeAt(0)), 0);
  }
  const places = [...padded(words(...offsets)), ...quad(BASE)];
  const named = [...padded(words(count + 1)), ...padded(names), ...padded(words(...markers))];
  const spelled = [...padded(tokens), ...padded(index)];
  const orders = order ? padded(new Array<number>(3 * (count + 1)).fill(1)) : [];
  const junk = new Array<number>(64).fill(0x5a);
  return Uint8Array.from([
    ...junk,
    ...(layout === '6.1' ? [...places, ...named, ...orders, ...spelled] : []),
    ...(layout === '6.12' ? [...named, ...spelled, ...places, ...orders] : []),
    ...junk,
  ]);
}

describe("a kernel's own symbols", () => {
  for (const [layout, order] of [
    ['6.1', false],
    ['6.1', true],
    ['6.12', true],
  ] as const) {
    test(`as ${layout} lays them out${order ? ', with their order' : ''}`, () => {
      const symbols = parseKallsyms(image(layout, 700, order));
      assert.equal(symbols?.length, 701);
      assert.deepEqual(symbols?.[0], { address: BASE, type: 'T', name: 'fn0', bytes: 0 });
      assert.deepEqual(symbols?.[3]?.name, `fn3${'x'.repeat(200)}`);
      assert.deepEqual(symbols?.[699], { address: BASE + 16n * 699n, type: 'T', name: 'fn699', bytes: 0 });
      assert.deepEqual(symbols?.[700], { address: 0x1fb80n, type: 'A', name: 'variable', bytes: 0 });
    });
  }

  test('an image without them, or with damaged ones, has none', () => {
    assert.equal(parseKallsyms(new Uint8Array(4096)), null);
    const damaged = image('6.1', 700, false);
    // a name's length in the middle
    damaged[64 + 2808 + 8 + 8 + 1000] = 0x7f;
    const symbols = parseKallsyms(damaged);
    assert.ok(symbols === null || symbols.length === 701);
    for (let cut = 0; cut < damaged.length; cut += 97) parseKallsyms(damaged.subarray(0, cut));
  });
});
