import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE, tinyKernel } from '../../../../../test/support/tiny-kernel.ts';
import type { CountedEvent } from '../../machine/deterministic.ts';
import type { TranslateOptions } from '../../machine/vcpu.ts';
import { VM } from './start.ts';

const LIMIT = { timeout: 60_000 };
/** The instructions of CODE.powerOff that retire. */
const POWER_OFF = 3;

interface Outcome {
  readonly retired: number;
  readonly checkpoints: readonly string[];
  readonly counts: readonly number[];
}

async function run(
  code: readonly number[],
  checkpointEvery: number,
  tier: TranslateOptions['tier'] = 'off',
): Promise<Outcome> {
  const events: CountedEvent[] = [];
  const vm = await VM.start({
    kernel: tinyKernel(code),
    memory: '4m',
    noReboot: true,
    translate: { tier, threshold: 2 },
    deterministic: { checkpointEvery, onEvent: (event) => void events.push(event) },
  });
  assert.equal((await vm.exited).reason, 'poweroff');
  const checkpoints = events.flatMap((e) => (e.kind === 'checkpoint' ? [e] : []));
  return {
    retired: Number(vm.retired),
    checkpoints: checkpoints.map(({ ram, vcpu }) => `${ram} ${vcpu}`),
    counts: checkpoints.map(({ count }) => count),
  };
}

test('instructions are counted, and each iteration of REP as one', LIMIT, async () => {
  const bytes = (...parts: (readonly number[])[]): number[] => parts.flat();
  /** mov edi, 0x200000; mov ecx, n */
  const setUp = (n: number): number[] => [0xbf, 0, 0, 0x20, 0, 0xb9, n & 0xff, n >> 8, 0, 0];
  const count = async (...parts: (readonly number[])[]): Promise<number> =>
    (await run(bytes(...parts, CODE.powerOff), 0)).retired - POWER_OFF;
  assert.equal(await count([0x90, 0x90]), 2);
  assert.equal(await count(setUp(5000), [0xf3, 0xaa]), 2 + 5000); // rep stosb
  assert.equal(await count(setUp(0), [0xf3, 0xaa]), 2 + 1);
  assert.equal(await count(setUp(600), [0xf3, 0xa5, 0x90]), 2 + 600 + 1); // rep movsd
  assert.equal(await count(setUp(300), [0xf3, 0xac]), 2 + 300); // rep lodsb
  // repne scasb for AL = 0 finds it at once, for AL = 1 not at all
  assert.equal(await count([0x31, 0xc0], setUp(300), [0xf2, 0xae]), 3 + 1);
  assert.equal(await count([0x31, 0xc0, 0x40], setUp(300), [0xf2, 0xae]), 4 + 300);
});

test('a run stops at any count, and that changes nothing', LIMIT, async () => {
  // mov esp, 0x300000; mov ecx, 20; 1: mov edi, 0x200000; push ecx; mov ecx, 7; rep stosd; pop ecx; add eax, ecx; dec ecx; jnz 1b
  const code = [
    0xbc, 0, 0, 0x30, 0, 0xb9, 20, 0, 0, 0, 0xbf, 0, 0, 0x20, 0, 0x51, 0xb9, 7, 0, 0, 0, 0xf3, 0xab, 0x59,
    0x01, 0xc8, 0x49, 0x75, 0xed,
  ];
  const all = [...code, ...CODE.powerOff];
  const whole = await run(all, 1);
  assert.equal(whole.retired, 2 + 20 * (3 + 7 + 4) + POWER_OFF);
  assert.deepEqual(
    whole.counts,
    Array.from({ length: whole.retired }, (_, i) => i + 1),
  );
  const some = await run(all, 13);
  assert.equal(some.retired, whole.retired);
  assert.deepEqual(
    some.checkpoints,
    some.counts.map((count) => whole.checkpoints[count - 1]),
  );
});

test('a reader that stops reading holds the guest, not whoever pulls the plug', LIMIT, async () => {
  const vm = await VM.start({ kernel: tinyKernel(CODE.flood), memory: '16m', deterministic: true });
  const reader = vm.serial.getReader();
  const { value } = await reader.read();
  assert.equal(value?.[0], 0x78);
  await vm.powerOff();
  assert.equal((await vm.exited).reason, 'stopped');
});

test('settings are checked', async () => {
  const kernel = tinyKernel(CODE.powerOff);
  for (const deterministic of [{ seed: -1 }, { nsPerInstruction: 0.5 }, { checkpointEvery: Number.NaN }])
    await assert.rejects(VM.start({ kernel, deterministic }), { code: 'USAGE' });
});
