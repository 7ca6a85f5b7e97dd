import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Request } from '../../machine/mailbox.ts';
import { resetVcpu } from '../../machine/vcpu-reset.ts';
import type { VcpuRecord } from '../../machine/vcpu-state.ts';
import { SYSTEM_NAMES } from '../../x86/system-names.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import { pvclockScale } from './kvmclock.ts';
import { longModeRecord, testMachine, type TestMachine } from './machine.fixture.ts';

function wrmsr(m: TestMachine, index: number, value: bigint): number {
  m.cpu.setGpr32(1, index);
  m.cpu.setGpr(0, value & 0xffff_ffffn);
  m.cpu.setGpr(2, value >> 32n);
  return m.run('WRMSR');
}
function cpuid(m: TestMachine, leaf: number, subleaf = 0): readonly number[] {
  m.cpu.setGpr32(0, leaf);
  m.cpu.setGpr32(1, subleaf);
  assert.equal(m.run('CPUID'), STATUS.NEXT);
  return [0, 3, 1, 2].map((n) => m.cpu.gpr32(n));
}

test('names of cold operations are distinct', () => {
  assert.equal(new Set(SYSTEM_NAMES).size, SYSTEM_NAMES.length);
});

test('a record survives load and save', () => {
  const fpu = Uint8Array.from({ length: 512 }, (_, i) => (i < 416 ? (i * 7) & 0xff : 0));
  // reserved bytes of the image are not kept: TOP = 3, MXCSR and its mask, ends of the x87 registers
  for (let i = 0; i < 8; i++) fpu.fill(0, 42 + i * 16, 48 + i * 16);
  fpu.set([0x7f, 3, 0, 0x18, 0xff, 0], 0);
  fpu.set([0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0], 24);
  const page = Uint8Array.from(resetVcpu(0).apic.page);
  page.set([0x42, 0, 4, 0], 0x320);
  const record: VcpuRecord = {
    ...longModeRecord(3),
    rflags: 0x3ed7n,
    cr2: 0xdead_beefn,
    cr8: 5n,
    dr: [1n, 2n, 3n, 4n, 0n, 0n, 0xffff_0ff0n, 0x400n],
    fpu,
    apic: { base: 0xfee0_0900n, page, tscDeadline: 5_000_000n },
    kvmclock: { systemTime: 0n, wallClock: 0x5000n, nowNs: 123_456n },
    tsc: 1_000_000n,
    tscAdjust: -5n,
    events: { exception: null, interrupt: 0x41, shadow: 'sti', nmiPending: true, nmiBlocked: true },
    activity: 'halted',
  };
  page.set([0x50, 0, 0, 0, 0, 0, 0, 0], 0x80);
  page.set([0x50], 0xa0);
  const { system } = testMachine(record);
  const saved = system.save();
  const msrs = { ...saved.msrs };
  assert.equal(msrs['277'], 0x0007_0406_0007_0406n);
  assert.deepEqual({ ...saved, msrs: {} }, record);
  // what was saved loads again
  const again = testMachine(saved).system.save();
  assert.deepEqual(again, saved);
});

test('all six arithmetic flags go through the lazy flags', () => {
  const { cpu } = testMachine();
  for (let bits = 0; bits < 64; bits++) {
    const flags = [0, 2, 4, 6, 7, 11].reduce((all, at, i) => all | (((bits >> i) & 1) << at), 0);
    cpu.rflags = flags | 0x202;
    assert.equal(cpu.rflags, flags | 0x202);
  }
});

test('requests end the loop', () => {
  const { system, mailbox } = testMachine();
  mailbox.request(Request.STOP | Request.FLUSH_CODE);
  assert.equal(system.pollEvents(), 'stop');
  assert.ok(system.takeCodeFlush());
  assert.ok(!system.takeCodeFlush());
  mailbox.request(Request.RESET);
  assert.equal(system.pollEvents(), 'reset');
  assert.equal(system.pollEvents(), 'run');
});

test('control registers refuse what the manual forbids', () => {
  const m = testMachine();
  const refused: readonly (readonly [number, bigint])[] = [
    [0, 0x1_8000_0011n], // upper half
    [0, 0x8000_0010n], // paging without protection
    [0, 0x11n], // paging off in 64-bit code
    [0, 0xa000_0011n], // NW without CD
    [3, 1n << 40n], // beyond the physical addresses
    [4, 0n], // PAE off in long mode
    [4, 0x20n | (1n << 17n)], // PCID is not offered
    [8, 16n],
  ];
  for (const [register, value] of refused) {
    m.cpu.setGpr(0, value);
    assert.equal(m.run('WRITE_CR', { arg0: BigInt(register) }), STATUS.EXIT, `CR${register} ${value}`);
    assert.equal(m.cpu.get32(S.FAULT), 13 | 0x100);
  }
  assert.equal(m.run('WRITE_CR', { arg0: 1n }), STATUS.EXIT);
  assert.equal(m.cpu.get32(S.FAULT), 6);
  m.cpu.setGpr(0, 7n);
  assert.equal(m.run('WRITE_CR', { arg0: 8n, length: 4 }), STATUS.JUMP);
  assert.equal(m.cpu.rip, 0x4004n);
  assert.equal(m.run('READ_CR', { arg0: 8n }), STATUS.NEXT);
  assert.equal(m.cpu.gpr(0), 7n);
});

