import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { missing } from '../../../../test/support/needs.ts';
import { type CpioEntry, writeCpio } from './cpio.ts';

describe('writeCpio', { skip: missing('cpio') }, () => {
  const entries: readonly CpioEntry[] = [
    { kind: 'folder', path: 'bin', mode: 0o755 },
    { kind: 'file', path: 'bin/tool', mode: 0o755, data: Buffer.from('tool') },
    { kind: 'file', path: 'empty', mode: 0o600, data: new Uint8Array(0) },
    { kind: 'file', path: 'ünaligned', mode: 0o644, data: new Uint8Array(1001).fill(65) },
    { kind: 'link', path: 'sbin', target: 'bin' },
    { kind: 'character-device', path: 'console', mode: 0o600, major: 5, minor: 1 },
  ];

  it('writes what cpio reads: names, modes, links, devices', () => {
    const listing = execFileSync('cpio', ['-itvn'], { input: writeCpio(entries), stdio: 'pipe' }).toString();
    const lines = listing.trimEnd().split('\n');
    const patterns = [
      /^drwxr-xr-x +2 0 +0 .* bin$/,
      /^-rwxr-xr-x +1 0 +0 +4 .* bin\/tool$/,
      /^-rw------- +1 0 +0 +0 .* empty$/,
      /^-rw-r--r-- +1 0 +0 +1001 /,
      /^lrwxrwxrwx .* sbin -> bin$/,
      /^crw------- .* 5, +1 .* console$/,
    ];
    assert.equal(lines.length, patterns.length);
    patterns.forEach((pattern, index) => assert.match(lines[index] as string, pattern));
  });

  it('writes content that cpio unpacks unchanged', () => {
    const folder = mkdtempSync(join(tmpdir(), 'viv-cpio-'));
    try {
      const input = writeCpio(entries.filter((entry) => entry.kind !== 'character-device'));
      assert.equal(spawnSync('cpio', ['-id', '--quiet'], { cwd: folder, input }).status, 0);
      assert.equal(readFileSync(join(folder, 'sbin/tool'), 'utf8'), 'tool');
      assert.equal(readFileSync(join(folder, 'ünaligned'), 'utf8'), 'A'.repeat(1001));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('gives equal bytes for equal entries, and a length that keeps a second archive aligned', () => {
    assert.deepEqual(writeCpio(entries), writeCpio(entries));
    assert.equal(writeCpio(entries).length % 4, 0);
  });
});
