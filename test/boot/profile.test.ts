/** A profile of Debian's kernel and of a program in it, by names. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VM } from '../../packages/vm/src/node.ts';
import { missing } from '../support/needs.ts';

const folder = mkdtempSync(join(tmpdir(), 'viv-profile-'));
after(() => rmSync(folder, { recursive: true }));

const SOURCE = `
__attribute__((noinline)) unsigned inner(unsigned n) {
  volatile unsigned sum = 0;
  for (unsigned i = 0; i < n; i++) sum += i;
  return sum;
}
__attribute__((noinline)) unsigned outer(unsigned n) { return inner(n) + 1; }
int main(void) { return outer(4000000) == 0; }
`;

test('processes, functions of kernel and program, callers along frame pointers', {
  timeout: 120_000,
  skip: process.arch === 'x64' ? missing('gcc', 'gencat') : 'needs an x86-64 host',
}, async () => {
  const source = join(folder, 'busy.c');
  const program = join(folder, 'busy');
  writeFileSync(source, SOURCE);
  execFileSync('gcc', [
    '-O1',
    '-fno-omit-frame-pointer',
    '-fno-optimize-sibling-calls',
    '-static',
    '-o',
    program,
    source,
  ]);
  const vm = await VM.start({
    image: 'busybox',
    memory: '256m',
    profile: { interval: 50_000, symbols: [program] },
    command: { argv: ['sh', '-c', 'cat >/tmp/busy; chmod +x /tmp/busy; /tmp/busy'] },
  });
  try {
    const input = vm.command?.stdin.getWriter();
    await input?.write(readFileSync(program));
    await input?.close();
    assert.equal(await vm.command?.exitCode, 0);
    await vm.stop();
    const report = vm.profileReport();
    const stacks = new Map(
      report?.stacks.map((line) => [
        line.slice(0, line.lastIndexOf(' ')),
        Number(line.slice(line.lastIndexOf(' ') + 1)),
      ]),
    );
    const samples = (wanted: RegExp): number =>
      [...stacks].reduce((sum, [stack, count]) => sum + (wanted.test(stack) ? count : 0), 0);
    // 5 instructions each time around
    const whole = samples(/^busy;.*busy`main;busy`outer;busy`inner$/);
    assert.ok(whole > 300 && whole < 600, `${whole} samples with both callers`);
    assert.ok(samples(/^busy;.*busy`inner$/) < whole * 1.05, 'hardly a sample without callers');
    assert.ok(samples(/^sh;/) > 0 && samples(/^swapper.*;/) > 0, 'processes have names');
    assert.ok(
      samples(/;[a-z_0-9.]+_\[k\]$/) > samples(/\[kernel\]_\[k\]$/) * 50,
      "the kernel's functions have names",
    );
    assert.ok(report?.table.some((line) => /busy`inner$/.test(line)) === true);
  } finally {
    await vm.powerOff();
  }
});
