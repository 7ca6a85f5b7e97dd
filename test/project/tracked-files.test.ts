/** What must not be in any tracked file. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { missing } from '../support/needs.ts';

const root = join(import.meta.dirname, '../..');
const MAX_BYTES = 1_000_000;
const skip = missing('git');

/** Spelled in pieces, so that this file does not match itself. */
const FORBIDDEN: readonly { readonly what: string; readonly pattern: RegExp; readonly files?: RegExp }[] = [
  { what: 'an unfinished mark', pattern: new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|XX${'X'})\\b`) },
  { what: 'a test that runs alone', pattern: new RegExp(`\\b(test|it|describe|suite)\\.on${'ly'}\\(`) },
  {
    what: 'where a package was downloaded from',
    pattern: new RegExp(
      `"resolv${'ed'}": "http|^\\s*@?[\\w:-]*regis${'try'}\\s*=|htt${'ps'}?://[^\\s/"']*(regis${'try'}|mirror|proxy|artifactory|nexus)[^\\s/"']*`,
      'i',
    ),
    // A user's documentation may name the idea; code and configuration may not name an address.
    files: /(^|\/)(\.npmrc|package\.json|package-lock\.json|.*\.(ts|js|mjs|json|sh|yml|yaml))$/,
  },
  { what: 'the host name of a mirror', pattern: new RegExp(`[\\w.-]+\\.deb${'ian'}\\.org`) },
  {
    what: 'an absolute path of a developer machine',
    pattern: new RegExp(`(^|[\\s"'\`(=:])/(ho${'me'}|Us${'ers'}|wo${'rk'}|ro${'ot'})/[\\w.]`),
  },
];

/** Host names that documentation and tests may use: reserved for examples, or our own loopback. */
const EXAMPLE_HOST = /https?:\/\/([\w.-]*\.)?(example(\.\w+)?|invalid|test|localhost|127\.0\.0\.1)\b/i;

function trackedFiles(): string[] {
  return execFileSync('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((name) => name !== '');
}

test('tracked files hold no address of a package source, no local path, no unfinished mark', { skip }, () => {
  const found: string[] = [];
  for (const name of trackedFiles()) {
    const content = readFileSync(join(root, name));
    if (content.includes(0)) {
      found.push(`${name}: binary`);
      continue;
    }
    for (const [index, line] of content.toString('utf8').split('\n').entries()) {
      for (const { what, pattern, files } of FORBIDDEN) {
        if (files !== undefined && !files.test(name)) continue;
        if (pattern.test(line) && !EXAMPLE_HOST.test(line))
          found.push(`${name}:${index + 1}: ${what}: ${line.trim().slice(0, 120)}`);
      }
    }
  }
  assert.deepEqual(found, []);
});

test('no tracked file is over 1 MB', { skip }, () => {
  const large = trackedFiles().filter((name) => statSync(join(root, name)).size > MAX_BYTES);
  assert.deepEqual(large, []);
});
