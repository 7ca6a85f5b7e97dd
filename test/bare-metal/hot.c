/*
 * Loops that ran often, and then the machine changes: privileges, permissions, control registers, breakpoints, modes.
 * Whatever was made of the loop must notice; faults in the middle of it are exact.
 */
#include "kernel.h"

#define PAGE(i) ((u64)scratch_page(i))
enum { TURNS = 300 };

/* for ecx = TURNS … 1: eax += [rdi]; [rdi] = ecx; the flags of ADD live across the store */
#define LOOP "xor eax, eax\n mov ecx, 300\n1: add eax, [rdi]\n mov [rdi], ecx\n adc eax, 0\n dec ecx\n jnz 1b"
CODE(code_loop, LOOP);
SNIPPET(user_loop, LOOP "\nuser_loop_end: int 0x80");
extern u8 user_loop_end[];

static int heat(u64 va) {
  for (int i = 0; i < 5; i++) if (CAUGHT(code_loop, va)) return 0;
  return 1;
}

TEST(hot_page_taken_away) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  CHECK(heat(va));
  map(FREE_PAGE, 0);
  CHECK(CAUGHT(code_loop, va));
  CHECK_TRAP(14, 0);
  CHECK_EQ(last_cr2, va);
  CHECK_EQ(last.rcx, TURNS);
  map(FREE_PAGE, PAGE(0) | P);
  CHECK(CAUGHT(code_loop, va));
  CHECK_TRAP(14, 3);
  map(FREE_PAGE, PAGE(0) | P | W);
  CHECK(heat(va));
}

TEST(hot_write_protect) {
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  write_cr0(read_cr0() & ~0x10000ull);
  CHECK(heat(va));
  write_cr0(read_cr0() | 0x10000);
  CHECK(CAUGHT(code_loop, va));
  CHECK_TRAP(14, 3);
  write_cr0(read_cr0() & ~0x10000ull);
  CHECK(heat(va));
}

TEST(hot_at_both_privileges) {
  /* the same physical code at CPL 0 and at CPL 3, on a supervisor page */
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  u64 code = (u64)user_loop;
  *(volatile u8 *)user_loop_end = 0xc3; /* RET instead of INT */
  for (int i = 0; i < 5; i++) CHECK(!CAUGHT(code, va));
  *(volatile u8 *)user_loop_end = 0xcd;
  user_regs.rdi = va;
  USER64(user_loop);
  CHECK_TRAP(14, 5);
  CHECK_EQ(last.rcx, TURNS);
  map(FREE_PAGE, PAGE(0) | P | W | U);
  for (int i = 0; i < 5; i++) {
    USER64(user_loop);
    CHECK_EQ(last.vector, 0x80);
  }
  map(FREE_PAGE, PAGE(0) | P | U);
  USER64(user_loop);
  CHECK_TRAP(14, 7);
  CHECK_EQ(last.rcx, TURNS);
}

TEST(hot_smap) {
  NEED(has_smap(), "no SMAP");
  u64 va = map(FREE_PAGE, PAGE(0) | P | W | U);
  CHECK(heat(va));
  write_cr4(read_cr4() | 1 << 21);
  CHECK(CAUGHT(code_loop, va));
  CHECK_TRAP(14, 1);
  CODE(code_open, "stac\n" LOOP "\n clac");
  for (int i = 0; i < 5; i++) CHECK(!CAUGHT(code_open, va));
  CHECK(CAUGHT(code_loop, va));
  write_cr4(read_cr4() & ~(1ull << 21));
  CHECK(heat(va));
}

TEST(hot_alignment) {
  NEED(!on_tcg, "TCG checks no alignment");
  u64 va = map(FREE_PAGE, PAGE(0) | P | W | U);
  user_regs.rdi = va + 1;
  write_cr0(read_cr0() | 1 << 18);
  for (int i = 0; i < 5; i++) {
    USER64(user_loop);
    CHECK_EQ(last.vector, 0x80);
  }
  run_user(user_loop, 64, 0x40002);
  CHECK_TRAP(17, 0);
  CHECK_EQ(last.rcx, TURNS);
  USER64(user_loop);
  CHECK_EQ(last.vector, 0x80);
}

