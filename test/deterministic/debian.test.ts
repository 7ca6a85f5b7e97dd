/** Debian to a command that uses a disk, several times and in several tiers: one run. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type CountedEvent, eventLine, type TranslateOptions, VM } from '../../packages/vm/src/node.ts';

const LIMIT = { timeout: 400_000 };
const DISK_BYTES = 2 << 20;
/** Requests to the disk overlap. */
const COMMAND = `
  head -c 8 /dev/urandom | hexdump -C
  date +%s
  for i in 0 1 2 3; do dd if=/dev/zero of=/dev/vda bs=64k count=3 seek=$((i * 5)) conv=notrunc & done 2>/dev/null
  for i in 0 1 2 3; do dd if=/dev/vda of=/dev/null bs=16k skip=$((i * 30)) count=30 & done 2>/dev/null
  wait; sync
  md5sum </dev/vda
  cat /proc/uptime
  seq 500 | sort -r | md5sum`;
const folder = mkdtempSync(join(tmpdir(), 'viv-deterministic-'));
let disks = 0;

after(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly output: string;
  readonly retired: bigint;
  readonly events: readonly CountedEvent[];
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let all = '';
  for await (const bytes of stream) all += decoder.decode(bytes, { stream: true });
  return all;
}

/** Boots, runs the command, shuts down. What the host does, it does as an answer to the guest. */
async function boot(translate: TranslateOptions): Promise<Outcome> {
  const events: CountedEvent[] = [];
  const disk = join(folder, `disk${disks++}`);
  writeFileSync(disk, new Uint8Array(DISK_BYTES).fill(0x5a));
  const vm = await VM.start({
    disks: [disk],
    image: 'busybox',
    memory: '128m',
    noReboot: true,
    translate,
    deterministic: { checkpointEvery: 50_000_000, onEvent: (event) => void events.push(event) },
    command: { argv: ['sh', '-c', COMMAND] },
  });
  const { command } = vm;
  assert.ok(command !== undefined);
  const [exitCode, output] = await Promise.all([
    command.exitCode,
    text(command.stdout),
    command.stdin.close(),
  ]);
  await vm.stop();
  assert.equal(exitCode, 0);
  assert.equal((await vm.exited).reason, 'poweroff');
  return { output, retired: vm.retired, events };
}

test('booted again, and booted while code is translated, it is the same run', LIMIT, async () => {
  const [first, again] = await Promise.all([boot({ tier: 'off' }), boot({ tier: 'off' })]);
  assert.match(first.output, /^00000000 ( [0-9a-f]{2}){8}/);
  assert.match(first.output, /^17672256\d\d$/m);
  assert.ok(first.events.filter((event) => event.kind === 'interrupt').length > 20);
  assert.ok(first.events.filter((event) => event.kind === 'checkpoint').length > 4);
  assert.ok(!first.events.some((event) => event.kind === 'input'), 'nothing came by itself');
  const lines = ({ events }: Outcome): string[] => events.map(eventLine);
  for (const other of [again, ...(await Promise.all([boot({ tier: 'auto' }), boot({ tier: 'sync' })]))]) {
    assert.equal(other.output, first.output);
    assert.deepEqual(lines(other), lines(first));
    assert.equal(other.retired, first.retired);
  }
});
