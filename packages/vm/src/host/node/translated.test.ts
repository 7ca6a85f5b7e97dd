/** Tools for translated code, on a kernel of a few bytes that runs in 64-bit mode. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elfKernel } from '../../../../../test/support/elf.ts';
import { CODE } from '../../../../../test/support/tiny-kernel.ts';
import type { TranslateOptions } from '../../machine/vcpu.ts';
import type { Verdict } from '../../vm/bisect.ts';
import { bisectMachine } from './bisect.ts';
import { explainFile, regionText } from './debug-tools.ts';
import { VM } from './start.ts';

const ENTRY = 0x1000000;
/** mov rax, cr4; or eax, 0x200 (OSFXSR: only with SSE permitted code is translated); mov cr4, rax */
const PREPARE = [0x0f, 0x20, 0xe0, 0x0d, 0, 2, 0, 0, 0x0f, 0x22, 0xe0];
/** xor ebx, ebx; mov ecx, 1000; 1: add ebx, ecx; dec ecx; jnz 1b; mov ecx, 1000 */
const ADD = [0x31, 0xdb, 0xb9, 0xe8, 3, 0, 0, 0x01, 0xcb, 0xff, 0xc9, 0x75, 0xfa, 0xb9, 0xe8, 3, 0, 0];
/** 1: imul eax, ecx, 4; add ebx, eax; dec ecx; jnz 1b */
const MULTIPLY = [0x6b, 0xc1, 4, 0x01, 0xc3, 0xff, 0xc9, 0x75, 0xf7];
/** mov edx, 0x3f8; mov ecx, 8; 1: al = 'a' + low digit of ebx; out dx, al; shr ebx, 4; dec ecx; jnz 1b */
const PRINT = [
  ...[0xba, 0xf8, 3, 0, 0, 0xb9, 8, 0, 0, 0],
  ...[0x89, 0xd8, 0x83, 0xe0, 15, 0x83, 0xc0, 0x61, 0xee, 0xc1, 0xeb, 4, 0xff, 0xc9, 0x75, 0xf0],
];
const START = ENTRY + PREPARE.length;
const KERNEL = elfKernel(Uint8Array.from([...PREPARE, ...ADD, ...MULTIPLY, ...PRINT, ...CODE.powerOff]));
const TRANSLATE: TranslateOptions = { tier: 'sync', threshold: 20 };

function found(translate: TranslateOptions): Promise<Verdict> {
  const vm = { kernel: KERNEL, memory: '32m' };
  return bisectMachine({ vm, translate, timeoutMs: 60_000, progress: () => {} });
}

test('bisect finds the region that was translated wrongly', { timeout: 120_000 }, async () => {
  const verdict = await found({ ...TRANSLATE, wrongRow: 'IMUL Gv:w,Ev,Ibs' });
  assert.equal(verdict.kind, 'found');
  if (verdict.kind !== 'found') return;
  assert.equal(verdict.region?.rip, BigInt(START + ADD.length));
  assert.deepEqual([...(verdict.region?.code[0]?.bytes ?? [])].slice(0, MULTIPLY.length), MULTIPLY);
  assert.equal(verdict.region?.blocks, 1);
  assert.notEqual(verdict.expected, verdict.result);
});

test('bisect finds nothing where nothing is wrong', { timeout: 120_000 }, async () => {
  const verdict = await found(TRANSLATE);
  assert.equal(verdict.kind, 'same');
  assert.ok(verdict.kind === 'same' && verdict.regions >= 2);
});

test('explain of a file shows the region that the translator would make', async () => {
  const lines = await explainFile(KERNEL, { address: BigInt(START + ADD.length) });
  const first = lines.findIndex((line) => /^region at 0x100001d: /.test(line));
  assert.ok(first > 0, lines.join('\n'));
  assert.match(lines[first + 3] ?? '', /^ {2}0x100001d {2}6b c1 04 +imul eax, ecx, 0x4 {2}← entry$/);
  assert.ok(lines.slice(first).some((line) => /^ +loop @\d+$/.test(line)));
  const none = await explainFile(Uint8Array.of(0xf4), { address: 0x7000n, base: 0x7000n });
  assert.match(none.at(-1) ?? '', /^no region begins here/);
});

test('regions of a machine, by address, with guest code, WebAssembly and counters', async () => {
  // 1: the loops over and over
  const code = [...ADD, ...MULTIPLY];
  const kernel = elfKernel(Uint8Array.from([...PREPARE, ...code, 0xeb, 256 - code.length - 2]));
  const vm = await VM.start({
    kernel,
    memory: '32m',
    translate: { ...TRANSLATE, keep: true },
    noReboot: true,
  });
  try {
    const at = BigInt(START + ADD.length + 3);
    let regions = await vm.regions(at);
    while (!regions.some(({ entered }) => entered > 0)) {
      await vm.resume();
      await vm.pause();
      regions = await vm.regions(at);
    }
    assert.ok((await vm.regions()).length >= regions.length);
    assert.deepEqual(await vm.regions(BigInt(ENTRY - 16)), []);
    const region = regions.find(({ entered }) => entered > 0);
    assert.ok(region !== undefined);
    assert.match(region.compiler ?? '', /^(Liftoff|TurboFan)$/);
    const text = await regionText(region);
    assert.ok(text.some((line) => /6b c1 04 +imul eax, ecx, 0x4 {2}← entry$/.test(line)));
    assert.ok(
      text.some((line) => /^ +l\d+ = i64\.load\(RCX\)$/.test(line)),
      text.join('\n'),
    );
    assert.ok(text.some((line) => /^ +loop @\d+$/.test(line)));
    assert.ok(text.some((line) => /i64\.store\(RBX, l\d+\)/.test(line)));
  } finally {
    await vm.powerOff();
  }
});

test('exits are counted by their reason, and only on request', async () => {
  const exitsOf = async (translate: TranslateOptions): Promise<ReadonlyMap<string, number>> => {
    const vm = await VM.start({ kernel: KERNEL, memory: '32m', translate, noReboot: true });
    await vm.exited;
    return new Map(vm.translation?.exits.map(({ reason, count }) => [reason, count]));
  };
  const counted = await exitsOf({ ...TRANSLATE, threshold: 3, countExits: true });
  // the loop that prints leaves before each OUT; the others go on behind themselves once
  const out = (counted.get('untranslated') ?? 0) + (counted.get('unfinished') ?? 0);
  assert.ok(out >= 3, JSON.stringify([...counted]));
  assert.ok((counted.get('direct') ?? 0) >= 2, JSON.stringify([...counted]));
  assert.equal(counted.get('return'), 0);
  assert.equal((await exitsOf(TRANSLATE)).size, 0);
});
