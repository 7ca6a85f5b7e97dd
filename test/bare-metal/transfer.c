/* Control transfers between segments and privilege levels: IRET, SYSCALL, SYSENTER, far calls, call gates. */
#include "kernel.h"

SNIPPET(user_end, "int 0x80");
SNIPPET(user_flags, "pushfq\n pop rax\n int 0x80");
SNIPPET(user_syscall, "mov eax, 0x1234\n syscall\n after_syscall: int 0x80");
SNIPPET32(user_syscall32, "syscall\n int 0x80");
SNIPPET(user_sysenter, "sysenter");
SNIPPET(user_selectors, "mov eax, ds\n mov ebx, es\n mov ecx, fs\n mov edx, gs\n int 0x80");
SNIPPET32(user_compat, "dec eax\n mov eax, eax\n push eax\n int 0x80"); /* 48 89 c0 would be one instruction in 64-bit code */
extern u8 after_syscall[];

static struct frame iret_frame;
static void do_enter(struct frame *f) { enter(f); }

static int iret_trap(u64 rip, u64 cs, u64 rflags, u64 rsp, u64 ss) {
  memset(&iret_frame, 0, sizeof iret_frame);
  iret_frame.rip = rip; iret_frame.cs = cs; iret_frame.rflags = rflags; iret_frame.rsp = rsp; iret_frame.ss = ss;
  last.vector = ~0ull;
  do_enter(&iret_frame);
  return last.vector;
}

TEST(iret_same_privilege) {
  u64 rsp, flags;
  asm volatile("mov rcx, rsp\n push 0x18\n push rcx\n push 0x246\n push 0x10\n lea rax, [rip + 1f]\n push rax\n and dword ptr [rsp + 16], 0xfffffdff\n iretq\n1: mov rax, rsp\n sub rax, rcx\n pushfq\n pop rdx"
               : "=a"(rsp), "=d"(flags) : : "rcx", "memory");
  CHECK_EQ(rsp, 0);
  CHECK_EQ(flags & 0x44, 0x44);
}

TEST(iret_to_user) {
  CHECK_EQ(iret_trap(USER_VA(user_flags), USER_CS64, 0xcd7 | 0x3000, USER_STACK_TOP - 8, USER_SS), 0x80);
  CHECK_EQ(last.rax & 0x3fff, (0xcd7 & ~0x28 & 0x3fff) | 0x3000 | 2);
  CHECK_EQ(last.rsp, USER_STACK_TOP - 8);
  CHECK_EQ(iret_trap(USER_VA(user_compat), USER_CS32, 2, USER_STACK_TOP, USER_SS), 0x80);
  CHECK_EQ(last.rsp, USER_STACK_TOP - 4);
  CHECK_EQ(last.rax, 0xffffffff);
  CHECK_EQ(last.cs, USER_CS32);
}

TEST(iret_nulls_segments) {
  /* kernel data in DS, user data in ES: going out, only the former becomes null */
  struct frame f = {0};
  f.rip = USER_VA(user_selectors); f.cs = USER_CS64; f.rflags = 2; f.rsp = USER_STACK_TOP; f.ss = USER_SS;
  asm volatile("mov ds, %0\n mov es, %1\n mov fs, %0\n mov gs, %1" : : "r"(KERNEL_SS), "r"(USER_SS));
  enter(&f);
  u64 a = last.rax, b = last.rbx, c = last.rcx, d = last.rdx;
  asm volatile("mov fs, %0\n mov gs, %0" : : "r"(0));
  CHECK_EQ(a, 0);
  CHECK_EQ(b, USER_SS);
  CHECK_EQ(c, 0);
  CHECK_EQ(d, USER_SS);
}

