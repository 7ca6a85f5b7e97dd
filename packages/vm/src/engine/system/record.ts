/** A vCPU's saved record (machine/vcpu-state.ts) to and from the state in linear memory. */
import type { SegmentRecord, VcpuRecord } from '../../machine/vcpu-state.ts';
import * as S from '../../x86/state.ts';
import type { MemoryUnit } from '../unit.ts';
import { APIC, type Apic } from './apic.ts';
import type { Cpu } from './cpu.ts';
import type { EventState } from './event-state.ts';
import type { KvmClock } from './kvmclock.ts';
import type { Msrs } from './msr.ts';
import type { TimeStampCounter } from './tsc.ts';

/** What besides the registers makes up the state. */
export interface StateParts {
  readonly cpu: Cpu;
  readonly unit: MemoryUnit;
  readonly apic: Apic;
  readonly tsc: TimeStampCounter;
  readonly clock: KvmClock;
  readonly msrs: Msrs;
  readonly events: EventState;
}

const SEGMENT_FIELDS = [
  ['es', S.SEG.ES],
  ['cs', S.SEG.CS],
  ['ss', S.SEG.SS],
  ['ds', S.SEG.DS],
  ['fs', S.SEG.FS],
  ['gs', S.SEG.GS],
  ['ldtr', S.SEG.LDTR],
  ['tr', S.SEG.TR],
] as const;
const CONTROL_FIELDS = [
  ['cr0', S.CR0],
  ['cr2', S.CR2],
  ['cr3', S.CR3],
  ['cr4', S.CR4],
  ['efer', S.EFER],
  ['xcr0', S.XCR0],
] as const;
const APIC_PAGE_BYTES = 1024;
const SHADOWS = ['none', 'sti', 'mov-ss'] as const;

function segmentRecord(cpu: Cpu, segment: number): SegmentRecord {
  const attributes = cpu.attributes(segment);
  return {
    selector: cpu.selector(segment),
    base: cpu.segmentBase(segment),
    limit: cpu.segmentLimit(segment),
    attributes: (attributes & 0xff) | ((attributes >>> 4) & 0xf00),
  };
}

export function saveRecord(parts: StateParts): VcpuRecord {
  const { cpu, apic, tsc, clock, msrs, events } = parts;
  const segment = (n: number): SegmentRecord => segmentRecord(cpu, n);
  apic.set(APIC.CURRENT_COUNT, apic.timer.currentCount());
  apic.set(APIC.PPR, apic.ppr);
  const page = new Uint8Array(APIC_PAGE_BYTES);
  page.set(new Uint8Array(cpu.memory.buffer, cpu.base + S.APIC_PAGE, APIC_PAGE_BYTES));
  const fault = cpu.get32(S.FAULT);
  return {
    kind: 'vcpu',
    version: 1,
    gpr: Array.from({ length: 16 }, (_, n) => cpu.gpr(n)),
    rip: cpu.rip,
    rflags: BigInt(cpu.rflags >>> 0),
    es: segment(S.SEG.ES),
    cs: segment(S.SEG.CS),
    ss: segment(S.SEG.SS),
    ds: segment(S.SEG.DS),
    fs: segment(S.SEG.FS),
    gs: segment(S.SEG.GS),
    ldtr: segment(S.SEG.LDTR),
    tr: segment(S.SEG.TR),
    gdtr: { base: cpu.get64(S.GDTR), limit: cpu.get32(S.GDTR + 8) },
    idtr: { base: cpu.get64(S.IDTR), limit: cpu.get32(S.IDTR + 8) },
    cr0: cpu.get64(S.CR0),
    cr2: cpu.get64(S.CR2),
    cr3: cpu.get64(S.CR3),
    cr4: cpu.get64(S.CR4),
    cr8: BigInt(apic.cr8),
    efer: cpu.get64(S.EFER),
    xcr0: cpu.get64(S.XCR0),
    dr: Array.from({ length: 8 }, (_, n) => cpu.get64(S.DR + n * 8)),
    msrs: msrs.save(),
    fpu: saveFpu(cpu),
    apic: { base: apic.base, page, tscDeadline: apic.timer.tscDeadline },
    kvmclock: { systemTime: clock.systemTime, wallClock: clock.wallClock, nowNs: clock.nowNs },
    tsc: tsc.now(),
    tscAdjust: tsc.adjust,
    events: {
      exception:
        fault === 0
          ? null
          : {
              vector: fault & 0x1f,
              errorCode: (fault & 0x100) === 0 ? null : cpu.get32(S.FAULT_CODE),
              payload: cpu.get64(S.FAULT_ADDRESS),
            },
      interrupt: events.acknowledged,
      shadow: SHADOWS[events.shadow] ?? 'none',
      nmiPending: events.nmiPending,
      nmiBlocked: events.nmiBlocked,
    },
    activity: events.activity,
  };
}

