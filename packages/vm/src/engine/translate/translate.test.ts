import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CodeSource } from './region.ts';
import { translate, TRANSLATED_MODE } from './translate.ts';

const PAGE = 0x1000;
const ADD_1 = [0x83, 0xc0, 0x01, 0xeb, 0xfb]; // add eax, 1; jmp -5
const ADD_2 = [0x83, 0xc0, 0x02, 0xeb, 0xfb];

function memory(...pages: readonly (readonly number[])[]): Uint8Array {
  const u8 = new Uint8Array(new SharedArrayBuffer((pages.length + 1) * PAGE));
  pages.forEach((code, i) => u8.set(code, (i + 1) * PAGE));
  return u8;
}

test('what a region was made from is what was read, not what the guest has written since', () => {
  const u8 = memory(ADD_1);
  let looks = 0;
  const source: CodeSource = {
    u8,
    fetch: () => PAGE,
    heat: () => {
      // the entry is looked at first, then where its code leads: by then it has been read
      if (++looks > 1) u8.set(ADD_2, PAGE);
      return 1000;
    },
  };
  const request = { rip: 0x40_0000n, host: PAGE, mode: TRANSLATED_MODE };
  const module = translate(source, [request], { tier: 'sync' });
  assert.ok(looks > 1);
  assert.deepEqual([...u8.subarray(PAGE, PAGE + 5)], ADD_2);
  assert.deepEqual(module?.regions[0]?.ranges, [{ host: PAGE, bytes: new Uint8Array(ADD_1) }]);
});

test('requests of one batch at the same address mean each their own page', () => {
  const u8 = memory(ADD_1, ADD_2);
  const source: CodeSource = { u8, fetch: () => 0, heat: () => 1000 };
  const requests = [PAGE, 2 * PAGE].map((host) => ({ rip: 0x40_0000n, host, mode: TRANSLATED_MODE }));
  const module = translate(source, requests, { tier: 'sync' });
  assert.deepEqual(
    module?.regions.map(({ host, ranges }) => ({ host, ranges })),
    [
      { host: PAGE, ranges: [{ host: PAGE, bytes: new Uint8Array(ADD_1) }] },
      { host: 2 * PAGE, ranges: [{ host: 2 * PAGE, bytes: new Uint8Array(ADD_2) }] },
    ],
  );
});