/* Accessed and dirty bits come back after they were cleared. */
TEST(hot_dirty_bits) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  for (int i = 0; i < 10; i++) {
    map(FREE_PAGE, PAGE(0) | P | W);
    CHECK(!CAUGHT(code_loop, va));
    CHECK_EQ(test_pt[FREE_PAGE] & (A | D), A | D);
  }
}

/* A fault at the nth round of a loop that has run often: everything as at that instruction. */
CODE(code_walk, "xor eax, eax\n xor edx, edx\n mov ecx, 2000\n1: add rax, [rdi]\n adc rdx, rcx\n cmp edx, 77\n mov [rdi], dl\n"
                "walk_here: lea rdi, [rdi + 8]\n dec ecx\n jnz 1b");
static void walk(u64 va) { CAUGHT(code_walk, va); }
TEST(hot_walk_off_a_page) {
  for (int i = 0; i < 4; i++) map(FREE_PAGE + i, PAGE(i) | P | W);
  u64 va = PAGE_VA(FREE_PAGE);
  walk(va);
  CHECK_EQ(last.vector, ~0ull);
  for (int pages = 3; pages; pages--) {
    for (int i = 0; i < 2048; i++) ((u64 *)PAGE(i / 512))[i % 512] = ~0ull - i;
    map(FREE_PAGE + pages, 0);
    walk(va + 8);
    CHECK_TRAP(14, 0);
    CHECK_EQ(last_cr2, va + pages * 4096);
    CHECK_EQ(last.rdi, va + pages * 4096);
    CHECK_EQ(last.rcx, 2000 - (pages * 512 - 1));
    u64 sum = 0, d = 0;
    for (int i = 1; i < pages * 512; i++) {
      u64 add = ~0ull - i, with = sum + add, carry = with < sum;
      sum = with;
      d += 2000 - (i - 1) + carry;
    }
    CHECK_EQ(last.rax, sum);
    CHECK_EQ(last.rdx, d);
    map(FREE_PAGE + pages, PAGE(pages) | P);
    walk(va + 8);
    CHECK_TRAP(14, 3);
    CHECK_EQ(last.rcx, 2000 - (pages * 512 - 1));
    map(FREE_PAGE + pages, 0);
  }
}

/* The stack runs out of its page: PUSH and CALL fault with RSP as it was. */
CODE(code_push, "mov rdx, rsp\n mov rsp, rdi\n mov ecx, 600\n1: push rcx\n dec ecx\n jnz 1b\n mov rsp, rdx");
TEST(hot_push_off_a_page) {
  map(FREE_PAGE, PAGE(0) | P | W);
  map(FREE_PAGE + 1, PAGE(1) | P | W);
  u64 top = PAGE_VA(FREE_PAGE + 2);
  set_gate(14, trap_stubs + 14 * 16, 0x8e, 1);
  for (int i = 0; i < 4; i++) CHECK(!CAUGHT(code_push, top));
  map(FREE_PAGE, 0);
  CHECK(CAUGHT(code_push, top));
  CHECK_TRAP(14, 2);
  CHECK_EQ(last.rsp, top - 4096);
  CHECK_EQ(last.rcx, 600 - 512);
  CHECK_EQ(last_cr2, top - 4096 - 8);
}

TEST(hot_not_canonical) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  for (int i = 0; i < 4; i++) CHECK(!CAUGHT(code_loop, va));
  CHECK(CAUGHT(code_loop, 0x8000000000000000ull));
  CHECK_TRAP(13, 0);
  CHECK_EQ(last.rcx, TURNS);
  CHECK(CAUGHT(code_loop, 0x7ffffffffffdull)); /* the last bytes below, across the border */
  CHECK_EQ(last.rcx, TURNS);
}

CODE(code_divide, "mov rcx, rdi\n mov r8d, 0\n1: mov eax, 1000\n xor edx, edx\n stc\n div ecx\n add r8d, eax\n dec rcx\n jmp 1b");
TEST(hot_divide_error) {
  for (u64 n = 100; n < 700; n += 200) {
    CHECK(CAUGHT(code_divide, n));
    CHECK_TRAP(0, 0);
    CHECK_EQ(last.rcx, 0);
    u32 sum = 0;
    for (u32 i = 1; i <= n; i++) sum += 1000 / i;
    CHECK_EQ(last.r8, sum);
    CHECK_EQ(last.rax, 1000);
    CHECK(last.rflags & 1);
  }
}