TEST(iret_faults) {
  u64 rip = USER_VA(user_end), sp = USER_STACK_TOP;
  CHECK_EQ(iret_trap(0x800000000000, KERNEL_CS, 2, sp, KERNEL_SS), 13);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(iret_trap(rip, 0, 2, sp, USER_SS), 13);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(last.rip, enter_iret);
  CHECK_EQ(iret_trap(rip, USER_SS, 2, sp, USER_SS), 13);
  CHECK_EQ(last.error, USER_SS & ~3);
  CHECK_EQ(iret_trap(rip, 0x1003, 2, sp, USER_SS), 13);
  CHECK_EQ(last.error, 0x1000);
  CHECK_EQ(iret_trap(rip, USER_CS64, 2, sp, KERNEL_SS), 13);
  CHECK_EQ(last.error, KERNEL_SS);
  CHECK_EQ(iret_trap(rip, USER_CS64, 2, sp, 0), 13);
  CHECK_EQ(last.error, 0);
  gdt[9] = gdt[6] & ~(1ull << 47);
  CHECK_EQ(iret_trap(rip, TEST_SELECTOR | 3, 2, sp, USER_SS), 11);
  CHECK_EQ(last.error, TEST_SELECTOR);
  gdt[9] = gdt[5] & ~(1ull << 47);
  CHECK_EQ(iret_trap(rip, USER_CS64, 2, sp, TEST_SELECTOR | 3), on_tcg ? 11 : 12);
  CHECK_EQ(last.error, TEST_SELECTOR);
  if (on_tcg) return;
  gdt[9] = gdt[6] | 1ull << 54; /* L and D both set */
  CHECK_EQ(iret_trap(rip, TEST_SELECTOR | 3, 2, sp, USER_SS), 13);
  CHECK_EQ(last.error, TEST_SELECTOR);
}

TEST(iret_nested_task) {
  CODE(code_iret_nt, "pushfq\n or dword ptr [rsp], 0x4000\n popfq\n iret_nt_here: iretq");
  extern u8 iret_nt_here[];
  CHECK(CAUGHT(code_iret_nt, 0));
  CHECK_TRAP(13, 0);
  CHECK_EQ(last.rip, iret_nt_here);
}

TEST(iret_32_bit_operands) {
  u64 r;
  asm volatile("mov rcx, rsp\n lea rsp, [iretd_stack + 512]\n push 0\n sub rsp, 20\n mov dword ptr [rsp + 16], 0x18\n mov dword ptr [rsp + 12], offset iretd_stack + 256\n mov dword ptr [rsp + 8], 2\n mov dword ptr [rsp + 4], 0x10\n mov dword ptr [rsp], offset 1f\n .byte 0xcf\n1: mov rax, rsp\n mov rsp, rcx\n.pushsection .bss\niretd_stack: .skip 512\n.popsection"
               : "=a"(r) : : "rcx", "memory");
  extern u8 iretd_stack[];
  CHECK_EQ(r, iretd_stack + 256);
}

TEST(syscall_64) {
  USER64(user_syscall);
  CHECK_EQ(last.vector, 0x100);
  CHECK_EQ(last.rcx, USER_VA(after_syscall));
  CHECK_EQ(last.r11 & ~0x8d5ull, 2);
  CHECK_EQ(last.cs, KERNEL_CS);
  CHECK_EQ(last.rax, 0x1234);
  run_user(user_syscall, 64, 0xcd7 & ~0x100); /* flags masked by FMASK */
  CHECK_EQ(last.vector, 0x100);
  CHECK_EQ(last.r11, 0xcd7 & ~0x128);
  CHECK_EQ(last.rflags & 0x47700, 0);
  if (!on_tcg) CHECK_EQ(last.rflags & 0x8d5, last.r11 & 0x8d5);
  wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ull);
  USER64(user_syscall);
  CHECK_TRAP(6, 0);
}

TEST(syscall_compat) {
  USER32(user_syscall32);
  CHECK_EQ(last.vector, is_intel && !on_tcg ? 6 : 0x102);
}

CODE(code_sysret, "mov [sysret_rsp], rsp\n mov rcx, rdi\n mov r11d, 0x3cd7\n mov rsp, 0x12345678\n sysretq\n.pushsection .bss\nsysret_rsp: .quad 0\n.popsection");
CODE(code_sysret_far, "mov rcx, rdi\n mov r11d, 0x202\n sysretq");
CODE(code_sysret32, "mov rcx, rdi\n mov r11d, 0x202\n sysretl_here: .byte 0x0f, 0x07");

TEST(sysret) {
  CHECK(CAUGHT(code_sysret, USER_VA(user_flags)));
  CHECK_EQ(last.vector, 14); /* its push meets the stack 0x12345678, a supervisor page */
  CHECK_EQ(last.error, 7);
  CHECK_EQ(last.cs, USER_CS64);
  CHECK_EQ(last.ss, USER_SS);
  CHECK_EQ(last.rsp, 0x12345678);
  CHECK_EQ(last.rflags & 0x3fff, 0x3cd7 & ~0x28);
  CHECK(CAUGHT(code_sysret32, USER_VA(user_compat)));
  CHECK_EQ(last.cs, USER_CS32);
  CHECK_EQ(last.ss, USER_SS);
  if (is_intel && !on_tcg) {
    CHECK(CAUGHT(code_sysret_far, 0x800000000000));
    CHECK_TRAP(13, 0);
    CHECK_EQ(last.cs, KERNEL_CS);
  }
}

