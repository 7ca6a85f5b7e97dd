import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProgramSymbols } from '../../debug/symbols/program-symbols.ts';
import { SymbolTable } from '../../debug/symbols/symbol-table.ts';
import type { Profile, Sample } from './profile.ts';
import { foldedStacks, profileTable } from './report.ts';

const bytes = Uint8Array.from({ length: 0x3000 }, (_, i) => (i * 7 + (i >> 8) * 13) & 0xff);
const library: ProgramSymbols = {
  name: 'lib.so',
  movable: true,
  code: [{ address: 0x1000n, bytes }],
  functions: new SymbolTable([{ name: 'work', address: 0x1000n, bytes: 0x1800 }]),
};
const kernel = new SymbolTable([
  { name: 'schedule', address: 0xffff_ffff_8100_0000n, bytes: 0x100 },
  { name: 'entry', address: 0xffff_ffff_8100_0100n, bytes: 0x100 },
]);

function sample(process: string, frames: readonly bigint[], count: number, ns: number): Sample {
  const inside = Number((frames[0] ?? 0n) & 0xfffn);
  return { process, frames, code: bytes.subarray(inside + 0x1000, inside + 0x1020), count, ns };
}

const profile: Profile = {
  interval: 1000,
  samples: [
    sample('my sh', [0x7f00_0000_2010n], 6, 6000),
    // only by the other sample it is known where the library lies
    { ...sample('my sh', [0x7f00_0000_1020n, 0x7f00_0000_2400n], 1, 500), code: new Uint8Array(0) },
    sample('init', [0x7f00_0000_9010n], 1, 500),
    sample('init', [0xffff_ffff_8100_0010n, 0xffff_ffff_8100_0100n], 2, 3000),
    sample('init', [0xffff_ffff_c000_0000n], 1, 1000),
  ],
  taken: 12,
  lost: 1,
  late: 2,
  instructions: 12_000,
  ns: 11_000,
};

test('stacks are folded, the innermost last, spaces and semicolons taken out', () => {
  assert.deepEqual(foldedStacks(profile, { kernel, programs: [library] }), [
    // found by its code, two pages further than where it is linked
    'init;[module]_[k] 1',
    'init;lib.so`work 1',
    // a return address belongs to the function that called, here the one that ends there
    'init;schedule_[k];schedule_[k] 2',
    'my_sh;lib.so`work 6',
    'my_sh;lib.so`work;lib.so`work 1',
  ]);
});

test('the table has shares of instructions and of time', () => {
  const lines = profileTable(profile, { kernel, programs: [library] });
  assert.match(lines[0] ?? '', /^12 samples, one per 1000 instructions, 2 of them late, 1 not kept;/);
  const find = (end: string): string => lines.find((line) => line.endsWith(end))?.trim() ?? '';
  assert.match(find('  lib.so`work'), /^72\.73 % +63\.64 % +0\.88/);
  assert.match(find('  schedule_[k]'), /^18\.18 % +27\.27 % +1\.50/);
  assert.match(find('  my sh'), /^63\.64 % +59\.09 %/);
});

test('code that is at several places of a file places it nowhere', () => {
  const same: ProgramSymbols = { ...library, code: [{ address: 0x1000n, bytes: new Uint8Array(0x3000) }] };
  const one = { ...sample('a', [0x5000_0000n], 1, 1), code: new Uint8Array(32) };
  const stacks = foldedStacks({ ...profile, samples: [one] }, { programs: [same] });
  assert.deepEqual(stacks, ['a;[50000000] 1']);
});

test('rows beyond the wanted ones are counted', () => {
  const lines = profileTable(profile, { programs: [] }, 1);
  assert.ok(lines.some((line) => /^ +\(\d+ more\)$/.test(line)));
});