/* ---- breakpoints and single steps in what is hot ---- */

static int hits;
static u64 hit_rip[4], hit_rcx[4];
static int on_debug(struct frame *f) {
  if (f->vector != 1) return 0;
  if (hits < 4) { hit_rip[hits] = f->rip; hit_rcx[hits] = f->rcx; }
  hits++;
  write_dr6(0xffff0ff0);
  f->rflags |= 0x10000;
  return 1;
}
CODE(code_debug, "mov ecx, 500\n xor eax, eax\n1: mov [rdi + rcx*4], ecx\ndebug_after: add eax, [rdi + rcx*4]\ndebug_here: adc eax, 0\n dec ecx\n jnz 1b");
extern u8 debug_after[], debug_here[];
TEST(hot_data_breakpoint) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  for (int i = 0; i < 5; i++) CHECK(!CAUGHT(code_debug, va));
  hook = on_debug;
  for (int i = 0; i < 3; i++) {
    hits = 0;
    write_dr0(va + 123 * 4);
    write_dr7(0x400 | 0xd0000 | 2); /* writes, four bytes */
    CHECK(!CAUGHT(code_debug, va));
    CHECK_EQ(hits, 1);
    CHECK_EQ(hit_rip[0], debug_after);
    CHECK_EQ(hit_rcx[0], 123);
    write_dr7(0x400);
    CHECK(!CAUGHT(code_debug, va));
    CHECK_EQ(hits, 1);
  }
}
TEST(hot_code_breakpoint) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  for (int i = 0; i < 5; i++) CHECK(!CAUGHT(code_debug, va));
  hook = on_debug;
  hits = 0;
  write_dr1((u64)debug_here);
  write_dr7(0x400 | 8);
  CHECK(!CAUGHT(code_debug, va));
  CHECK_EQ(hits, 500);
  CHECK_EQ(hit_rip[1], debug_here);
  CHECK_EQ(hit_rcx[1], 499);
  write_dr7(0x400);
  CHECK(!CAUGHT(code_debug, va));
  CHECK_EQ(hits, 500);
}
CODE(code_stepped, "mov ecx, 50\n pushfq\n or qword ptr [rsp], 0x100\n popfq\n1: lea rdi, [rdi + 1]\n dec ecx\n jnz 1b\n pushfq\n and qword ptr [rsp], -0x101\n popfq\n mov rax, rdi");
CODE(code_unstepped, "mov ecx, 50\n pushfq\n or qword ptr [rsp], 0\n popfq\n1: lea rdi, [rdi + 1]\n dec ecx\n jnz 1b");
static int on_step(struct frame *f) {
  if (f->vector != 1) return 0;
  hits++;
  write_dr6(0xffff0ff0);
  return 1;
}
TEST(hot_single_steps) {
  for (int i = 0; i < 5; i++) CHECK(!CAUGHT(code_unstepped, 0));
  hook = on_step;
  for (int i = 0; i < 3; i++) {
    hits = 0;
    CHECK(!CAUGHT(code_stepped, 7));
    CHECK_EQ(hits, 50 * 3 + 3);
    /* and the loop that was never stepped, with TF from outside */
    hits = 0;
    asm volatile("mov rdi, 5\n pushfq\n or qword ptr [rsp], 0x100\n popfq\n call code_plain\n pushfq\n and qword ptr [rsp], -0x101\n popfq"
                 : : : "rdi", "rcx", "rax", "memory", "cc");
    CHECK_EQ(hits, 1 + 1 + 40 * 2 + 1 + 2 + 1);
  }
}
CODE(code_plain, "mov ecx, 40\n1: dec ecx\n jnz 1b");

/* ---- floating point ---- */

