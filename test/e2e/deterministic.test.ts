/** `viv run --deterministic`, on a kernel of a few bytes that counts down and switches itself off. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CODE, tinyKernel } from '../support/tiny-kernel.ts';
import { viv } from '../support/viv.ts';

const folder = mkdtempSync(join(tmpdir(), 'viv-deterministic-'));
after(() => rmSync(folder, { recursive: true }));
const kernel = join(folder, 'vmlinux');
const initrd = join(folder, 'initrd');
// mov ecx, 60000000; 1: dec ecx; jnz 1b
writeFileSync(kernel, tinyKernel([0xb9, 0x00, 0x87, 0x93, 0x03, 0x49, 0x75, 0xfd, ...CODE.powerOff]));
writeFileSync(initrd, new Uint8Array(512));

function run(...options: readonly string[]) {
  return viv(['run', ...options, '--kernel', kernel, '--initrd', initrd, '-m', '32m', 'busybox']);
}

test('two runs write the same events, and count each instruction', async () => {
  const logs = ['first', 'second'].map((name) => join(folder, name));
  for (const log of logs) {
    const { code, stderr } = await run('--deterministic', '--event-log', log);
    assert.equal(code, 0, stderr);
  }
  const [first, second] = logs.map((log) => readFileSync(log, 'utf8'));
  assert.equal(first, second);
  assert.match(first ?? '', /^100000000 checkpoint ram [0-9a-f]{16} vcpu [0-9a-f]{16}\n120000004 end\n$/);
});

test('a seed without the mode, and a log that cannot be written, are errors with a remedy', async () => {
  const seed = await run('--seed', '3');
  assert.equal(seed.code, 125);
  assert.match(seed.stderr, /Add --deterministic/);
  const log = await run('--deterministic', '--event-log', join(folder, 'no/such/folder'));
  assert.equal(log.code, 125);
  assert.match(log.stderr, /--event-log/);
});
