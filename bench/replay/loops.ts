/** Four guest loops as hand-made regions. */
import { RAM, type Region } from './hand-made.ts';

export interface Loop {
  readonly name: string;
  readonly used: readonly number[];
  /** Emits the loop. */
  body(r: Region): void;
  /** Initial registers of one call. */
  readonly registers: readonly number[];
  /** Guest instructions and memory accesses of one call. */
  readonly instructions: number;
  readonly accesses: number;
}

const ALL: readonly number[] = Array.from({ length: 16 }, (_, i) => i);
const N = 20_000;
/** In the large loop. */
const DIAMONDS = 10;

export const LOOPS: readonly Loop[] = [
  {
    // mov byte [rsi+rax], r8b; add rax, rbx; cmp rax, rcx; jb
    name: 'sieve',
    used: ALL,
    body: (r) => {
      r.loop();
      const head = r.depth;
      r.address(6, 0, 0, 0);
      r.store(1, 8);
      r.alu64('add', 0, 3);
      r.poll(4);
      r.compare(64, 'lt_u', 0, 1);
      r.brIf(head);
      r.end();
    },
    registers: [0, N * 7, 2, 7, 4, 5, RAM, 7, 0],
    instructions: 4 * N,
    accesses: N,
  },
  {
    // add rdx, [rsi+rax*8]; mov [rdi+rax*8], rdx; inc rax; cmp rax, rcx; jb
    name: 'sum, load and store',
    used: ALL,
    body: (r) => {
      r.loop();
      const head = r.depth;
      r.address(6, 0, 3, 0);
      r.load(8, 9);
      r.alu64('add', 2, 9);
      r.address(7, 0, 3, 0);
      r.store(8, 2);
      r.imm64('add', 0, 1);
      r.poll(5);
      r.compare(64, 'lt_u', 0, 1);
      r.brIf(head);
      r.end();
    },
    registers: [0, N, 0, 0, 0, 0, RAM, RAM + 0x100000],
    instructions: 5 * N,
    accesses: 2 * N,
  },
  {
    // partition: mov edx,[rsi+rax*4]; cmp edx,r8d; jae next; mov r9d,[rsi+rbx*4]; mov [rsi+rbx*4],edx;
    // mov [rsi+rax*4],r9d; inc rbx; next: inc rax; cmp rax,rcx; jb
    name: 'partition',
    used: ALL,
    body: (r) => {
      r.loop();
      const head = r.depth;
      r.address(6, 0, 2, 0);
      r.load(4, 2);
      r.compare(32, 'lt_u', 2, 8);
      r.if();
      r.address(6, 3, 2, 0);
      r.load(4, 9);
      r.address(6, 3, 2, 0);
      r.store(4, 2);
      r.address(6, 0, 2, 0);
      r.store(4, 9);
      r.imm64('add', 3, 1);
      r.end();
      r.imm64('add', 0, 1);
      r.poll(9);
      r.compare(64, 'lt_u', 0, 1);
      r.brIf(head);
      r.end();
    },
    registers: [0, N, 0, 0, 0, 0, RAM + 0x200000, 0, 0x80000000],
    instructions: 8 * N,
    accesses: 2.5 * N,
  },
  {
    // ten accesses, branches between two short blocks, all registers live, 32-bit and 64-bit arithmetic
    name: '20 blocks',
    used: ALL,
    body: (r) => {
      r.loop();
      const head = r.depth;
      for (let i = 0; i < DIAMONDS; i++) {
        const a = 2 + (i % 4);
        const b = 8 + (i % 6);
        r.address(i % 2 === 0 ? 6 : 7, 0, 2, i * 12);
        if (i % 3 === 2) r.store(4, b);
        else r.load(4, a);
        const c = 10 + ((i + 3) % 6);
        r.alu32('add', b, a);
        r.imm32('shl', a, 3);
        r.alu32('or', c, b);
        r.compare(32, 'lt_u', i % 4 === 3 ? b : a, i % 4 === 3 ? a : b);
        r.if();
        r.imm64('add', c, i);
        r.alu64('xor', a, 14);
        r.else();
        r.alu32('sub', c, a);
        r.imm32('and', c, 0xff0f);
        r.end();
      }
      r.imm64('add', 0, 1);
      r.poll(100);
      r.compare(64, 'lt_u', 0, 1);
      r.brIf(head);
      r.end();
    },
    registers: [0, N / 10, 3, 4, 5, 6, RAM + 0x300000, RAM + 0x380000, 8, 9, 10, 11, 12, 13, 14, 15],
    instructions: (10 * 7.7 + 3) * (N / 10),
    accesses: 10 * (N / 10),
  },
];
