/** Debian's kernel and busybox, booted once and put through what a machine can do. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { prepareBusybox, VM } from '../../packages/vm/src/node.ts';
import { missing } from '../support/needs.ts';

const LIMIT = { timeout: 120_000 };
const folder = mkdtempSync(join(tmpdir(), 'viv-boot-'));
const disk = join(folder, 'disk.img');
const readOnlyDisk = join(folder, 'read-only.img');
let vm: VM;
let release: string;

before(async () => {
  release = (await prepareBusybox()).release;
  writeFileSync(disk, new Uint8Array(4 << 20).fill(0x5a));
  writeFileSync(readOnlyDisk, new Uint8Array(1 << 20).fill(0xa5));
  vm = await VM.start({ image: 'busybox', gdb: 0, disks: [disk, { path: readOnlyDisk, readOnly: true }] });
}, LIMIT);

after(async () => {
  await vm.powerOff();
  rmSync(folder, { recursive: true });
});

async function gdb(...commands: readonly string[]): Promise<string> {
  const all = ['set pagination off', `target remote ${vm.gdbAddress}`, ...commands];
  const child = spawn('gdb', ['-nx', '-batch', ...all.flatMap((c) => ['-ex', c])], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (text += String(bytes)));
  await new Promise((resolve) => child.on('close', resolve));
  return text;
}

test('gdb stops the kernel at its first instruction, breaks and steps', {
  ...LIMIT,
  skip: missing('gdb'),
}, async () => {
  const text = await gdb(
    'p/x $rip',
    'hbreak *0x1000000',
    'continue',
    'p/x $cr0',
    'stepi',
    'p $rip == 0x1000000',
    'delete',
    'detach',
  );
  const values = [...text.matchAll(/^\$\d+ = (.*)$/gm)].map((m) => m[1]);
  // PVH entry in 32-bit mode; then startup_64 with paging on.
  assert.deepEqual(values, ['0x1000850', '0x80000011', '0'], text);
});

test('init takes commands', LIMIT, async () => {
  if (missing('gdb') !== false) await vm.resume();
  assert.equal(await vm.ready, release);
  assert.deepEqual(await vm.exec(['sh', '-c', 'echo out; echo err >&2; exit 7']), {
    exitCode: 7,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  assert.equal((await vm.exec(['/nonexistent'])).exitCode, 127);
  assert.equal((await vm.exec(['sh', '-c', 'kill -TERM $$'])).exitCode, 143);
});

test('disks are read and written, the read-only one is only read', LIMIT, async () => {
  const script = [
    'cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdb/ro',
    'dd if=/dev/vda bs=512 skip=8191 2>/dev/null | sha256sum',
    'printf "written by the guest" | dd of=/dev/vda bs=512 seek=2 conv=notrunc,fsync 2>/dev/null',
    'dd if=/dev/zero of=/dev/vdb bs=512 count=1 conv=fsync 2>/dev/null || echo refused',
  ].join('\n');
  const { stdout } = await vm.exec(['sh', '-c', script]);
  const sector = createHash('sha256').update(new Uint8Array(512).fill(0x5a)).digest('hex');
  assert.equal(stdout, `8192\n2048\n1\n${sector}  -\nrefused\n`);
  const written = readFileSync(disk);
  assert.equal(written.subarray(1024, 1044).toString(), 'written by the guest');
  assert.ok(written.subarray(2048).every((byte) => byte === 0x5a));
  assert.ok(readFileSync(readOnlyDisk).every((byte) => byte === 0xa5));
});

test('much data goes through unharmed, both ways', LIMIT, async () => {
  const process = vm.spawn({ argv: ['sh', '-c', 'tee /dev/stderr | sha256sum'], tty: false });
  const bytes = new Uint8Array(1 << 20).map((_, i) => (i * 2654435761) >>> 24);
  const writer = process.stdin.getWriter();
  const sum = async (stream: ReadableStream<Uint8Array>): Promise<Buffer> => {
    const parts: Uint8Array[] = [];
    for await (const part of stream) parts.push(part);
    return Buffer.concat(parts);
  };
  const [exitCode, digest, echo] = await Promise.all([
    process.exitCode,
    sum(process.stdout),
    sum(process.stderr),
    writer.write(bytes).then(() => writer.close()),
  ]);
  const expected = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
  assert.deepEqual([exitCode, digest.toString()], [0, `${expected}  -\n`]);
  assert.ok(echo.equals(bytes));
});

test('a running kernel can be stopped by gdb and runs on', { ...LIMIT, skip: missing('gdb') }, async () => {
  const text = await gdb('p $rip < 0', 'x/1gx $rsp', 'detach');
  assert.match(text, /^0x[0-9a-f]+:\t0x[0-9a-f]{16}$/m);
  assert.equal((await vm.exec(['true'])).exitCode, 0);
});

test('a pause stops the guest and its clock', LIMIT, async () => {
  const uptime = async (): Promise<number> =>
    Number.parseFloat((await vm.exec(['cat', '/proc/uptime'])).stdout);
  const before = await uptime();
  await vm.pause();
  const retired = vm.retired;
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await vm.resume();
  const between = (await uptime()) - before;
  assert.ok(between < 3, `${between} s of guest time`);
  assert.ok(vm.retired >= retired);
});

test('a reset boots again, and the power button switches off', LIMIT, async () => {
  await vm.reset();
  assert.equal(await vm.ready, release);
  assert.equal((await vm.exec(['uname', '-r'])).stdout, `${release}\n`);
  await vm.powerButton();
  assert.equal((await vm.exited).reason, 'poweroff');
});
