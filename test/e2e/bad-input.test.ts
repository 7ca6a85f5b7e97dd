/** Files and sizes that cannot work: each has its code, a remedy, and exit code 125. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { viv } from '../support/viv.ts';

const folder = mkdtempSync(join(tmpdir(), 'viv-bad-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const ELF = Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
const initrd = file('initrd', '');
const text = file('text', 'this is no kernel\n'.repeat(1000));

const BAD: readonly { readonly args: readonly string[]; readonly code: string }[] = [
  { args: ['--kernel', join(folder, 'absent'), '--initrd', initrd], code: 'FILE_NOT_FOUND' },
  { args: ['--kernel', text, '--initrd', join(folder, 'absent')], code: 'FILE_NOT_FOUND' },
  { args: ['--kernel', text, '--initrd', initrd], code: 'KERNEL_NOT_A_KERNEL' },
  { args: ['--kernel', file('empty', ''), '--initrd', initrd], code: 'KERNEL_NOT_A_KERNEL' },
  { args: ['--kernel', file('half-an-elf', ELF), '--initrd', initrd], code: 'KERNEL_CORRUPT' },
  {
    args: ['--disk', join(folder, 'absent'), '--kernel', text, '--initrd', initrd],
    code: 'DISK_OPEN_FAILED',
  },
  { args: ['-m', '8g', '--kernel', text, '--initrd', initrd], code: 'MEMORY_TOO_LARGE' },
  { args: ['--engine', 'kvm', '--kernel', text, '--initrd', initrd], code: 'ENGINE_UNAVAILABLE' },
];

for (const { args, code } of BAD) {
  test(`viv run ${args.map((arg) => arg.replace(folder, '')).join(' ')}: ${code}`, async () => {
    const result = await viv(['run', ...args, 'busybox']);
    assert.equal(result.code, 125, result.stderr);
    assert.equal(result.stdout, '');
    assert.match(result.stderr, new RegExp(`^  code: ${code}$`, 'm'));
    assert.match(result.stderr, /^ {2}what to do: \S/m);
  });
}

test('no mirror: the exact line to type, and nothing is asked without a terminal', async () => {
  const env = { VIV_HOME: join(folder, 'home'), VIV_DEBIAN_MIRROR: 'http://127.0.0.1:9/debian' };
  const { code, stderr } = await viv(['run', 'busybox'], { env });
  assert.equal(code, 125);
  assert.match(stderr, /^ {2}code: DOWNLOAD_FAILED$/m);
  assert.match(stderr, /--mirror/);
});