CODE(code_sse, "mov ecx, 200\n cvtsi2sd xmm0, ecx\n cvtsi2sd xmm2, rdi\n1: divsd xmm0, xmm2\n movq rax, xmm0\n dec ecx\n jnz 1b");
CODE(code_x87, "mov ecx, 200\n fninit\n1: fld1\n faddp st(1), st\n fninit\n fld1\n fld1\n faddp st(1), st\n fstp st(0)\n dec ecx\n jnz 1b");
TEST(hot_task_switched) {
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 4; i++) CHECK(!CAUGHT(code_sse, 3));
    write_cr0(read_cr0() | 8);
    CHECK(CAUGHT(code_sse, 3));
    CHECK_TRAP(7, 0);
    CHECK_EQ(last.rcx, 200);
    CHECK(CAUGHT(code_x87, 3));
    CHECK_TRAP(7, 0);
    asm volatile("clts");
    CHECK(!CAUGHT(code_x87, 3));
    write_cr0(read_cr0() | 4);
    CHECK(CAUGHT(code_sse, 3));
    CHECK_TRAP(6, 0);
    write_cr0(read_cr0() & ~4ull);
    write_cr4(read_cr4() & ~0x200ull);
    CHECK(CAUGHT(code_sse, 3));
    CHECK_TRAP(6, 0);
    write_cr4(read_cr4() | 0x200);
  }
}
static u64 third(u32 mxcsr) {
  u64 bits;
  asm volatile("ldmxcsr %1\n mov edi, 3\n mov ecx, 400\n cvtsi2sd xmm3, edi\n1: mov eax, 1\n cvtsi2sd xmm0, eax\n divsd xmm0, xmm3\n dec ecx\n jnz 1b\n movq %0, xmm0"
               : "=r"(bits) : "m"(mxcsr) : "rdi", "rcx", "rax", "cc");
  return bits;
}
static u32 mxcsr_now(void) { u32 v; asm volatile("stmxcsr %0" : "=m"(v)); return v; }
TEST(hot_rounding_changes) {
  for (int i = 0; i < 6; i++) {
    CHECK_EQ(third(0x1f80), 0x3fd5555555555555);
    CHECK_EQ(mxcsr_now(), 0x1fa0);
    CHECK_EQ(third(0x5fa0), 0x3fd5555555555556); /* up */
    CHECK_EQ(third(0x3f80), 0x3fd5555555555555); /* down */
    CHECK_EQ(mxcsr_now(), 0x3fa0);
  }
}
CODE(code_inexact, "mov ecx, 300\n cvtsi2sd xmm3, rdi\n1: mov eax, 8\n cvtsi2sd xmm0, eax\n divsd xmm0, xmm3\n cmp ecx, 100\n jne 2f\n inc rdi\n cvtsi2sd xmm3, rdi\n2: dec ecx\n jnz 1b");
TEST(hot_exception_unmasked) {
  NEED(!on_tcg, "TCG raises no SIMD exceptions");
  /* exact for 200 rounds, then not: #XM at the division, in that round */
  u32 mxcsr = 0x0f80;
  for (int i = 0; i < 4; i++) {
    asm volatile("ldmxcsr %0" : : "m"(mxcsr));
    CHECK(CAUGHT(code_inexact, 2));
    CHECK_TRAP(19, 0);
    CHECK_EQ(last.rcx, 99);
    CHECK_EQ(mxcsr_now(), 0x0fa0);
  }
  mxcsr = 0x1f80;
  asm volatile("ldmxcsr %0" : : "m"(mxcsr));
  CHECK(!CAUGHT(code_inexact, 2));
  CHECK_EQ(mxcsr_now(), 0x1fa0);
}

/* ---- segments and modes ---- */

CODE(code_segment, "mov ecx, 300\n xor eax, eax\n1: add eax, fs:[rdi]\n add eax, gs:[rdi + 4]\n dec ecx\n jnz 1b");
TEST(hot_segment_bases) {
  u64 one = map(FREE_PAGE, PAGE(0) | P | W), two = map(FREE_PAGE + 1, PAGE(1) | P | W);
  for (int i = 0; i < 1024; i++) ((u32 *)one)[i] = i, ((u32 *)two)[i] = 1000 + i;
  for (int i = 0; i < 20; i++) {
    wrmsr(0xc0000100, i & 1 ? one : two);
    wrmsr(0xc0000101, i & 2 ? one : two);
    u64 v;
    asm volatile("mov edi, 40\n call code_segment" : "=a"(v) : : "rdi", "rcx", "memory", "cc");
    CHECK_EQ(v, 300ull * ((i & 1 ? 10 : 1010) + (i & 2 ? 11 : 1011)));
  }
}

