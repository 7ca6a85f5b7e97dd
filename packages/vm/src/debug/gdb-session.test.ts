import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { missing } from '../../../../test/support/needs.ts';
import { listenForGdb } from '../host/node/gdb-listener.ts';
import type { Breakpoint } from '../machine/vcpu.ts';
import { resetVcpu } from '../machine/vcpu-reset.ts';
import type { DebugTarget, StopReason } from './debug-target.ts';
import { GdbSession } from './gdb-session.ts';
import { REGISTERS } from './registers.ts';
import { frame } from './rsp.ts';

const CODE = 0x1000n;

/** A machine of NOPs: 256 bytes at 0x1000, mapped; every instruction is one byte long. */
class NopMachine implements DebugTarget {
  cpu = { ...resetVcpu(0), rip: CODE };
  memory = new Uint8Array(256).fill(0x90);
  detached = 0;
  #stop: ((reason: StopReason) => void) | undefined;

  async interrupt(): Promise<void> {
    this.#stop?.({ kind: 'interrupted' });
  }

  async resume(mode: 'continue' | 'step', breakpoints: readonly Breakpoint[]): Promise<StopReason> {
    if (mode === 'step') {
      this.cpu.rip++;
      return { kind: 'step' };
    }
    const next = breakpoints.map((b) => b.address).find((address) => address > this.cpu.rip);
    if (next === undefined) return new Promise((resolve) => (this.#stop = resolve));
    this.cpu.rip = next;
    return { kind: 'breakpoint' };
  }

  async readRegisters(): Promise<typeof this.cpu> {
    return this.cpu;
  }

  async writeRegisters(record: typeof this.cpu): Promise<void> {
    this.cpu = record;
  }

  async readMemory(address: bigint, length: number): Promise<Uint8Array> {
    const at = Number(address - CODE);
    return at < 0 || at >= 256 ? new Uint8Array(0) : this.memory.slice(at, at + length);
  }

  async writeMemory(address: bigint, bytes: Uint8Array): Promise<boolean> {
    const at = Number(address - CODE);
    if (at < 0 || at + bytes.length > 256) return false;
    this.memory.set(bytes, at);
    return true;
  }

  async detach(): Promise<void> {
    this.detached++;
  }

  async kill(): Promise<void> {}
}

/** A session and a way to send one packet and get the answer's text. */
function connect(machine: NopMachine) {
  const waiting: ((text: string) => void)[] = [];
  const sent: string[] = [];
  const session = new GdbSession(machine, (text) => {
    sent.push(text);
    const body = /\$(.*)#/s.exec(text)?.[1];
    if (body !== undefined) waiting.shift()?.(body);
  });
  const ask = (packet: string): Promise<string> => {
    const answer = new Promise<string>((resolve) => waiting.push(resolve));
    session.feed(Buffer.from(frame(packet), 'latin1'));
    return answer;
  };
  return { session, ask, sent };
}

test('registers: g has every register, P changes one, G changes all back', async () => {
  const machine = new NopMachine();
  const { ask } = connect(machine);
  const before = await ask('g');
  assert.equal(
    before.length,
    REGISTERS.reduce((sum, r) => sum + r.bits / 4, 0),
  );
  assert.equal(await ask('P1=efcdab8967452301'), 'OK');
  assert.equal(machine.cpu.gpr[3], 0x0123456789abcdefn);
  assert.equal(await ask('p1'), 'efcdab8967452301');
  assert.equal(await ask(`G${before}`), 'OK');
  assert.equal(machine.cpu.gpr[3], 0n);
  assert.equal(await ask('P1=00'), 'E16');
  assert.equal(await ask('pffff'), 'E16');
});

test('memory: unmapped is an error, a partial read gives what is there', async () => {
  const { ask } = connect(new NopMachine());
  assert.equal(await ask('M1000,2:abcd'), 'OK');
  assert.equal(await ask('X1002,2:#\x01'), 'OK');
  assert.equal(await ask('m1000,5'), 'abcd230190');
  assert.equal(await ask('m10fe,4'), '9090');
  assert.equal(await ask('m2000,4'), 'E0e');
  assert.equal(await ask('M10ff,2:0000'), 'E0e');
  assert.equal(await ask('M1000,2:00'), 'E16');
  assert.equal(await ask('mzz'), 'E16');
});

test('breakpoints, steps and the interrupt stop with the reason gdb expects', async () => {
  const machine = new NopMachine();
  const { ask, session } = connect(machine);
  assert.equal(await ask('Z0,1010,1'), 'OK');
  assert.equal(await ask('vCont;c'), 'T05thread:1;');
  assert.equal(machine.cpu.rip, 0x1010n);
  assert.equal(await ask('vCont;s:1;c'), 'T05thread:1;');
  assert.equal(machine.cpu.rip, 0x1011n);
  assert.equal(await ask('z0,1010,1'), 'OK');
  const running = ask('c');
  await new Promise((resolve) => setImmediate(resolve));
  session.feed(Uint8Array.of(3));
  assert.equal(await running, 'T02thread:1;');
});

test('a packet with a wrong checksum is asked for again, an unknown one gets the empty answer', async () => {
  const sent: string[] = [];
  const session = new GdbSession(new NopMachine(), (text) => sent.push(text));
  session.feed(Buffer.from('$g#00'));
  assert.deepEqual(sent, ['-']);
  const { ask } = connect(new NopMachine());
  assert.equal(await ask('vMustReplyEmpty'), '');
  assert.equal(await ask('qXfer:features:read:target.xml:0,20'), `m<?xml version="1.0"?><!DOCTYPE t`);
});

test('whatever comes, the session answers on', async () => {
  const { session, sent } = connect(new NopMachine());
  let seed = 1;
  const random = (n: number): number => (seed = (seed * 48271) % 0x7fffffff) % n;
  for (let i = 0; i < 3000; i++) session.feed(Uint8Array.from({ length: random(40) }, () => random(256)));
  // Ends whatever half packet the noise began.
  session.feed(Buffer.from(`#00${frame('qC')}`, 'latin1'));
  await new Promise((resolve) => setImmediate(resolve));
  assert(sent.includes(frame('QC1')));
});

test("Debian's gdb attaches, reads, breaks and steps", {
  skip: missing('gdb'),
}, async () => {
  const machine = new NopMachine();
  const listener = await listenForGdb(machine, 0);
  try {
    const commands = [
      'set confirm off',
      `target remote ${listener.address}`,
      'p/x $rip',
      'set $rbx = 0x1234',
      'p/x $rbx',
      'x/2i $rip',
      'hbreak *0x1020',
      'continue',
      'p/x $rip',
      'stepi',
      'p/x $rip',
      'info threads',
      'p $cr0',
      'detach',
    ];
    const child = spawn('gdb', ['-nx', '-batch', ...commands.flatMap((c) => ['-ex', c])], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    child.stdout.on('data', (bytes) => (text += bytes));
    child.stderr.on('data', (bytes) => (text += bytes));
    await new Promise((resolve) => child.on('close', resolve));
    const values = [...text.matchAll(/^\$\d+ = (.*)$/gm)].map((m) => m[1]);
    assert.deepEqual(values, ['0x1000', '0x1234', '0x1020', '0x1021', '1610612752'], text);
    assert.match(text, /0x1000:\tnop/);
    assert.match(text, /Thread 1 \(CPU 0\)/);
    assert.equal(machine.cpu.gpr[3], 0x1234n);
  } finally {
    await listener.close();
  }
  assert(machine.detached > 0);
});
