import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE, tinyKernel } from '../../../../../test/support/tiny-kernel.ts';
import type { Profile } from '../../vm/profile/profile.ts';
import { VM } from './start.ts';

/** mov esp, 0x200000; mov ecx, 20000; 1: call long; call short; dec ecx; jnz 1b; power off */
const MAIN = [
  0xbc, 0, 0, 0x20, 0, 0xb9, 0x20, 0x4e, 0, 0, 0xe8, 18, 0, 0, 0, 0xe8, 22, 0, 0, 0, 0x49, 0x75, 0xf3,
];
/** mov eax, 300 (100); 1: dec eax; jnz 1b; ret */
const LONG = [0xb8, 0x2c, 1, 0, 0, 0x48, 0x75, 0xfd, 0xc3];
const SHORT = [0xb8, 0x64, 0, 0, 0, 0x48, 0x75, 0xfd, 0xc3];
const KERNEL = tinyKernel([...MAIN, ...CODE.powerOff, ...LONG, ...SHORT]);
const LONG_AT = 0x100000n + BigInt(MAIN.length + CODE.powerOff.length);

async function profiled(): Promise<{ profile: Profile; table: readonly string[] }> {
  const vm = await VM.start({ kernel: KERNEL, memory: '32m', noReboot: true, profile: { interval: 2000 } });
  assert.equal((await vm.exited).reason, 'poweroff');
  const { profile } = vm;
  assert.ok(profile !== undefined);
  return { profile, table: vm.profileReport()?.table ?? [] };
}

test('samples are spread as the instructions are', async () => {
  const { profile, table } = await profiled();
  const within = (from: bigint, bytes: number): number =>
    profile.samples
      .filter(({ frames: [at = 0n] }) => at >= from && at < from + BigInt(bytes))
      .reduce((sum, { count }) => sum + count, 0);
  const long = within(LONG_AT, LONG.length) / profile.taken;
  const short = within(LONG_AT + BigInt(LONG.length), SHORT.length) / profile.taken;
  // 601 and 201 of 807 instructions
  assert.ok(Math.abs(long - 602 / 808) < 0.02, `${long}`);
  assert.ok(Math.abs(short - 202 / 808) < 0.02, `${short}`);
  assert.ok(Math.abs(profile.taken - profile.instructions / 2000) < profile.taken / 20);
  assert.deepEqual([profile.lost, profile.late], [0, 0]);
  assert.ok(table.some((line) => line.includes(`0x${(LONG_AT + 5n).toString(16)}`)));
});

test('a profile is the same in every run', async () => {
  const places = ({ profile }: { profile: Profile }): unknown =>
    profile.samples.map(({ frames, count }) => [frames, count]);
  assert.deepEqual(places(await profiled()), places(await profiled()));
});

test('a deterministic machine is not profiled', async () => {
  const both = VM.start({ kernel: KERNEL, memory: '32m', profile: {}, deterministic: true });
  await assert.rejects(both, { code: 'USAGE' });
});

test('a machine that is not profiled has no profile', async () => {
  const vm = await VM.start({ kernel: KERNEL, memory: '32m', paused: true });
  assert.equal(vm.profileReport(), undefined);
  await vm.powerOff();
});
