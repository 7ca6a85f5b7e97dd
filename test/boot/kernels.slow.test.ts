/** Debian's other kernels reach userland as the default one does, and see the same machine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KernelName } from '../../packages/vm/src/image/kernels.ts';
import { VM } from '../../packages/vm/src/node.ts';
import { testImage } from '../support/image.ts';

const KERNELS: readonly (readonly [KernelName, RegExp])[] = [
  ['debian-12-cloud', /^6\.1\.\d\S*-cloud-amd64$/],
  ['debian-12', /^6\.1\.\d\S*(?<!cloud)-amd64$/],
  ['debian-6.12', /^6\.12\.\d\S*(?<!cloud)-amd64$/],
];

/** What a kernel prints when something is wrong with its machine. */
const TROUBLE =
  /^.*(?:BUG:|WARNING:|Oops|Call Trace|unstable|Kernel panic|soft lockup|rcu_\w+ detected).*$/gm;

const script =
  'uname -r; grep -c ^processor /proc/cpuinfo; cat /sys/devices/system/clocksource/*/current_*; exit 7';

for (const [kernel, release] of KERNELS) {
  test(kernel, { timeout: 180_000 }, async (t) => {
    const image = await testImage(kernel);
    assert.match(image.release, release);
    const began = performance.now();
    const vm = await VM.start({ kernel: image.kernel, initrd: image.initrd, quiet: false, noReboot: true });
    const messages = readAll(vm.serial);
    try {
      assert.equal(await vm.ready, image.release);
      t.diagnostic(`${image.release} ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
      const { exitCode, stdout, stderr } = await vm.exec(['sh', '-c', script]);
      assert.deepEqual(
        { exitCode, stdout, stderr },
        {
          exitCode: 7,
          stdout: `${image.release}\n1\ntsc\n`,
          stderr: '',
        },
      );
      await vm.powerButton();
      assert.equal((await vm.exited).reason, 'poweroff');
    } finally {
      await vm.powerOff();
    }
    const text = await messages;
    assert.match(text, /Run \/init as init process/);
    assert.deepEqual(text.match(TROUBLE), null);
  });
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of stream) text += decoder.decode(bytes, { stream: true });
  return text;
}
