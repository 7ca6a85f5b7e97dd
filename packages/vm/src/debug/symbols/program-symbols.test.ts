import assert from 'node:assert/strict';
import { test } from 'node:test';
import { programSymbols } from './program-symbols.ts';
import { SymbolTable } from './symbol-table.ts';

const ADDRESS = 0x401000n;

/** An ELF program with 0x40 bytes of code, and symbols or frames for unwinding. */
function program(kind: 'symbols' | 'frames', type: number): Uint8Array {
  const file = new Uint8Array(0x600);
  const view = new DataView(file.buffer);
  const u64 = (at: number, value: number | bigint): void => view.setBigUint64(at, BigInt(value), true);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, type, true);
  u64(32, 64);
  u64(40, 0x400);
  for (const [at, value] of [
    [54, 56],
    [56, 1],
    [58, 64],
    [60, 3],
    [62, 2],
  ] as const)
    view.setUint16(at, value, true);
  // a segment that is executable
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  u64(72, 0x100);
  u64(80, ADDRESS);
  u64(96, 0x40);
  file.fill(0x90, 0x100, 0x140);
  const text = '\0main\0helper\0data\0.eh_frame\0';
  file.set(
    [...text].map((c) => c.charCodeAt(0)),
    0x300,
  );
  const section = (n: number, name: number, kindOf: number, offset: number, size: number): void => {
    const at = 0x400 + 64 * n;
    view.setUint32(at, name, true);
    view.setUint32(at + 4, kindOf, true);
    u64(at + 16, 0x402000);
    u64(at + 24, offset);
    u64(at + 32, size);
    view.setUint32(at + 40, 2, true);
  };
  section(2, 0, 3, 0x300, text.length);
  if (kind === 'frames') {
    section(1, text.indexOf('.eh_frame'), 1, 0x200, 44);
    // a common part of 12 bytes, then two functions of 12 bytes each
    view.setUint32(0x200, 8, true);
    for (const [at, start, bytes] of [
      [12, 0x401000, 0x10],
      [28, 0x401010, 0x20],
    ] as const) {
      view.setUint32(0x200 + at, 12, true);
      view.setUint32(0x200 + at + 4, at + 4, true);
      view.setInt32(0x200 + at + 8, start - (0x402000 + at + 8), true);
      view.setUint32(0x200 + at + 12, bytes, true);
    }
    return file;
  }
  section(1, 0, 2, 0x200, 24 * 4);
  for (const [n, name, info, address, bytes] of [
    [1, 'main', 2, ADDRESS, 0x10],
    [2, 'helper', 2, ADDRESS + 0x10n, 0x20],
    [3, 'data', 1, ADDRESS + 0x18n, 8],
  ] as const) {
    const at = 0x200 + 24 * n;
    view.setUint32(at, text.indexOf(`\0${name}\0`) + 1, true);
    view.setUint8(at + 4, info);
    view.setUint16(at + 6, 1, true);
    u64(at + 8, address);
    u64(at + 16, bytes);
  }
  return file;
}

test('functions of a program, and where its code is', () => {
  const symbols = programSymbols(program('symbols', 2), 'p');
  assert.equal(symbols?.movable, false);
  assert.deepEqual(
    symbols?.code.map(({ address, bytes }) => [address, bytes.length]),
    [[ADDRESS, 0x40]],
  );
  assert.equal(symbols?.functions.at(ADDRESS + 0xfn)?.name, 'main');
  assert.equal(symbols?.functions.at(ADDRESS + 0x18n)?.name, 'helper');
  assert.equal(symbols?.functions.at(ADDRESS + 0x30n), undefined, 'behind the last');
  assert.equal(symbols?.functions.at(ADDRESS - 1n), undefined);
});

test('a stripped program has its functions without names', () => {
  const symbols = programSymbols(program('frames', 3), 'p');
  assert.equal(symbols?.movable, true);
  assert.equal(symbols?.functions.at(0x401012n)?.name, 'fn_401010');
});

test('no program, or a cut one', () => {
  assert.equal(programSymbols(new Uint8Array(100), 'p'), undefined);
  const whole = program('symbols', 2);
  for (let cut = 64; cut < whole.length; cut += 7) programSymbols(whole.subarray(0, cut), 'p');
});

test('of several symbols at one address the first is taken', () => {
  const table = new SymbolTable([
    { address: 16n, name: 'a', bytes: 0 },
    { address: 16n, name: 'b', bytes: 0 },
    { address: 32n, name: 'c', bytes: 0 },
  ]);
  assert.equal(table.at(31n)?.name, 'a');
  assert.equal(table.at(32n)?.name, 'c');
});
