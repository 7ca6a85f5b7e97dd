/** Short machine code sequences that programs with control flow are put together from. */
import { STACK_BASE } from '../test/oracle/case.ts';

export type Mode = 64 | 32;
/** Counters of eight bytes for loops that keep the flags; the program's rest never touches them. */
export const WIDE_COUNTERS: number = STACK_BASE + 0xe00;
export const WIDE_COUNTER_COUNT = 24;
/** RSP, and where to go on, of a jump out of a function. */
export const SAVED: number = STACK_BASE + 0xee0;

export const le32 = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];

/** ModRM (and SIB) for an absolute address. */
export const absolute = (mode: Mode, extension: number, address: number): number[] =>
  mode === 64
    ? [((extension & 7) << 3) | 4, 0x25, ...le32(address)]
    : [((extension & 7) << 3) | 5, ...le32(address)];
/** REX.W where there is such a thing. */
export const wide = (mode: Mode): number[] => (mode === 64 ? [0x48] : []);
export const rex = (mode: Mode, register: number, w = 0): number[] =>
  mode === 64 && (register > 7 || w === 1) ? [0x40 | (w << 3) | (register > 7 ? 1 : 0)] : [];
/** MOV r32, imm32 */
export const move = (mode: Mode, register: number, value: number): number[] => [
  ...rex(mode, register),
  0xb8 | (register & 7),
  ...le32(value),
];

/** XCHG rCX, [address]; keeps the flags. */
const swapCounter = (mode: Mode, address: number): number[] => [
  ...wide(mode),
  0x87,
  ...absolute(mode, 1, address),
];
/** LEA rCX, [rCX - 1] */
const lessOne = (mode: Mode): number[] => [...wide(mode), 0x8d, 0x49, 0xff];

/**
 * Back to `distance` (from the end of the sequence) while the counter has not run out, with all flags and registers
 * as they were. @param condition 0–15: only if that holds, too; 16: always
 */
export function countWithoutFlags(
  mode: Mode,
  counter: number,
  condition: number,
  distance: number,
): number[] {
  const swap = swapCounter(mode, counter);
  const less = lessOne(mode);
  const jump = condition === 16 ? [0xe9, ...le32(distance)] : [0x0f, 0x80 | condition, ...le32(distance)];
  // swap; jrcxz out; less; swap; jump; jmp end; out: swap; end:
  const tail = [0xeb, swap.length, ...swap];
  return [
    ...swap,
    0xe3,
    less.length + swap.length + jump.length + 2,
    ...less,
    ...swap,
    ...relocate(jump, tail.length),
    ...tail,
  ];
}

/** The same by LOOP (e2), LOOPE (e1) or LOOPNE (e0); the counter begins at 1 or more. */
export function countByLoop(mode: Mode, counter: number, opcode: number, distance: number): number[] {
  const swap = swapCounter(mode, counter);
  const again = [...swap, 0xe9, ...le32(distance)];
  // swap; loop again; mov ecx, 1; swap; jmp end; again: swap; jmp; end:
  const done = [0xb9, 1, 0, 0, 0, ...swap, 0xeb, again.length];
  return [...swap, opcode, done.length, ...done, ...again];
}

/** A jump whose distance was meant from `extra` bytes further on. */
function relocate(jump: readonly number[], extra: number): number[] {
  const opcode = jump.slice(0, -4);
  const [a = 0, b = 0, c = 0, d = 0] = jump.slice(-4);
  return [...opcode, ...le32((a | (b << 8) | (c << 16) | (d << 24)) + extra)];
}

/**
 * Back while a register that only counts is positive: the compare and the branch that translators fuse. All counts of
 * one register have the same width, or a negative number would turn positive.
 */
export function countInRegister(
  mode: Mode,
  register: number,
  long: boolean,
  form: number,
  distance: number,
): number[] {
  const r = register & 7;
  const w = long && mode === 64 ? 1 : 0;
  const prefix = rex(mode, register, w);
  const both = mode === 64 && (register > 7 || w === 1) ? [0x40 | (w << 3) | (register > 7 ? 5 : 0)] : [];
  const lea = [...both, 0x8d, 0x40 | (r * 9), 0xff];
  const forms: readonly number[][] = [
    [...prefix, 0xff, 0xc8 | r], // dec
    [...prefix, 0x83, 0xe8 | r, 1], // sub 1
    [...prefix, 0x83, 0xc0 | r, 0xff], // add -1
    [...lea, ...both, 0x85, 0xc0 | (r * 9)], // test
    [...lea, ...prefix, 0x83, 0xf8 | r, 0], // cmp 0
    [...lea, ...both, 0x09, 0xc0 | (r * 9)], // or
  ];
  return [...(forms[form % forms.length] as number[]), 0x0f, 0x8f, ...le32(distance)]; // jg
}

