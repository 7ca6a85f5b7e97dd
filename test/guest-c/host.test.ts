import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { missing } from '../support/needs.ts';
import { guestPrograms, hostFiles, outputOnHost, TOOLS, TOOLS_SCRIPT } from './programs.ts';

const native = {
  skip: process.arch === 'x64' ? missing('gcc', 'gencat', 'tar', ...TOOLS) : 'needs an x86-64 host',
};

test('the C programs print the same on every run', native, () => {
  const programs = guestPrograms();
  assert.ok(programs.length >= 7);
  for (const program of programs) {
    const first = outputOnHost(program.file);
    assert.ok(first.length > 20, program.name);
    assert.equal(outputOnHost(program.file), first, program.name);
  }
});

test('the everyday tools print the same on every run', native, () => {
  const folder = mkdtempSync(join(tmpdir(), 'vivarium-tools-'));
  try {
    const first = outputOnHost('dash', [TOOLS_SCRIPT, folder]);
    assert.match(first, /^gunzip same$/m);
    assert.equal(first.split('\n').length > 12, true);
    assert.equal(outputOnHost('dash', [TOOLS_SCRIPT, folder]), first);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a tool comes with its interpreter and libraries', native, () => {
  const files = hostFiles(TOOLS);
  assert.ok([...files.keys()].some((path) => path.includes('ld-linux')));
  assert.ok([...files.keys()].some((path) => path.includes('libc.so')));
});
