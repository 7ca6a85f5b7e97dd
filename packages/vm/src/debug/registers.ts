/**
 * The registers gdb sees, in the order of its 64-bit i386 target descriptions, each as a view of the vCPU record;
 * and the target description made from the same table.
 */
import type { SegmentRecord, VcpuRecord } from '../machine/vcpu-state.ts';

export interface Register {
  readonly name: string;
  readonly bits: 32 | 64 | 80 | 128;
  /** gdb's type. */
  readonly type: string;
  read(cpu: VcpuRecord): bigint;
  write(cpu: VcpuRecord, value: bigint): void;
}

type Feature = readonly [name: string, registers: readonly Register[]];

function general(name: string, index: number, type = 'int64'): Register {
  return {
    name,
    bits: 64,
    type,
    read: (cpu) => cpu.gpr[index] ?? 0n,
    write: (cpu, value) => {
      cpu.gpr[index] = value;
    },
  };
}

type BigintField = 'rip' | 'rflags' | 'cr0' | 'cr2' | 'cr3' | 'cr4' | 'cr8' | 'efer';

function field(name: string, key: BigintField, bits: 32 | 64, type: string): Register {
  return {
    name,
    bits,
    type,
    read: (cpu) => cpu[key],
    write: (cpu, value) => {
      cpu[key] = value;
    },
  };
}

type SegmentField = 'cs' | 'ss' | 'ds' | 'es' | 'fs' | 'gs';

/** Read-only: a selector alone cannot be changed without its descriptor. */
function selector(name: SegmentField): Register {
  return {
    name,
    bits: 32,
    type: 'int32',
    read: (cpu) => BigInt((cpu[name] as SegmentRecord).selector),
    write: () => undefined,
  };
}

function base(name: string, segment: 'fs' | 'gs'): Register {
  return {
    name,
    bits: 64,
    type: 'int64',
    read: (cpu) => cpu[segment].base,
    write: (cpu, value) => {
      cpu[segment].base = value;
    },
  };
}

/** A little-endian slice of the FXSAVE image. */
function fpu(name: string, offset: number, bytes: number, bits: Register['bits'], type: string): Register {
  return {
    name,
    bits,
    type,
    read: (cpu) => {
      let value = 0n;
      for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(cpu.fpu[offset + i] ?? 0);
      return value;
    },
    write: (cpu, value) => {
      for (let i = 0; i < bytes; i++) cpu.fpu[offset + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    },
  };
}

/** gdb wants the tag word in full: 3 = empty, 0 = valid (kinds of valid are not told apart). */
const tagWord: Register = {
  name: 'ftag',
  bits: 32,
  type: 'int',
  read: (cpu) => {
    let tags = 0;
    for (let i = 0; i < 8; i++) if (((cpu.fpu[4] ?? 0) & (1 << i)) === 0) tags |= 3 << (2 * i);
    return BigInt(tags);
  },
  write: (cpu, value) => {
    let valid = 0;
    for (let i = 0; i < 8; i++) if (((value >> BigInt(2 * i)) & 3n) !== 3n) valid |= 1 << i;
    cpu.fpu[4] = valid;
  },
};

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const FEATURES: readonly Feature[] = [
  [
    'org.gnu.gdb.i386.core',
    [
      general('rax', 0),
      general('rbx', 3),
      general('rcx', 1),
      general('rdx', 2),
      general('rsi', 6),
      general('rdi', 7),
      general('rbp', 5, 'data_ptr'),
      general('rsp', 4, 'data_ptr'),
      ...range(8).map((i) => general(`r${8 + i}`, 8 + i)),
      field('rip', 'rip', 64, 'code_ptr'),
      field('eflags', 'rflags', 32, 'int32'),
      selector('cs'),
      selector('ss'),
      selector('ds'),
      selector('es'),
      selector('fs'),
      selector('gs'),
      ...range(8).map((i) => fpu(`st${i}`, 32 + 16 * i, 10, 80, 'i387_ext')),
      fpu('fctrl', 0, 2, 32, 'int'),
      fpu('fstat', 2, 2, 32, 'int'),
      tagWord,
      fpu('fiseg', 12, 2, 32, 'int'),
      fpu('fioff', 8, 4, 32, 'int'),
      fpu('foseg', 20, 2, 32, 'int'),
      fpu('fooff', 16, 4, 32, 'int'),
      fpu('fop', 6, 2, 32, 'int'),
    ],
  ],
  [
    'org.gnu.gdb.i386.sse',
    [
      ...range(16).map((i) => fpu(`xmm${i}`, 160 + 16 * i, 16, 128, 'uint128')),
      fpu('mxcsr', 24, 4, 32, 'int'),
    ],
  ],
  ['org.gnu.gdb.i386.segments', [base('fs_base', 'fs'), base('gs_base', 'gs')]],
  [
    'org.vivarium.system',
    (['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer'] as const).map((name) => field(name, name, 64, 'int64')),
  ],
];

export const REGISTERS: readonly Register[] = FEATURES.flatMap(([, registers]) => registers);

export const TARGET_XML: string = [
  '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">',
  '<target version="1.0"><architecture>i386:x86-64</architecture>',
  ...FEATURES.map(
    ([name, registers]) =>
      `<feature name="${name}">${registers
        .map((r) => `<reg name="${r.name}" bitsize="${r.bits}" type="${r.type}"/>`)
        .join('')}</feature>`,
  ),
  '</target>',
].join('\n');

/** A register's value as gdb sends it: bytes in memory order. */
export function writeRegister(register: Register, cpu: VcpuRecord): string {
  const value = BigInt.asUintN(register.bits, register.read(cpu));
  const digits = value.toString(16).padStart(register.bits / 4, '0');
  return (digits.match(/../g) ?? []).reverse().join('');
}

/** Takes a value as gdb sends it; false when it has not the register's length. */
export function parseRegister(register: Register, cpu: VcpuRecord, hex: string): boolean {
  if (hex.length !== register.bits / 4 || !/^[0-9a-fA-F]*$/.test(hex)) return false;
  register.write(cpu, BigInt(`0x${(hex.match(/../g) ?? []).reverse().join('')}`));
  return true;
}
