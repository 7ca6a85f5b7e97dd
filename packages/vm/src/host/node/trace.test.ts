import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE, tinyKernel } from '../../../../../test/support/tiny-kernel.ts';
import { TraceFormatter } from '../../vm/trace-format.ts';
import { VM } from './start.ts';

/** mov ecx, 3; inc eax; loop back; then power off */
const KERNEL = tinyKernel([0xb9, 3, 0, 0, 0, 0x40, 0xe2, 0xfd, ...CODE.powerOff]);

async function traced(granularity: 'instruction' | 'block', count: number): Promise<string[]> {
  const vm = await VM.start({ kernel: KERNEL, memory: '32m', paused: true, noReboot: true });
  try {
    const formatter = new TraceFormatter();
    const { entries } = await vm.trace({ count, granularity });
    assert.equal(vm.state, 'paused');
    return entries.map((entry) => formatter.line(entry));
  } finally {
    await vm.powerOff();
  }
}
const addresses = (lines: readonly string[]): string[] => lines.map((line) => line.slice(4, 8));

test('a trace has every instruction, and what it changed', async () => {
  const lines = await traced('instruction', 9);
  assert.deepEqual(addresses(lines), [
    '0000',
    '0005',
    '0006',
    '0005',
    '0006',
    '0005',
    '0006',
    '0008',
    '000c',
  ]);
  assert.match(lines[2] ?? '', /^00100006 e2fd +loop 0x100005 +rax=1$/);
  assert.match(lines[3] ?? '', /inc eax +rcx=2$/);
});

test('a trace by blocks has their starts', async () => {
  assert.deepEqual(addresses(await traced('block', 3)), ['0000', '0005', '0005']);
});

test('a machine runs on after a trace, and a trace goes on where the last one ended', async () => {
  const vm = await VM.start({ kernel: KERNEL, memory: '32m', paused: true, noReboot: true });
  const first = await vm.trace({ count: 2, granularity: 'instruction' });
  const second = await vm.trace({ count: 1, granularity: 'instruction' });
  assert.deepEqual(
    [...first.entries, ...second.entries].map((entry) => entry.rip),
    [0x100000n, 0x100005n, 0x100006n],
  );
  await vm.resume();
  assert.equal((await vm.exited).reason, 'poweroff');
});
