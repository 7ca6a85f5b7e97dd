import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TypeInformation } from './btf.ts';

const KIND = { INT: 1, STRUCT: 4, UNION: 5 };

/** struct task { int a; union { int b; struct { int :24; name: bit field at 40 } } ; } with the last at bit 64. */
function types(): Uint8Array {
  const strings = '\0task\0a\0b\0name\0';
  const name = (text: string): number => (text === '' ? 0 : strings.indexOf(`\0${text}\0`) + 1);
  const info = (kind: number, members: number, bits = false): number =>
    ((bits ? 1 << 31 : 0) | (kind << 24) | members) >>> 0;
  const words = [
    ...[name(''), info(KIND.INT, 0), 4, 32],
    ...[name(''), info(KIND.STRUCT, 1, true), 8, name('name'), 1, (5 << 24) | 40],
    ...[name(''), info(KIND.UNION, 2), 8, name('b'), 1, 0, name(''), 2, 0],
    ...[name('task'), info(KIND.STRUCT, 2), 16, name('a'), 1, 0, name(''), 3, 64],
  ];
  const bytes = new Uint8Array(24 + 4 * words.length + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  [24, 0, 4 * words.length, 4 * words.length, strings.length].forEach((v, i) =>
    view.setUint32(4 + 4 * i, v, true),
  );
  words.forEach((v, i) => view.setUint32(24 + 4 * i, v, true));
  bytes.set(
    [...strings].map((c) => c.charCodeAt(0)),
    24 + 4 * words.length,
  );
  return bytes;
}

test('places of members, also of those in members without a name', () => {
  const found = TypeInformation.parse(types());
  assert.equal(found?.offset('task', 'a'), 0);
  assert.equal(found?.offset('task', 'b'), 8);
  assert.equal(found?.offset('task', 'name'), 8 + 5);
  assert.equal(found?.offset('task', 'c'), null);
  assert.equal(found?.offset('none', 'a'), null);
});

test('bytes that are no type information, or cut', () => {
  assert.equal(TypeInformation.parse(new Uint8Array(64)), null);
  const whole = types();
  for (let cut = 0; cut < whole.length; cut++)
    TypeInformation.parse(whole.subarray(0, cut))?.offset('task', 'name');
});