test('MSRs: canonical addresses, EFER, unknown ones', () => {
  const m = testMachine();
  assert.equal(wrmsr(m, 0xc000_0100, 0x8000_0000_0000n), STATUS.EXIT);
  assert.equal(wrmsr(m, 0xc000_0100, 0xffff_8000_0000_0000n), STATUS.NEXT);
  assert.equal(m.cpu.segmentBase(S.SEG.FS), 0xffff_8000_0000_0000n);
  assert.equal(wrmsr(m, 0xc000_0080, 0xc01n), STATUS.EXIT, 'LME while paging');
  assert.equal(wrmsr(m, 0xc000_0080, 0xd00n), STATUS.JUMP);
  assert.equal(m.cpu.efer, 0xd00n);
  assert.equal(wrmsr(m, 0x277, 0x02n), STATUS.EXIT, 'memory type 2');
  m.cpu.setGpr32(1, 0x12345);
  assert.equal(m.run('RDMSR'), STATUS.EXIT);
});

test('CPUID spells vendor, brand and hypervisor, and follows the APIC', () => {
  const m = testMachine();
  const text = (words: readonly number[]): string =>
    words
      .flatMap((word) => [0, 8, 16, 24].map((shift) => String.fromCharCode((word >>> shift) & 0xff)))
      .join('')
      .replace(/\0+$/, '');
  const [max = 0, b = 0, c = 0, d = 0] = cpuid(m, 0);
  assert.equal(text([b, d, c]), 'GenuineIntel');
  assert.equal(text(cpuid(m, 0x4000_0000).slice(1)), 'KVMKVMKVM');
  const brand = [2, 3, 4].map((n) => text(cpuid(m, 0x8000_0000 + n))).join('');
  assert.match(brand, /^Vivarium /);
  assert.deepEqual(cpuid(m, 0x7fff_ffff), cpuid(m, max));
  assert.deepEqual(cpuid(m, 4, 9), [0, 0, 0, 0]);
  assert.equal((cpuid(m, 1)[3] as number) & 0x200, 0x200);
  wrmsr(m, 0x1b, 0xfee0_0100n);
  assert.equal((cpuid(m, 1)[3] as number) & 0x200, 0);
});

test('the I/O bitmap decides below IOPL; a REP resumes where it was interrupted', () => {
  const m = testMachine({ ...longModeRecord(3), tr: { ...longModeRecord(3).tr, limit: 0x67 + 0x80 } });
  m.ram.setUint16(0x2066, 0x68, true);
  m.ram.setUint8(0x2068 + 0x10, 0b1111_0000); // ports 0x84–0x87
  assert.equal(m.run('OUT', { arg0: 0x80n, size: 4 }), STATUS.NEXT);
  assert.equal(m.run('OUT', { arg0: 0x82n, size: 4 }), STATUS.EXIT);
  assert.equal(m.cpu.get32(S.FAULT), 13 | 0x100);
  assert.equal(m.run('OUT', { arg0: 0x500n, size: 1 }), STATUS.EXIT, 'beyond the limit');
  m.cpu.systemFlags |= 0x3000;
  assert.equal(m.run('OUT', { arg0: 0x500n, size: 1 }), STATUS.NEXT);
  const at = m.cpu.base + S.RECORDS;
  m.cpu.memory.setUint8(at + S.REC.FLAGS, S.RECORD_FLAG.REP);
  m.cpu.memory.setUint8(at + S.REC.SEGMENT, S.SEG.DS);
  m.cpu.setGpr(1, 300n);
  m.cpu.setGpr(2, 0x3f8n);
  m.cpu.setGpr(6, 0x5f00n);
  m.missing.add(6n);
  m.written.length = 0;
  let status: number = STATUS.JUMP;
  for (let i = 0; i < 9 && status === STATUS.JUMP; i++) status = m.run('OUTS', { size: 1 });
  assert.equal(status, STATUS.EXIT);
  assert.equal(m.written.length, 0x100);
  assert.equal(m.cpu.gpr(1), 300n - 0x100n);
  assert.equal(m.cpu.gpr(6), 0x6000n);
});