TEST(sysenter) {
  wrmsr(0x174, 0);
  USER64(user_sysenter);
  NEED(last.vector != 6, "no SYSENTER in long mode");
  CHECK_TRAP(13, 0);
  wrmsr(0x174, KERNEL_CS);
  wrmsr(0x175, (u64)boot_stack_top - 0x8000);
  wrmsr(0x176, (u64)sysenter_entry);
  run_user(user_sysenter, 64, 0x246 & ~0x200);
  CHECK_EQ(last.vector, 0x101);
  CHECK_EQ(last.cs, KERNEL_CS);
  CHECK_EQ(last.rsp, (u64)boot_stack_top - 0x8000);
  CHECK_EQ(last.rflags & 0x44, 0x44);
  USER32(user_sysenter);
  CHECK_EQ(last.vector, 0x101);
  CODE(code_sysexit, "mov rdx, rdi\n mov rcx, rsi\n mov rcx, [sysexit_stack]\n .byte 0x48, 0x0f, 0x35\n.pushsection .bss\nsysexit_stack: .quad 0\n.popsection");
  CODE(code_sysexit32, "mov rdx, rdi\n mov rcx, [sysexit_stack]\n .byte 0x0f, 0x35");
  extern u64 sysexit_stack;
  sysexit_stack = USER_STACK_TOP;
  CHECK(CAUGHT(code_sysexit, USER_VA(user_end)));
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.cs, USER_CS64);
  CHECK_EQ(last.ss, USER_CS64 + 8);
  CHECK_EQ(last.rsp, USER_STACK_TOP);
  CHECK(CAUGHT(code_sysexit32, USER_VA(user_compat)));
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.cs, USER_CS32);
  CHECK_EQ(last.ss, USER_SS);
  CHECK_EQ(last.rsp, USER_STACK_TOP - 4);
  wrmsr(0x174, 0);
}

TEST(far_transfers) {
  u64 cs, ok = 0;
  /* RETFQ, JMP m16:64, CALL m16:64 to 64-bit code */
  asm volatile("push 0x10\n lea rax, [rip + 1f]\n push rax\n .byte 0x48, 0xcb\n1: mov eax, cs" : "=a"(cs) : : "memory");
  CHECK_EQ(cs, KERNEL_CS);
  static struct { u64 rip; u16 cs; } __attribute__((packed)) target;
  target.cs = KERNEL_CS;
  asm volatile("lea rax, [rip + 1f]\n mov [%1], rax\n .byte 0x48, 0xff, 0x2b\n ud2\n1: mov %0, 1" : "=r"(ok) : "b"(&target) : "rax", "memory");
  CHECK_EQ(ok, 1);
  asm volatile("lea rax, [rip + 2f]\n mov [rbx], rax\n mov rcx, rsp\n .byte 0x48, 0xff, 0x1b\n sub rcx, rsp\n jmp 3f\n2: mov rdx, [rsp + 8]\n .byte 0x48, 0xcb\n3:" : "=c"(ok), "=d"(cs) : "b"(&target) : "rax", "memory");
  CHECK_EQ(ok, 0);
  CHECK_EQ(cs & 0xffff, KERNEL_CS);
}

TEST(far_to_compatibility_mode) {
  u32 v;
  /* kernel in compatibility mode: 32-bit pushes, flat segments, and back */
  asm volatile("mov rcx, rsp\n lea rsp, [compat_stack + 256]\n push 8\n lea rax, [compat_code]\n push rax\n .byte 0x48, 0xcb\n"
               ".pushsection .text.code, \"ax\"\n.code32\ncompat_code: mov eax, esp\n push eax\n sub eax, esp\n add eax, 0x100\n dec eax\n ljmp 0x10, offset compat_back\n.code64\n.popsection\n"
               ".pushsection .bss\n.balign 16\ncompat_stack: .skip 256\n.popsection\n"
               "compat_back: mov rsp, rcx" : "=a"(v) : : "rcx", "rdx", "memory");
  CHECK_EQ(v, 0x103);
}

static void call_gate(int selector, u64 target, u16 cs, int dpl) {
  int i = selector / 8;
  gdt[i] = (target & 0xffff) | (u64)cs << 16 | (0x8cull | dpl << 5) << 40 | (target >> 16 & 0xffff) << 48;
  gdt[i + 1] = target >> 32;
}

SNIPPET(user_call_gate, "push 0x48\n push 0\n .byte 0x48, 0xff, 0x1c, 0x24\n after_gate: int 0x80"); /* call far [rsp] */
extern u8 after_gate[];

