/**
 * States a vCPU starts from: reset (SDM 3A table 10-1) and the two entries of a Linux kernel loaded by the
 * host, PVH (32-bit, paging off) and 64-bit boot protocol (paging on, identity-mapped).
 */
import type { SegmentRecord, VcpuRecord } from './vcpu-state.ts';

export const CR0_PE = 1n;
export const CR0_ET = 0x10n;
export const CR0_PG = 0x8000_0000n;
export const CR4_PAE = 0x20n;
export const EFER_LME = 0x100n;
export const EFER_LMA = 0x400n;
export const APIC_BASE_ADDRESS = 0xfee0_0000n;
const APIC_BASE_BSP = 0x100n;
const APIC_BASE_ENABLED = 0x800n;

function segmentOf(selector: number, limit: number, attributes: number, base = 0n): SegmentRecord {
  return { selector, base, limit, attributes };
}

/** x87 control word 0x37f, empty stack, MXCSR 0x1f80: the state after FNINIT, which Linux expects too. */
function initialFpu(): Uint8Array {
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  view.setUint32(28, 0xffff, true);
  return image;
}

/** The APIC's registers after reset (11.4.7.1), with LINT0 and LINT1 wired as firmware leaves them. */
function initialApicPage(apicId: number): Uint8Array {
  const page = new Uint8Array(1024);
  const view = new DataView(page.buffer);
  const registers: readonly (readonly [offset: number, value: number])[] = [
    [0x20, apicId << 24],
    [0x30, 0x0005_0014],
    [0xe0, 0xffff_ffff],
    [0xf0, 0xff],
    [0x320, 0x10000],
    [0x330, 0x10000],
    [0x340, 0x10000],
    [0x350, 0x00700],
    [0x360, 0x00400],
    [0x370, 0x10000],
  ];
  for (const [offset, value] of registers) view.setUint32(offset, value >>> 0, true);
  return page;
}

/** The state after power-on or INIT. vCPU 0 is the boot processor, the others wait for a start-up message. */
export function resetVcpu(index: number): VcpuRecord {
  const data = (): SegmentRecord => segmentOf(0, 0xffff, 0x093);
  return {
    kind: 'vcpu',
    version: 1,
    gpr: new Array<bigint>(16).fill(0n),
    rip: 0xfff0n,
    rflags: 2n,
    es: data(),
    cs: segmentOf(0xf000, 0xffff, 0x09b, 0xffff_0000n),
    ss: data(),
    ds: data(),
    fs: data(),
    gs: data(),
    ldtr: segmentOf(0, 0xffff, 0x082),
    tr: segmentOf(0, 0xffff, 0x08b),
    gdtr: { base: 0n, limit: 0xffff },
    idtr: { base: 0n, limit: 0xffff },
    cr0: 0x6000_0010n,
    cr2: 0n,
    cr3: 0n,
    cr4: 0n,
    cr8: 0n,
    efer: 0n,
    xcr0: 1n,
    dr: [0n, 0n, 0n, 0n, 0n, 0n, 0xffff_0ff0n, 0x400n],
    msrs: {},
    fpu: initialFpu(),
    apic: {
      base: APIC_BASE_ADDRESS | APIC_BASE_ENABLED | (index === 0 ? APIC_BASE_BSP : 0n),
      page: initialApicPage(index),
      tscDeadline: 0n,
    },
    kvmclock: { systemTime: 0n, wallClock: 0n, nowNs: 0n },
    tsc: 0n,
    tscAdjust: 0n,
    events: { exception: null, interrupt: null, shadow: 'none', nmiPending: false, nmiBlocked: false },
    activity: index === 0 ? 'running' : 'wait-for-sipi',
  };
}

/** What firmware sets up before a kernel: fast strings on, MTRRs enabled with write-back as default. */
function firmwareMsrs(): Record<string, bigint> {
  return { '1a0': 1n, '2ff': 0x806n };
}

/** Selectors and addresses of the descriptor table that `writeBootGdt` puts into guest memory. */
export interface BootGdt {
  readonly base: bigint;
  readonly limit: number;
  readonly idtBase: bigint;
}

/** PVH: 32-bit protected mode, paging off, EBX = `startInfo`. */
export function pvhVcpu(entry: bigint, startInfo: bigint, gdt: BootGdt): VcpuRecord {
  const state = resetVcpu(0);
  const data = (): SegmentRecord => segmentOf(0x10, 0xffff_ffff, 0xc93);
  state.gpr[3] = startInfo;
  return {
    ...state,
    rip: entry,
    cs: segmentOf(8, 0xffff_ffff, 0xc9b),
    ds: data(),
    es: data(),
    ss: data(),
    fs: data(),
    gs: data(),
    tr: segmentOf(0x18, 0x67, 0x08b),
    gdtr: { base: gdt.base, limit: gdt.limit },
    idtr: { base: gdt.idtBase, limit: 7 },
    cr0: CR0_PE | CR0_ET,
    msrs: firmwareMsrs(),
  };
}

/** Linux's 64-bit entry: long mode, interrupts off, RSI = `zeroPage`, `pageTables` in CR3. */
export function linux64Vcpu(
  entry: bigint,
  zeroPage: bigint,
  stack: bigint,
  pageTables: bigint,
  gdt: BootGdt,
): VcpuRecord {
  const state = pvhVcpu(entry, 0n, gdt);
  state.gpr[4] = stack;
  state.gpr[5] = stack;
  state.gpr[6] = zeroPage;
  return {
    ...state,
    cs: segmentOf(8, 0xffff_ffff, 0xa9b),
    cr0: CR0_PE | CR0_ET | CR0_PG,
    cr3: pageTables,
    cr4: CR4_PAE,
    efer: EFER_LME | EFER_LMA,
  };
}
