/** Debian's other kernels reach userland too; the default one runs in every other test. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viv } from '../support/viv.ts';

const KERNELS: readonly (readonly [string, RegExp])[] = [
  ['debian-12', /^6\.1\.\S+-amd64\n$/],
  ['debian-6.12-cloud', /^6\.12\.\S+-cloud-amd64\n$/],
];

for (const [name, release] of KERNELS) {
  test(`${name} runs a command`, async () => {
    const { code, stdout, stderr } = await viv(['run', '--rm', '--kernel', name, 'busybox', 'uname', '-r']);
    assert.match(stdout, release, stderr);
    assert.doesNotMatch(stdout, name.includes('cloud') ? /^$/ : /cloud/);
    assert.equal(code, 0);
  });
}