export function loadRecord(parts: StateParts, record: VcpuRecord): void {
  const { cpu, unit, apic, tsc, clock, msrs, events } = parts;
  record.gpr.forEach((value, n) => {
    cpu.setGpr(n, value);
  });
  cpu.rip = record.rip;
  cpu.rflags = Number(record.rflags & 0xffff_ffffn);
  for (const [name, index] of SEGMENT_FIELDS) {
    const { selector, base, limit, attributes } = record[name];
    cpu.setSegment(index, selector, base, limit, (attributes & 0xff) | ((attributes & 0xf00) << 4));
  }
  for (const [table, offset] of [
    [record.gdtr, S.GDTR],
    [record.idtr, S.IDTR],
  ] as const) {
    cpu.set64(offset, table.base);
    cpu.set32(offset + 8, table.limit);
  }
  for (const [name, offset] of CONTROL_FIELDS) cpu.set64(offset, record[name]);
  record.dr.forEach((value, n) => {
    cpu.set64(S.DR + n * 8, value);
  });
  cpu.cpl = cpu.protectedMode ? cpu.selector(S.SEG.CS) & 3 : 0;
  cpu.updateCodeMode();
  msrs.restore(record.msrs);
  loadFpu(cpu, record.fpu);

  tsc.adjust = record.tscAdjust;
  tsc.set(record.tsc);
  apic.base = record.apic.base;
  new Uint8Array(cpu.memory.buffer, cpu.base + S.APIC_PAGE, APIC_PAGE_BYTES).set(record.apic.page);
  if (BigInt(apic.cr8) !== record.cr8) apic.set(APIC.TPR, Number(record.cr8) << 4);
  apic.timer.restore(
    apic.get(APIC.LVT_TIMER),
    apic.get(APIC.DIVIDE),
    apic.get(APIC.INITIAL_COUNT),
    apic.get(APIC.CURRENT_COUNT),
    record.apic.tscDeadline,
  );

  const { exception, shadow } = record.events;
  cpu.set32(S.FAULT, exception === null ? 0 : exception.vector | (exception.errorCode === null ? 0 : 0x100));
  cpu.set32(S.FAULT_CODE, exception?.errorCode ?? 0);
  cpu.set64(S.FAULT_ADDRESS, exception?.payload ?? 0n);
  cpu.set32(S.INTERRUPT_SHADOW, SHADOWS.indexOf(shadow));
  cpu.set64(S.SHADOW_RIP, record.rip);
  cpu.set32(S.INTERRUPT_WINDOW, 0);
  cpu.set32(S.DEBUG_PENDING, 0);
  events.acknowledged = record.events.interrupt;
  events.nmiPending = record.events.nmiPending;
  events.nmiBlocked = record.events.nmiBlocked;
  events.activity = record.activity;
  events.skipTrap = false;
  unit.flush(true);
  unit.modeChanged();
  clock.restore(record.kvmclock.systemTime, record.kvmclock.wallClock, record.kvmclock.nowNs);
}

/**
 * FXSAVE image, 64-bit form (SDM 1, table 10-2): ST(i) is register (TOP + i) mod 8 of the state.
 *
 *   0 FCW · 2 FSW · 4 abridged tags · 6 FOP · 8 FIP · 16 FDP · 24 MXCSR · 28 mask · 32 ST0–7 · 160 XMM0–15
 */
function saveFpu(cpu: Cpu): Uint8Array {
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  const fsw = cpu.get32(S.FSW);
  view.setUint16(0, cpu.get32(S.FCW), true);
  view.setUint16(2, fsw, true);
  view.setUint8(4, cpu.get32(S.FTW));
  view.setUint16(6, cpu.get32(S.FOP), true);
  view.setBigUint64(8, cpu.get64(S.FIP), true);
  view.setBigUint64(16, cpu.get64(S.FDP), true);
  view.setUint32(24, cpu.get32(S.MXCSR), true);
  view.setUint32(28, 0xffff, true);
  for (let i = 0; i < 8; i++) {
    const register = S.X87 + (((fsw >>> 11) + i) & 7) * 16;
    view.setBigUint64(32 + i * 16, cpu.get64(register), true);
    view.setUint16(40 + i * 16, cpu.get32(register + 8), true);
  }
  for (let i = 0; i < 32; i++) view.setBigUint64(160 + i * 8, cpu.get64(S.XMM + i * 8), true);
  return image;
}

function loadFpu(cpu: Cpu, image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const fsw = view.getUint16(2, true);
  cpu.set32(S.FCW, view.getUint16(0, true));
  cpu.set32(S.FSW, fsw);
  cpu.set32(S.FTW, view.getUint8(4));
  cpu.set32(S.FOP, view.getUint16(6, true));
  cpu.set64(S.FIP, view.getBigUint64(8, true));
  cpu.set64(S.FDP, view.getBigUint64(16, true));
  cpu.set32(S.FCS, 0);
  cpu.set32(S.FDS, 0);
  cpu.set32(S.MXCSR, view.getUint32(24, true));
  for (let i = 0; i < 8; i++) {
    const register = S.X87 + (((fsw >>> 11) + i) & 7) * 16;
    cpu.set64(register, view.getBigUint64(32 + i * 16, true));
    cpu.set64(register + 8, BigInt(view.getUint16(40 + i * 16, true)));
  }
  for (let i = 0; i < 32; i++) cpu.set64(S.XMM + i * 8, view.getBigUint64(160 + i * 8, true));
}
