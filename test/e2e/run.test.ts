/** `viv run` and `npm start` against real guests: Debian's kernel on the soft engine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { missing } from '../support/needs.ts';
import { root, viv } from '../support/viv.ts';

test("a command's output and exit code are the guest's", async () => {
  const script = 'uname -r; grep -c ^processor /proc/cpuinfo; echo to-stderr >&2; exit 7';
  const { code, stdout, stderr } = await viv(['run', '--rm', 'busybox', '--', 'sh', '-c', script]);
  assert.equal(code, 7, stderr);
  assert.match(stdout, /^6\.1\.\S+-cloud-amd64\n1\n$/);
  assert.match(stderr, /^to-stderr$/m);
});

test('standard input goes through the guest unchanged, and its end too', async () => {
  const input = Buffer.alloc(300_000, 'every byte of this must arrive\n\x1dq');
  const { code, stdout, stderr } = await viv(['run', '-i', 'busybox', 'md5sum'], { input });
  const { createHash } = await import('node:crypto');
  assert.equal(stdout, `${createHash('md5').update(input).digest('hex')}  -\n`, stderr);
  assert.equal(code, 0);
});

test('a command that does not exist ends with 127', async () => {
  const { code, stdout, stderr } = await viv(['run', 'busybox', 'no-such-command']);
  assert.equal(code, 127, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, /no-such-command/);
});

test('npm start without a terminal says what ran and why, and ends with 0', async () => {
  const child = spawn('npm', ['start'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  await once(child, 'close');
  assert.equal(child.exitCode, 0, stderr);
  assert.match(stdout, /^kernel: Linux 6\.1\.\S+-cloud-amd64 /m);
  assert.match(stdout, /^engine: soft \(.+\)$/m);
});

test('a terminal: prompt, window size, poweroff ends with 0', { skip: missing('script') }, async () => {
  const command = `stty rows 33 cols 101; node ${join(root, 'bin/viv.js')} run -it busybox`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let screen = '';
  let step = 0;
  // Each line is typed when the prompt is there for it.
  const lines = ['stty size', 'tty', 'poweroff'];
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    screen += chunk;
    const prompts = screen.split(/[#$] (?=$|\x1b|[a-z])/).length - 1;
    if (prompts > step && step < lines.length) child.stdin.write(`${lines[step++]}\r`);
  });
  await once(child, 'close');
  assert.equal(child.exitCode, 0, screen);
  assert.match(screen, /33 101/);
  assert.match(screen, /\/dev\/hvc0/);
});
