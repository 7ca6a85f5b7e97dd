/**
 * The CPU model 'portable': x86-64-v2, the same under every engine and on every host. A bit is set only if the
 * thing works (SDM 2A, CPUID; Linux, Documentation/virt/kvm/x86/cpuid.rst).
 *
 * Family 6, model 0x36 of GenuineIntel is a processor without speculative execution: Linux knows it as free of
 * Meltdown, Spectre and their kin, so it neither isolates page tables nor uses retpolines.
 */
import type { CpuidLeaf, CpuModel } from '../machine/vcpu.ts';

/** Ticks of the TSC per millisecond: one a nanosecond. */
export const TSC_KHZ = 1_000_000;
const PHYSICAL_BITS = 40;
const LINEAR_BITS = 48;
const FAMILY_MODEL_STEPPING = 0x0003_0661;
const BRAND = 'Vivarium virtual processor (x86-64-v2)';

/** Bit numbers. */
const LEAF_1_ECX = {
  SSE3: 0,
  SSSE3: 9,
  CX16: 13,
  SSE4_1: 19,
  SSE4_2: 20,
  X2APIC: 21,
  MOVBE: 22,
  POPCNT: 23,
  TSC_DEADLINE: 24,
  RDRAND: 30,
  HYPERVISOR: 31,
};
const LEAF_1_EDX = {
  FPU: 0,
  DE: 2,
  PSE: 3,
  TSC: 4,
  MSR: 5,
  PAE: 6,
  CX8: 8,
  APIC: 9,
  SEP: 11,
  MTRR: 12,
  PGE: 13,
  CMOV: 15,
  PAT: 16,
  PSE36: 17,
  CLFSH: 19,
  MMX: 23,
  FXSR: 24,
  SSE: 25,
  SSE2: 26,
};
/** The APIC timer never stops: without this Linux wants a second timer before it leaves its periodic tick. */
const LEAF_6_EAX = { ARAT: 2 };
const LEAF_7_EBX = {
  FSGSBASE: 0,
  TSC_ADJUST: 1,
  FDP_EXCPTN_ONLY: 6,
  SMEP: 7,
  ERMS: 9,
  ZERO_FCS_FDS: 13,
  RDSEED: 18,
  SMAP: 20,
};
const LEAF_80000001_ECX = { LAHF_LM: 0, PREFETCHW: 8 };
const LEAF_80000001_EDX = { SYSCALL: 11, NX: 20, RDTSCP: 27, LM: 29 };
const LEAF_80000007_EDX = { INVARIANT_TSC: 8 };
const LEAF_40000001_EAX = { NOP_IO_DELAY: 1, CLOCKSOURCE2: 3, CLOCKSOURCE_STABLE: 24 };

function bits(numbers: Readonly<Record<string, number>>): number {
  return Object.values(numbers).reduce((all, bit) => all + 2 ** bit, 0);
}

/** Four characters as a little-endian word. */
function word(text: string, at: number): number {
  return [0, 1, 2, 3].reduce((value, i) => value + (text.charCodeAt(at + i) || 0) * 2 ** (8 * i), 0);
}

function leaf(number: number, eax: number, ebx: number, ecx: number, edx: number, subleaf = 0): CpuidLeaf {
  return { leaf: number, subleaf, eax, ebx, ecx, edx };
}

/** A leaf whose registers spell a name in the order EBX, `second`, the other. */
function vendorLeaf(number: number, max: number, vendor: string, order: 'intel' | 'hypervisor'): CpuidLeaf {
  const [a, b, c] = [word(vendor, 0), word(vendor, 4), word(vendor, 8)];
  return order === 'intel' ? leaf(number, max, a, c, b) : leaf(number, max, a, b, c);
}

/** Leaf 4: a cache of `ways` × `sets` lines of 64 bytes. @param type 1 data, 2 instruction, 3 unified */
function cacheLeaf(subleaf: number, type: number, level: number, ways: number, sets: number): CpuidLeaf {
  return leaf(4, type | (level << 5) | 0x100, (ways - 1) * 2 ** 22 + 63, sets - 1, 0, subleaf);
}

function brandLeaves(): CpuidLeaf[] {
  return [0, 1, 2].map((i) => {
    const at = i * 16;
    return leaf(
      0x8000_0002 + i,
      word(BRAND, at),
      word(BRAND, at + 4),
      word(BRAND, at + 8),
      word(BRAND, at + 12),
    );
  });
}

/** @param vcpus logical processors of the machine */
export function portableModel(vcpus = 1): CpuModel {
  const shift = Math.ceil(Math.log2(vcpus));
  const multiple = vcpus > 1 ? 2 ** 28 : 0;
  return {
    name: 'portable',
    vendor: 'GenuineIntel',
    leaves: [
      vendorLeaf(0, 0x16, 'GenuineIntel', 'intel'),
      // EBX: CLFLUSH line of 8 quadwords, number of APIC ids; the APIC id is the engine's
      leaf(
        1,
        FAMILY_MODEL_STEPPING,
        (8 << 8) | ((2 ** shift) << 16),
        bits(LEAF_1_ECX),
        bits(LEAF_1_EDX) + multiple,
      ),
      leaf(2, 0x00ff_ff01, 0, 0, 0),
      cacheLeaf(0, 1, 1, 8, 64),
      cacheLeaf(1, 2, 1, 8, 64),
      cacheLeaf(2, 3, 2, 8, 1024),
      leaf(6, bits(LEAF_6_EAX), 0, 0, 0),
      leaf(7, 0, bits(LEAF_7_EBX), 0, 0),
      leaf(0xb, 0, 1, 0x100, 0, 0),
      leaf(0xb, shift, vcpus, 0x201, 0, 1),
      // TSC = crystal × EBX / EAX, crystal in ECX (Hz)
      leaf(0x15, 1, 1, TSC_KHZ * 1000, 0),
      leaf(0x16, TSC_KHZ / 1000, TSC_KHZ / 1000, 100, 0),
      vendorLeaf(0x4000_0000, 0x4000_0010, 'KVMKVMKVM', 'hypervisor'),
      leaf(0x4000_0001, bits(LEAF_40000001_EAX), 0, 0, 0),
      // TSC and APIC bus frequency in kHz
      leaf(0x4000_0010, TSC_KHZ, 1_000_000, 0, 0),
      leaf(0x8000_0000, 0x8000_0008, 0, 0, 0),
      leaf(0x8000_0001, 0, 0, bits(LEAF_80000001_ECX), bits(LEAF_80000001_EDX)),
      ...brandLeaves(),
      leaf(0x8000_0006, 0, 0, 0x0200_6040, 0),
      leaf(0x8000_0007, 0, 0, 0, bits(LEAF_80000007_EDX)),
      leaf(0x8000_0008, PHYSICAL_BITS | (LINEAR_BITS << 8), 0, 0, 0),
    ],
    xcr0Mask: 0,
    physicalBits: PHYSICAL_BITS,
    tscKhz: TSC_KHZ,
  };
}
