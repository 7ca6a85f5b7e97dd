/** `viv debug`: the tools' command lines, on a kernel of a few bytes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CODE, tinyKernel } from '../support/tiny-kernel.ts';
import { viv } from '../support/viv.ts';

const folder = mkdtempSync(join(tmpdir(), 'viv-debug-'));
after(() => rmSync(folder, { recursive: true }));
const kernel = join(folder, 'vmlinux');
writeFileSync(kernel, tinyKernel([0xb9, 3, 0, 0, 0, 0x40, 0xe2, 0xfd, ...CODE.powerOff]));

test('explain shows the block at an address of a kernel', async () => {
  const { code, stdout } = await viv(['debug', 'explain', kernel, '0x100005', '--mode', '32']);
  assert.equal(code, 0);
  assert.match(stdout, /0x100006 {2}e2 fd +loop 0x100005\n/);
  assert.match(stdout, /\nrow: +INC Zv:rw \| 40 \+r/);
});

test('explain takes plain code with --base', async () => {
  const file = join(folder, 'code');
  writeFileSync(file, Uint8Array.of(0x90, 0x48, 0x89, 0xe5));
  const { stdout } = await viv(['debug', 'explain', file, '0x7001', '--base', '0x7000']);
  assert.match(stdout, /0x7001 {2}48 89 e5 +mov rbp, rsp\n/);
});

test('trace writes to a file and says why it ended early', async () => {
  const file = join(folder, 'trace');
  const { code, stdout, stderr } = await viv([
    'debug',
    'trace',
    '--kernel',
    kernel,
    '--blocks',
    '20',
    '-o',
    file,
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, /the guest ended the trace/);
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  assert.match(lines[0] ?? '', /^00100000 b903000000 +mov ecx, 0x3/);
  assert.ok(lines.length >= 4 && lines.length <= 6);
});

test('a profile and counters of a run leave its output alone', async () => {
  const file = join(folder, 'stacks');
  const run = ['run', '--rm', '--translate', 'auto', '--stats', '--profile', file, 'busybox', '--'];
  const { code, stdout, stderr } = await viv([...run, 'sh', '-c', 'seq 1 5000 | md5sum']);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'a5a208cd26b07cadade3450fe14d1d93  -\n');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  assert.ok(lines.every((line) => /^[^;]+(;\S+)+ [1-9]\d*$/.test(line)));
  assert.ok(lines.some((line) => /^swapper.*_\[k\] \d+$/.test(line)));
  assert.match(stderr, /^\d+ samples, one per 200000 instructions/m);
  assert.match(stderr, /^regions +[1-9]\d* in /m);
  assert.match(stderr, /^ +\d+ +\d+\.\d % {2}[A-Z]/m);
});

test('regions and explain show what a guest had translated', async () => {
  const { code, stdout, stderr } = await viv(['debug', 'regions', '--count', '20', '--', 'echo', 'hello']);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /hello/);
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines.length, 21);
  const [, address = ''] = /^region \d+ at (0xf{8}\w{8}): \d+ blocks/m.exec(stdout) ?? [];
  const explained = await viv(['debug', 'explain', address, '--', 'true']);
  assert.equal(explained.code, 0, explained.stderr);
  assert.match(explained.stdout, /^regions that contain it: [1-9]/m);
  assert.match(explained.stdout, new RegExp(`^  ${address} `, 'm'));
});

for (const [args, says] of [
  [['explain', kernel], /a file and an address/],
  [['explain', kernel, 'main'], /'main' is no address/],
  [['explain', kernel, '0x100000', '--mode', '128'], /no 128-bit code/],
  [['explain', kernel, '0x900000000'], /no code at 0x900000000/],
  [['explain', '0x1000'], /the guest needs a command/],
  [['regions', '--count', '5'], /the guest needs a command/],
  [['regions', '--translate', 'never', '--', 'true'], /no way to translate called 'never'/],
  [['bisect'], /a command for the guest/],
  [['bisect', '--translate', 'never', '--', 'true'], /no way to translate called 'never'/],
  [['trace', '--blocks', '0'], /'0' is no count/],
  [['trace', '--blocks', '1', '--instructions', '1'], /instructions or blocks/],
] as const) {
  test(`viv debug ${args.join(' ').replace(kernel, 'FILE')}`, async () => {
    const { code, stdout, stderr } = await viv(['debug', ...args]);
    assert.equal(code, 125);
    assert.equal(stdout, '');
    assert.match(stderr, says);
    assert.match(stderr, /code: USAGE/);
  });
}
