/** What a wrong command line gets: one screen with cause, remedy and code, exit code 125, nothing on stdout. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, viv } from '../support/viv.ts';

const SCREEN_LINES = 24;

const WRONG: readonly { readonly args: readonly string[]; readonly code: string; readonly says: RegExp }[] = [
  { args: [], code: 'USAGE', says: /no command/ },
  { args: ['rum'], code: 'USAGE', says: /unknown command 'rum'.*run/ },
  { args: ['run'], code: 'USAGE', says: /missing required argument 'image'/ },
  { args: ['run', '--fast', 'busybox'], code: 'USAGE', says: /unknown option '--fast'/ },
  { args: ['run', '-m', 'lots', 'busybox'], code: 'USAGE', says: /'lots' is no size/ },
  { args: ['run', '--engine', 'tcg', 'busybox'], code: 'USAGE', says: /no engine 'tcg'/ },
  { args: ['run', '--gdb', 'x', 'busybox'], code: 'USAGE', says: /--gdb/ },
  { args: ['run', '--cpus', '2', 'busybox'], code: 'CPUS_UNSUPPORTED', says: /one CPU/ },
  { args: ['run', 'windows', '--', 'dir'], code: 'IMAGE_UNKNOWN', says: /'windows'/ },
  { args: ['debug', 'everything'], code: 'USAGE', says: /'everything'/ },
];

for (const { args, code, says } of WRONG) {
  test(`viv ${args.join(' ')}`, async () => {
    const result = await viv(args);
    assert.equal(result.code, 125, result.stderr);
    assert.equal(result.stdout, '');
    assert.match(result.stderr, says);
    assert.match(result.stderr, /^ {2}what to do: \S/m);
    assert.match(result.stderr, new RegExp(`^  code: ${code}$`, 'm'));
    assert.ok(result.stderr.split('\n').length <= SCREEN_LINES);
    assert.doesNotMatch(result.stderr, /\n\s+at /, 'a stack trace is no explanation');
  });
}

test('viv run --help shows the options and the escape on standard output', async () => {
  const { code, stdout } = await viv(['run', '--help']);
  assert.equal(code, 0);
  assert.match(stdout, /--kernel <file>/);
  assert.match(stdout, /Ctrl-\] then q/);
});

test('viv doctor --json is one object', async () => {
  const { stdout } = await viv(['doctor', '--json']);
  const parsed: unknown = JSON.parse(stdout);
  assert.ok(typeof parsed === 'object' && parsed !== null && 'findings' in parsed);
});

test('viv version needs no installed packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'viv-bare-'));
  try {
    for (const part of ['bin', 'packages/cli/bin', 'packages/cli/package.json', 'package.json']) {
      cpSync(join(root, part), join(folder, part), { recursive: true });
    }
    assert.match(
      execFileSync('node', [join(folder, 'bin/viv.js'), 'version'], { encoding: 'utf8' }),
      /^viv \d+\.\d+\.\d+\n$/,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