test('kvm-clock: the guest computes the time from its page', () => {
  const m = testMachine({ ...longModeRecord(0), tsc: 777n });
  m.clock.ns += 5000;
  wrmsr(m, 0x4b56_4d01, 0x5001n);
  const version = m.ram.getUint32(0x5000, true);
  assert.equal(version % 2, 0);
  assert.ok(version > 0);
  assert.equal(m.ram.getBigUint64(0x5008, true), 777n + 5000n);
  assert.equal(m.ram.getBigUint64(0x5010, true), 5000n);
  wrmsr(m, 0x4b56_4d00, 0x6000n);
  const boot = BigInt(m.ram.getUint32(0x6004, true)) * 1_000_000_000n + BigInt(m.ram.getUint32(0x6008, true));
  assert.equal(boot, 1_700_000_000_000_000_000n + 1000n);
  wrmsr(m, 0x4b56_4d01, 0x9_0000_0001n); // no RAM there: ignored
});

test('scales of kvm-clock are exact to 2 in 10^9', () => {
  for (const khz of [1_000_000, 2_500_000, 999_999, 3_141_592, 100_000]) {
    const { multiplier, shift } = pvclockScale(khz);
    assert.ok(multiplier < 2 ** 32 && multiplier >= 2 ** 31);
    const ns = (khz * 1000 * 2 ** shift * multiplier) / 2 ** 32;
    assert.ok(Math.abs(ns - 1e9) < 2, `${khz}: ${ns}`);
  }
});

test('SYSCALL and SYSRET go there and back', () => {
  const m = testMachine({ ...longModeRecord(3), rflags: 0x10247n & 0xffffn });
  wrmsr(m, 0xc000_0081, 0x0023_0010_0000_0000n);
  wrmsr(m, 0xc000_0082, 0xffff_ffff_8100_0000n);
  wrmsr(m, 0xc000_0084, 0x47700n);
  assert.equal(m.run('SYSCALL'), STATUS.JUMP);
  assert.equal(m.cpu.rip, 0xffff_ffff_8100_0000n);
  assert.equal(m.cpu.cpl, 0);
  assert.equal(m.cpu.rflags, 0x47);
  assert.equal(m.cpu.gpr(1), 0x4002n);
  assert.equal(m.cpu.gpr(11), 0x247n);
  assert.equal(m.run('SYSRET'), STATUS.JUMP);
  assert.equal(m.cpu.rip, 0x4002n);
  assert.equal(m.cpu.selector(S.SEG.CS), 0x33);
  assert.equal(m.cpu.selector(S.SEG.SS), 0x2b);
  assert.equal(m.cpu.rflags, 0x247);
  m.cpu.cpl = 0;
  m.cpu.setGpr(1, 0x8000_0000_0000n);
  assert.equal(m.run('SYSRET'), STATUS.EXIT);
});

test('segment loads check type and privilege', () => {
  const m = testMachine(longModeRecord(3));
  const load = (segment: number, selector: number): number => {
    m.cpu.set32(S.FAULT, 0);
    return m.run('LOAD_SEGMENT', { arg0: BigInt(selector), arg1: BigInt(segment) });
  };
  assert.equal(load(S.SEG.DS, 0x2b), STATUS.NEXT);
  assert.equal(load(S.SEG.DS, 0x18), STATUS.EXIT, 'DPL 0 at CPL 3');
  assert.equal(m.cpu.get32(S.FAULT_CODE), 0x18);
  assert.equal(load(S.SEG.ES, 0x103), STATUS.EXIT, 'beyond the table');
  assert.equal(load(S.SEG.SS, 0), STATUS.EXIT, 'null SS at CPL 3');
  assert.equal(load(S.SEG.FS, 3), STATUS.NEXT);
  assert.equal(m.cpu.attributes(S.SEG.FS), 0);
  assert.equal(load(S.SEG.SS, 0x2b), STATUS.NEXT);
  assert.equal(m.cpu.get32(S.INTERRUPT_SHADOW), 2);
  m.cpu.set64(S.SHADOW_RIP, 0n);
});

test('LAR, LSL and VERR look without faulting', () => {
  const m = testMachine();
  assert.equal(m.run('LAR', { arg0: 0x10n }), STATUS.NEXT);
  assert.equal(m.cpu.gpr(0), 0xa09b00n);
  assert.equal(m.cpu.rflags & S.FLAG.ZF, S.FLAG.ZF);
  assert.equal(m.run('LSL', { arg0: 0x10n }), STATUS.NEXT);
  assert.equal(m.cpu.gpr(0), 0xffff_ffffn);
  assert.equal(m.run('LAR', { arg0: 0x70n }), STATUS.NEXT);
  assert.equal(m.cpu.rflags & S.FLAG.ZF, 0);
  assert.equal(m.run('VERR', { arg0: 0x1000n }), STATUS.NEXT);
  assert.equal(m.cpu.rflags & S.FLAG.ZF, 0);
});