TEST(call_gate) {
  call_gate(TEST_SELECTOR, (u64)gate_entry, KERNEL_CS, 3);
  USER64(user_call_gate);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.cs, USER_CS64);
  CHECK_EQ(last.rsp, USER_STACK_TOP - 16);
  CHECK_EQ(gate_frame[0], USER_VA(after_gate));
  CHECK_EQ(gate_frame[1] & 0xffff, USER_CS64);
  CHECK_EQ(gate_frame[2], USER_STACK_TOP - 16);
  CHECK_EQ(gate_frame[3] & 0xffff, USER_SS);
  CHECK_EQ(gate_frame[4], KERNEL_CS);
  CHECK_EQ(gate_frame[5], (u64)trap_stack_top - 32);
  call_gate(TEST_SELECTOR, (u64)gate_entry, KERNEL_CS, 0);
  USER64(user_call_gate);
  CHECK_TRAP(13, TEST_SELECTOR);
  call_gate(TEST_SELECTOR, (u64)gate_entry, KERNEL_CS, 3);
  gdt[9] &= ~(1ull << 47);
  USER64(user_call_gate);
  CHECK_TRAP(11, TEST_SELECTOR);
  call_gate(TEST_SELECTOR, (u64)gate_entry, KERNEL_CS32, 3);
  USER64(user_call_gate);
  CHECK_TRAP(13, KERNEL_CS32);
  call_gate(TEST_SELECTOR, (u64)gate_entry, 0, 3);
  USER64(user_call_gate);
  CHECK_TRAP(13, 0);
}

SNIPPET(user_retf_kernel, "push 0x10\n lea rax, [rip]\n push rax\n .byte 0x48, 0xcb");
TEST(far_faults) {
  USER64(user_retf_kernel);
  CHECK_TRAP(13, KERNEL_CS);
  SNIPPET(user_far_data, "push 0x2b\n push 0\n .byte 0x48, 0xff, 0x2c, 0x24");
  USER64(user_far_data);
  CHECK_TRAP(13, USER_SS & ~3);
  SNIPPET(user_far_null, "push 0\n push 0\n .byte 0x48, 0xff, 0x2c, 0x24");
  USER64(user_far_null);
  CHECK_TRAP(13, 0);
}

TEST(swapgs_and_bases) {
  wrmsr(0xc0000101, 0x1111);
  wrmsr(0xc0000102, 0x222233334444);
  asm volatile("swapgs");
  CHECK_EQ(rdmsr(0xc0000101), 0x222233334444);
  CHECK_EQ(rdmsr(0xc0000102), 0x1111);
  wrmsr(0xc0000101, (u64)scratch_page(0));
  *(u64 *)(scratch_page(0) + 8) = 0x77;
  u64 v;
  asm volatile("mov %0, gs:[8]" : "=r"(v));
  CHECK_EQ(v, 0x77);
  CODE(code_bad_base, "mov ecx, 0xc0000100\n mov eax, 0\n mov edx, 0x8000\n wrmsr");
  if (!on_tcg) {
    CHECK(CAUGHT(code_bad_base, 0));
    CHECK_TRAP(13, 0);
  }
  NEED(has_fsgsbase(), "no FSGSBASE");
  CODE(code_rdfsbase, "rdfsbase rax");
  CHECK(CAUGHT(code_rdfsbase, 0));
  CHECK_TRAP(6, 0);
  write_cr4(read_cr4() | 0x10000);
  asm volatile("mov rax, 0x123456789a\n wrfsbase rax\n rdfsbase %0" : "=r"(v) : : "rax");
  CHECK_EQ(v, 0x123456789a);
  CHECK_EQ(rdmsr(0xc0000100), 0x123456789a);
  CODE(code_wrfsbase, "mov rax, 0x800000000000\n wrfsbase rax");
  if (!on_tcg) {
    CHECK(CAUGHT(code_wrfsbase, 0));
    CHECK_TRAP(13, 0);
  }
  SNIPPET(user_wrgsbase, "mov eax, 0x5555\n wrgsbase rax\n rdgsbase rbx\n int 0x80");
  USER64(user_wrgsbase);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.rbx, 0x5555);
}

TEST(interrupt_shadow_of_flags_at_user) {
  /* POPF at CPL 3, IOPL 0 changes neither IF nor IOPL, silently */
  SNIPPET(user_popf, "push 0x3202\n popfq\n pushfq\n pop rax\n int 0x80");
  USER64(user_popf);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.rax, 2);
}
