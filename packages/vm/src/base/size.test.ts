import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VmError } from './errors.ts';
import { parseSize } from './size.ts';

test('sizes have binary units, as Docker reads them', () => {
  const rows: readonly (readonly [string, number])[] = [
    ['512m', 512 * 2 ** 20],
    ['2g', 2 ** 31],
    ['1.5G', 1.5 * 2 ** 30],
    ['64MiB', 64 * 2 ** 20],
    ['4096', 4096],
    ['8 k', 8192],
  ];
  for (const [text, bytes] of rows) assert.equal(parseSize(text, '-m'), bytes, text);
});

test('what is no size is refused with an example', () => {
  for (const text of ['', 'm', '-1m', '12x', '0', '1e3', '99999999999g', 'NaN']) {
    assert.throws(
      () => parseSize(text, '-m'),
      (error: unknown) =>
        error instanceof VmError && error.code === 'USAGE' && /-m 512m/.test(error.remedy ?? ''),
      text,
    );
  }
});
