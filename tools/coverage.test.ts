import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { coverage, covered, PAGE, page } from './coverage.ts';

test('docs/coverage.md is what tools/coverage.ts makes', () => {
  const made = page();
  const committed = readFileSync(PAGE, 'utf8');
  assert.equal(committed, made, 'run: node tools/run.mjs tools/coverage.ts');
  assert.ok(made.length < 300_000);
});

/** Nothing outside tells what these do: they depend on a hypervisor or on performance counters. */
const NO_OUTSIDE = /^(VMCALL|VMMCALL|RDPMC)$/;

test('every row is checked against something that is not ours', () => {
  const open = coverage().filter((r) => !covered(r) && !NO_OUTSIDE.test(r.row.mnemonic));
  assert.deepEqual(
    open.map((r) => r.row.text),
    [],
  );
});