/* 48 ff c0: INC RAX, or DEC EAX; INC EAX. 66 48 01 d0: ADD RAX, RDX, or DEC AX; ADD EAX, EDX. */
SNIPPET(user_both, "mov ebx, 400\n xor eax, eax\n mov edx, 7\n1: .byte 0x48, 0xff, 0xc0\n .byte 0x66, 0x48, 0x01, 0xd0\n sub ebx, 1\n jnz 1b\n int 0x80");
TEST(hot_both_modes) {
  for (int i = 0; i < 6; i++) {
    run_user(user_both, 64, 2);
    CHECK_EQ(last.vector, 0x80);
    CHECK_EQ(last.rax, 400 * 8);
    run_user(user_both, 32, 2);
    CHECK_EQ(last.vector, 0x80);
    CHECK_EQ(last.rax, 0x10000 + 400 * 6); /* 66 48 is DEC AX: it borrowed once, from 16 bits */
  }
}

/* A call out of a hot loop into a page that goes away, comes back, and is not executable. */
TEST(hot_callee_taken_away) {
  CODE(code_calls, "mov ecx, 200\n xor edx, edx\n1: call rdi\n add edx, eax\n dec ecx\n jnz 1b");
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  u8 *p = scratch_page(0);
  p[0] = 0xb8, p[1] = 9, p[2] = p[3] = p[4] = 0, p[5] = 0xc3;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 4; i++) CHECK(!CAUGHT(code_calls, va));
    map(FREE_PAGE, 0);
    CHECK(CAUGHT(code_calls, va));
    CHECK_TRAP(14, has_nx() || has_smep() ? 0x10 : 0);
    CHECK_EQ(last.rip, va);
    CHECK_EQ(last.rcx, 200);
    if (has_nx()) {
      map(FREE_PAGE, PAGE(0) | P | NX);
      CHECK(CAUGHT(code_calls, va));
      CHECK_TRAP(14, 0x11);
    }
    if (has_smep()) {
      map(FREE_PAGE, PAGE(0) | P | U);
      for (int i = 0; i < 4; i++) CHECK(!CAUGHT(code_calls, va));
      write_cr4(read_cr4() | 1 << 20);
      CHECK(CAUGHT(code_calls, va));
      CHECK_TRAP(14, 0x11);
      write_cr4(read_cr4() & ~(1ull << 20));
    }
    map(FREE_PAGE, PAGE(0) | P);
  }
}

/* ---- interrupts in hot loops, with flags and registers alive ---- */

static volatile u32 ticks;
static int on_tick(struct frame *f) {
  if (f->vector != 0x60) return 0;
  ticks++;
  *(volatile u32 *)0xfee000b0ull = 0;
  return 1;
}
TEST(hot_interrupted) {
  volatile u32 *apic = (volatile u32 *)0xfee00000ull;
  wrmsr(0x1b, 0xfee00900);
  apic[0xf0 / 4] = 0x1ff;
  apic[0x80 / 4] = 0;
  hook = on_tick;
  ticks = 0;
  apic[0x3e0 / 4] = 0xb; /* divide by 1 */
  apic[0x320 / 4] = 0x20060; /* periodic */
  apic[0x380 / 4] = 20000;
  u64 low = 0, high = 0, x = 0x9e3779b97f4a7c15, rounds = 0, wrong = 0;
  asm volatile("sti");
  while (ticks < 40 && rounds < 4000) {
    u64 a = 0, b = 0, c = 500, before = low;
    /* a 128-bit sum: the carry lives from one instruction to the next, the rest across the loop */
    asm volatile("1: add %0, %3\n adc %1, 0\n dec %2\n jnz 1b" : "+r"(a), "+r"(b), "+r"(c) : "r"(x) : "cc");
    unsigned __int128 want = (unsigned __int128)x * 500;
    wrong += a != (u64)want || b != (u64)(want >> 64);
    low = before + a, high += b, rounds++;
  }
  asm volatile("cli");
  apic[0x320 / 4] = 0x10000;
  apic[0x380 / 4] = 0;
  hook = 0;
  CHECK_EQ(wrong, 0);
  CHECK(ticks > 0);
  CHECK_EQ(low, (u64)((unsigned __int128)x * 500 * rounds));
}
