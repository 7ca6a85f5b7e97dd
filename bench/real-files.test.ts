/** The user land of suite real has what its programs read; that they run is what the benchmark itself checks. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { missing } from '../test/support/needs.ts';
import { REAL_ITEMS } from './items.ts';
import { missingCompiler } from './programs.ts';
import { missingUserland, realArchive } from './real-files.ts';

const absent = missingCompiler() ?? missingUserland();

test('programs, libraries, headers, compiled modules', { skip: absent ?? missing('cpio') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'viv-bench-'));
  try {
    const { stdout } = spawnSync('cpio', ['-it', '--quiet'], {
      input: realArchive(folder),
      encoding: 'utf8',
      maxBuffer: 1 << 24,
    });
    const paths = stdout.split('\n');
    const has = (pattern: RegExp): boolean => paths.some((path) => pattern.test(path));
    for (const program of ['bin/perl', 'bin/python3', 'bin/gcc', 'bin/as', '/cc1'])
      assert.ok(has(new RegExp(`^host/usr/.*${program}$`)), program);
    for (const file of ['compute.pl', 'compute.py', 'bench.h', 'sha256.c'])
      assert.ok(paths.includes(`host/src/${file}`), file);
    assert.ok(has(/\/python3\.\d+\/os\.pyc$/));
    assert.ok(!has(/\/python3\.\d+\/.*\.py$/), 'python would compile what has a source');
    assert.ok(has(/^host\/usr\/include\/stdio\.h$/));
    assert.ok(has(/\/libc\.so\.6$/));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('commands are one line and items have different first words', () => {
  for (const { command } of REAL_ITEMS) assert.ok(!command.includes('\n'));
  const words = REAL_ITEMS.map(({ name }) => name.split(' ')[0]);
  assert.equal(new Set(words).size, words.length);
});
