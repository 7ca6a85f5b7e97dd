import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { longModeRecord, testMachine, type TestMachine } from './machine.fixture.ts';

const BASE = 0xfee0_0000;
const enabled = { ...longModeRecord(0), rflags: 0x202n };

function machine(): TestMachine {
  const m = testMachine(enabled);
  m.system.mmioWrite(BASE + 0xf0, 4, 0x1ff);
  return m;
}
function read(m: TestMachine, offset: number): number {
  return m.system.mmioRead(BASE + offset, 4);
}
function write(m: TestMachine, offset: number, value: number): void {
  assert.ok(m.system.mmioWrite(BASE + offset, 4, value));
}
/** Is the vCPU at the handler of `vector`? */
function at(m: TestMachine, vector: number): boolean {
  return m.cpu.rip === BigInt(0x10000 + vector * 16);
}
function wrmsr(m: TestMachine, index: number, value: bigint): number {
  m.cpu.setGpr32(1, index);
  m.cpu.setGpr(0, value & 0xffff_ffffn);
  m.cpu.setGpr(2, value >> 32n);
  return m.run('WRMSR');
}
function rdmsr(m: TestMachine, index: number): bigint | null {
  m.cpu.setGpr32(1, index);
  if (m.run('RDMSR') !== STATUS.NEXT) return null;
  return m.cpu.gpr(0) | (m.cpu.gpr(2) << 32n);
}

test('the highest posted interrupt comes first; EOI of a level-triggered one is told to the bus', () => {
  const m = machine();
  m.mailbox.post(0x41, true);
  m.mailbox.post(0x73);
  assert.equal(m.system.pollEvents(), 'run');
  assert.ok(at(m, 0x73));
  assert.equal(read(m, 0xa0), 0x70);
  m.cpu.systemFlags |= S.FLAG.IF;
  m.system.pollEvents();
  assert.ok(at(m, 0x73), 'a lower class waits');
  write(m, 0xb0, 0);
  assert.deepEqual(m.endOfInterrupts, []);
  m.system.pollEvents();
  assert.ok(at(m, 0x41));
  write(m, 0xb0, 0);
  assert.deepEqual(m.endOfInterrupts, [0x41]);
});

test('with IF clear the run loop is asked to watch for the window; a shadow holds one instruction', () => {
  const m = machine();
  m.cpu.systemFlags &= ~S.FLAG.IF;
  m.mailbox.post(0x50);
  assert.equal(m.system.pollEvents(), 'run');
  assert.equal(m.cpu.get32(S.INTERRUPT_WINDOW), 1);
  m.cpu.systemFlags |= S.FLAG.IF;
  m.cpu.set32(S.INTERRUPT_SHADOW, 1);
  m.cpu.set64(S.SHADOW_RIP, 0x4000n);
  m.system.pollEvents();
  assert.equal(m.cpu.rip, 0x4000n);
  assert.equal(m.system.instructionLimit(), 1);
  m.cpu.rip = 0x4001n;
  m.system.pollEvents();
  assert.ok(at(m, 0x50));
});

test('the task priority holds back its class and those below', () => {
  const m = machine();
  write(m, 0x80, 0x50);
  m.mailbox.post(0x5f);
  m.system.pollEvents();
  assert.equal(m.cpu.rip, 0x4000n);
  m.cpu.set32(S.BUDGET, 1000);
  write(m, 0x80, 0x4f);
  assert.equal(m.cpu.area.getInt32(S.BUDGET, true), 1000 - S.BUDGET_LEAVE, 'the run loop is called');
  m.system.pollEvents();
  assert.ok(at(m, 0x5f));
});

test('HLT sleeps until an interrupt', () => {
  const m = machine();
  assert.equal(m.run('HLT', { length: 1 }), STATUS.JUMP);
  assert.equal(m.system.pollEvents(), 'halt');
  assert.equal(m.system.nextDeadlineNs(), Infinity);
  m.mailbox.post(0x60);
  assert.equal(m.system.pollEvents(), 'run');
  assert.ok(at(m, 0x60));
  assert.equal(m.ram.getBigUint64(0x7000 - 40, true), 0x4001n);
});

