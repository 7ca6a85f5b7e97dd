import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { longModeRecord, setGate, testMachine } from './machine.fixture.ts';

/** Words of the frame at RSP. */
function frame(ram: DataView, rsp: bigint, words: number): bigint[] {
  return Array.from({ length: words }, (_, i) => ram.getBigUint64(Number(rsp) + i * 8, true));
}

test('a page fault at CPL 3 goes to RSP0 with error code, RF and CR2', () => {
  const { cpu, system, ram } = testMachine({ ...longModeRecord(3), rflags: 0x246n });
  cpu.faultCode(14, 6);
  cpu.set64(S.FAULT_ADDRESS, 0x1234_5678n);
  assert.equal(system.deliverException(), 'delivered');
  assert.equal(cpu.rip, 0x100e0n);
  assert.equal(cpu.cpl, 0);
  assert.equal(cpu.selector(S.SEG.CS), 0x10);
  assert.equal(cpu.selector(S.SEG.SS), 0);
  assert.equal(cpu.gpr(4), 0x8000n - 48n);
  assert.equal(cpu.get64(S.CR2), 0x1234_5678n);
  assert.equal(cpu.systemFlags & S.FLAG.IF, 0);
  assert.deepEqual(frame(ram, cpu.gpr(4), 6), [6n, 0x4000n, 0x33n, 0x10246n, 0x7000n, 0x2bn]);
});

test('an IST entry is used at CPL 0 too, and the stack is aligned', () => {
  const { cpu, system, ram } = testMachine();
  setGate(ram, 13, 0x8f, 1);
  cpu.setGpr(4, 0x6ff9n);
  cpu.faultCode(13, 0);
  assert.equal(system.deliverException(), 'delivered');
  assert.equal(cpu.gpr(4), 0x9000n - 48n);
  assert.equal(ram.getBigUint64(0x9000 - 16, true), 0x6ff9n);
});

test('faults while delivering: double fault, then shutdown', () => {
  const { cpu, system, ram } = testMachine();
  setGate(ram, 13, 0x0e, 0); // not present
  cpu.faultCode(13, 0x10);
  assert.equal(system.deliverException(), 'delivered');
  assert.equal(cpu.rip, 0x10080n);
  assert.equal(ram.getBigUint64(Number(cpu.gpr(4)), true), 0n);
  setGate(ram, 8, 0x0e, 0);
  cpu.faultCode(13, 0x10);
  assert.equal(system.deliverException(), 'shutdown');
  assert.match(system.shutdownReason(), /13, 11, 8, 11/);
  assert.equal(system.pollEvents(), 'shutdown');
});

test('a benign exception and a fault on the way are handled one after the other', () => {
  const { cpu, system, ram } = testMachine();
  setGate(ram, 6, 0x0e, 0);
  cpu.fault(6);
  assert.equal(system.deliverException(), 'delivered');
  assert.equal(cpu.rip, 0x100b0n); // #NP
  assert.equal(ram.getBigUint64(Number(cpu.gpr(4)), true), 6n * 8n + 3n); // IDT, EXT
});

test('INT n needs the privilege its gate asks for', () => {
  const { cpu, run, ram } = testMachine(longModeRecord(3));
  assert.equal(run('INT', { arg0: 0x80n }), STATUS.EXIT);
  assert.equal(cpu.get32(S.FAULT) & 0xff, 13);
  assert.equal(cpu.get32(S.FAULT_CODE), 0x80 * 8 + 2);
  assert.equal(cpu.rip, 0x4000n);
  setGate(ram, 0x80, 0xee, 0);
  assert.equal(run('INT', { arg0: 0x80n }), STATUS.JUMP);
  assert.equal(cpu.rip, 0x10800n);
  assert.equal(ram.getBigUint64(0x8000 - 40, true), 0x4002n);
});

test('IRET returns to CPL 3 and drops segments of CPL 0', () => {
  const { cpu, run, ram } = testMachine();
  cpu.setSegment(S.SEG.DS, 0x18, 0n, 0xffff_ffff, 0xc093);
  [0x5555n, 0x33n, 0x3202n, 0x6000n, 0x2bn].forEach((word, i) => {
    ram.setBigUint64(0x7000 + i * 8, word, true);
  });
  assert.equal(run('IRET'), STATUS.JUMP);
  assert.equal(cpu.rip, 0x5555n);
  assert.equal(cpu.cpl, 3);
  assert.equal(cpu.gpr(4), 0x6000n);
  assert.equal(cpu.rflags, 0x3202);
  assert.equal(cpu.selector(S.SEG.DS), 0);
});

test('IRET to a null code segment or over a missing stack page changes nothing', () => {
  const { cpu, run, ram, missing } = testMachine();
  ram.setBigUint64(0x7008, 0n, true);
  assert.equal(run('IRET'), STATUS.EXIT);
  assert.equal(cpu.get32(S.FAULT), 13 | 0x100);
  missing.add(7n);
  assert.equal(run('IRET'), STATUS.EXIT);
  assert.equal(cpu.get32(S.FAULT), 14 | 0x100);
  assert.equal(cpu.gpr(4), 0x7000n);
  assert.equal(cpu.cpl, 0);
});

test('an NMI waits for the IRET of the one before', () => {
  const { cpu, system, run, mailbox } = testMachine();
  mailbox.request(2);
  assert.equal(system.pollEvents(), 'run');
  assert.equal(cpu.rip, 0x10020n);
  mailbox.request(2);
  assert.equal(system.pollEvents(), 'run');
  assert.equal(cpu.rip, 0x10020n);
  assert.equal(run('IRET'), STATUS.JUMP);
  assert.equal(cpu.rip, 0x4000n);
  assert.equal(system.pollEvents(), 'run');
  assert.equal(cpu.rip, 0x10020n);
});