/** What looks at the flags. @param a @param b low registers  @param n any number */
export function flagConsumer(mode: Mode, n: number, a: number, b: number): number[] {
  const condition = (n >> 4) & 15;
  const w = (n & 0x100) !== 0 ? wide(mode) : [];
  const pair = 0xc0 | (a << 3) | b;
  const byte = a % 3; // BL belongs to a pointer in 32-bit code
  const forms: readonly number[][] = [
    [0x0f, 0x90 | condition, 0xc0 | byte], // setcc
    [...w, 0x0f, 0x40 | condition, pair], // cmovcc
    [...w, 0x11, pair], // adc
    [...w, 0x19, pair], // sbb
    [...w, 0x83, 0xd0 | a, n & 255], // adc r, imm8
    [...w, 0xd1, 0xd0 | a], // rcl r, 1
    [...w, 0xd1, 0xd8 | a], // rcr r, 1
    [0x9f], // lahf
    [0x9c, 0x58 | a], // pushf; pop r
    [...w, 0xff, 0xc0 | a], // inc
    [...w, 0xff, 0xc8 | a], // dec
    [0xb1, 0, ...w, 0xd3, 0xe0 | b], // mov cl, 0; shl r, cl: the flags stay
    [...w, 0xc1, 0xe8 | b, 0], // shr r, 0
    [0xf5], // cmc
    [...w, 0x19, 0xc0 | (a * 9)], // sbb r, r
    [0x10, 0xe0 | ((b & 3) << 3) | byte], // adc al, ah and so on
  ];
  return forms[n & 15] as number[];
}

/** Loads flags by POPF, of the status flags only. */
export function popFlags(register: number): number[] {
  // push r; and dword [rsp], 0x8d5; or dword [rsp], 0x202; popf
  return [
    0x50 | register,
    ...[0x81, 0x24, 0x24, ...le32(0x8d5)],
    ...[0x81, 0x0c, 0x24, ...le32(0x202)],
    0x9d,
  ];
}

/** Stack work that leaves RSP as it was. */
export function stackWork(mode: Mode, n: number, a: number, b: number): number[] {
  const w = wide(mode);
  const frame = mode === 64 ? [0x55, 0x48, 0x89, 0xe5] : [0x55, 0x89, 0xe5]; // push rbp; mov rbp, rsp
  const forms: readonly number[][] = [
    [0x50 | a, 0x58 | b], // push a; pop b
    [0x50 | a, 0x50 | b, 0x58 | a, 0x58 | b],
    [
      ...w,
      0x83,
      0xec,
      24,
      ...w,
      0x89,
      0x44 | (a << 3),
      0x24,
      8,
      ...w,
      0x8b,
      0x44 | (b << 3),
      0x24,
      8,
      ...w,
      0x83,
      0xc4,
      24,
    ],
    [
      ...frame,
      ...w,
      0x83,
      0xec,
      32,
      ...w,
      0x89,
      0x45 | (a << 3),
      0xf0,
      ...w,
      0x8b,
      0x45 | (b << 3),
      0xf0,
      0xc9,
    ], // … leave
    [0x68, ...le32(n * 0x1234567), 0x58 | a], // push imm32; pop
    [0x6a, n & 255, ...w, 0x01, 0x04 | (a << 3), 0x24, 0x58 | b], // push imm8; add [rsp], a; pop b
    [0x66, 0x50 | a, 0x66, 0x58 | b], // 16-bit push and pop
    [...w, 0x8d, 0x64, 0x24, 0xf0, 0xff, 0x34, 0x24, ...w, 0x8d, 0x64, 0x24, 0x10 + (mode === 64 ? 8 : 4)],
    [0x54, 0x58 | a], // push rsp; pop a
  ];
  return forms[n % forms.length] as number[];
}

/** An access of up to 16 bytes through [register]: what a loop that walks off a page does. */
export function walkAccess(mode: Mode, n: number, register: number): number[] {
  const w = (n & 0x100) !== 0;
  const value = (n >> 4) & 1; // rax or rcx
  const r = register & 7;
  const modrm = (reg: number): number[] => [(reg << 3) | r];
  const p = rex(mode, register, w ? 1 : 0);
  const forms: readonly number[][] = [
    [...p, 0x01, ...modrm(value)], // add [p], r
    [...p, 0x11, ...modrm(value)], // adc [p], r
    [...p, 0x89, ...modrm(value)], // mov [p], r
    [...p, 0x03, ...modrm(value)], // add r, [p]
    [...p, 0x39, ...modrm(value)], // cmp [p], r
    [...p, 0x87, ...modrm(value)], // xchg
    [...p, 0xff, ...modrm(0)], // inc
    [...p, 0xff, ...modrm(1)], // dec
    [...p, 0x0f, 0xaf, ...modrm(value), 0x39, 0xc8], // imul r, [p]; cmp eax, ecx
    [...rex(mode, register), 0x0f, 0x11, ...modrm(value)], // movups [p], xmm
    [...rex(mode, register), 0x0f, 0x10, ...modrm(value)],
    [0x66, ...rex(mode, register), 0x0f, 0xd6, ...modrm(value)], // movq [p], xmm
    [...rex(mode, register), 0x8f, ...modrm(0), 0x50], // pop [p]; push rax
    [...rex(mode, register), 0xff, ...modrm(6), 0x58], // push [p]; pop rax
    [...rex(mode, register), 0xdd, ...modrm(3)], // fstp qword [p]
    [...rex(mode, register), 0xd8, ...modrm(0)], // fadd dword [p]
    [0xf0, ...p, 0x0f, 0xc1, ...modrm(value)], // lock xadd
    [...rex(mode, register), 0xc6, ...modrm(0), n & 255], // mov byte [p], imm8
    [...rex(mode, register), 0x0f, 0xb6, ...modrm(value)], // movzx r, byte [p]
    [...p, 0x81, ...modrm(4), ...le32(n * 0x10003)], // and [p], imm32
  ];
  return forms[n % forms.length] as number[];
}
