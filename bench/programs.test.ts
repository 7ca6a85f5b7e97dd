/** The programs of the benchmark print what an independent calculation says, with little work. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ENGINE_ITEMS } from './items.ts';
import { benchPrograms, missingCompiler, programNames } from './programs.ts';

const needs = { skip: missingCompiler() ?? false };

function printed(name: string, ...args: readonly string[]): string {
  const file = benchPrograms().get(name) ?? '';
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

test('every item that is a program has its source', () => {
  const names = programNames();
  for (const { program } of ENGINE_ITEMS)
    assert.ok(program === undefined || names.includes(program[0] ?? ''));
});

test('sieve, fib and bytecode', needs, () => {
  assert.equal(printed('sieve', '1'), '82025');
  assert.equal(printed('fib', '20'), '6765');
  let steps = 0;
  for (let start = 1; start < 1000; start++)
    for (let value = start; value !== 1; steps++) value = value % 2 === 0 ? value / 2 : value * 3 + 1;
  assert.equal(printed('bytecode', '1'), String(steps));
});

test('sha256', needs, () => {
  const data = new Uint8Array(1 << 16);
  assert.equal(printed('sha256', '1'), createHash('sha256').update(data).digest('hex'));
});

test('sum', needs, () => {
  let sum = 1n;
  for (let i = 0n; i < 1n << 15n; i++) sum = BigInt.asUintN(64, sum + i);
  assert.equal(printed('sum', '1'), sum.toString(16).padStart(16, '0'));
});

test('the pointer chase is one cycle through all lines', needs, () => {
  const lines = 2 ** 20 / 64;
  assert.match(printed('chase', '1', String(lines)), new RegExp(`^0 ${(lines * (lines - 1)) / 2}$`));
});

test('nbody keeps bodies apart, matmul has a trace', needs, () => {
  for (const name of ['nbody', 'matmul']) assert.ok(Number.isFinite(Number(printed(name, '2'))), name);
});