test('one-shot and periodic timer count the bus clock through the divider', () => {
  const m = machine();
  write(m, 0x3e0, 0x1); // by 4
  write(m, 0x320, 0x40);
  write(m, 0x380, 1000);
  assert.equal(m.system.nextDeadlineNs(), 5000);
  m.clock.ns += 1000;
  assert.equal(read(m, 0x390), 750);
  m.clock.ns = 5000;
  m.system.pollEvents();
  assert.ok(at(m, 0x40));
  assert.equal(read(m, 0x390), 0);
  assert.equal(m.system.nextDeadlineNs(), Infinity);
  write(m, 0xb0, 0);
  m.cpu.systemFlags |= S.FLAG.IF;
  write(m, 0x320, 0x2_0041);
  write(m, 0x380, 1000);
  m.clock.ns += 10_500;
  m.system.pollEvents();
  assert.equal(read(m, 0x390), 375);
  assert.equal(m.system.nextDeadlineNs(), 17_000);
});

test('a TSC deadline fires once, at once when it is past', () => {
  const m = machine();
  write(m, 0x320, 0x4_0042);
  m.clock.ns = 2000;
  const deadline = (rdmsr(m, 0x10) as bigint) + 500n;
  wrmsr(m, 0x6e0, deadline);
  assert.equal(rdmsr(m, 0x6e0), deadline);
  assert.equal(m.system.nextDeadlineNs(), 2500);
  m.clock.ns = 2500;
  m.system.pollEvents();
  assert.ok(at(m, 0x42));
  assert.equal(rdmsr(m, 0x6e0), 0n);
  write(m, 0xb0, 0);
  m.cpu.rip = 0x4000n;
  m.cpu.systemFlags |= S.FLAG.IF;
  wrmsr(m, 0x6e0, 1n);
  m.system.pollEvents();
  assert.ok(at(m, 0x42));
});

test('the last value a TSC deadline can have is in the future', () => {
  const m = machine();
  write(m, 0x320, 0x4_0042);
  wrmsr(m, 0x6e0, 0xffff_ffff_ffff_ffffn);
  assert.ok(m.system.nextDeadlineNs() > 1e19);
  m.system.pollEvents();
  assert.equal(m.cpu.rip, 0x4000n);
});

test('moving the TSC moves its deadline', () => {
  const m = machine();
  write(m, 0x320, 0x4_0042);
  wrmsr(m, 0x6e0, (rdmsr(m, 0x10) as bigint) + 1_000_000n);
  wrmsr(m, 0x10, (rdmsr(m, 0x10) as bigint) + 999_000n);
  assert.equal(m.system.nextDeadlineNs(), m.clock.ns + 1000);
  assert.equal(rdmsr(m, 0x3b), 999_000n);
});

test('x2APIC: transitions, reserved bits, self IPI, read-only registers', () => {
  const m = machine();
  assert.equal(rdmsr(m, 0x802), null);
  assert.equal(wrmsr(m, 0x1b, 0xfee0_0d00n), STATUS.NEXT);
  assert.equal(m.system.mmioRead(BASE + 0x20, 4), -1);
  assert.equal(rdmsr(m, 0x802), 0n);
  assert.equal(rdmsr(m, 0x80d), 1n);
  assert.equal(wrmsr(m, 0x802, 1n), STATUS.EXIT);
  assert.equal(wrmsr(m, 0x80b, 1n), STATUS.EXIT);
  assert.equal(wrmsr(m, 0x1b, 0xfee0_0900n), STATUS.EXIT);
  assert.equal(wrmsr(m, 0x83f, 0x91n), STATUS.NEXT);
  assert.equal(rdmsr(m, 0x820 + 4), 1n << 17n);
  m.cpu.set32(S.FAULT, 0);
  m.system.pollEvents();
  assert.ok(at(m, 0x91));
});

test('interrupts to a disabled APIC vanish; illegal vectors show in ESR', () => {
  const m = testMachine(enabled);
  m.mailbox.post(0x50);
  m.system.pollEvents();
  assert.equal(m.cpu.rip, 0x4000n);
  write(m, 0xf0, 0x1ff);
  m.system.pollEvents();
  assert.equal(m.cpu.rip, 0x4000n);
  write(m, 0x310, 0);
  write(m, 0x300, 0x5);
  write(m, 0x280, 0);
  assert.equal(read(m, 0x280), 0x20);
});

test('a halted guest that takes no interrupts is not woken by its periodic timer over and over', () => {
  const m = machine();
  write(m, 0x3e0, 0xb);
  write(m, 0x320, 0x2_0041);
  write(m, 0x380, 1);
  m.cpu.systemFlags &= ~S.FLAG.IF;
  m.run('HLT', { length: 1 });
  m.clock.ns += 100;
  assert.equal(m.system.pollEvents(), 'halt');
  assert.equal(m.system.nextDeadlineNs(), Infinity);
});
