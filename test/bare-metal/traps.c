/* SDM volume 3, chapter 6: every exception with vector, error code, saved RIP and flags; double faults; IST. */
#include "kernel.h"

CODE(code_divide, "xor ecx, ecx\n mov eax, 1\n xor edx, edx\n div_here: div ecx");
CODE(code_int3, "int3");
CODE(code_icebp, ".byte 0xf1");
CODE(code_ud2, "ud2");
CODE(code_int80, "int 0x80");
extern u8 div_here[];
SNIPPET(user_int80, "int 0x80");
SNIPPET(user_int81, "int 0x81");
SNIPPET(user_int3, "int3");
SNIPPET32(user_into, "mov al, 0x7f\n inc al\n into\n");
SNIPPET32(user_bound, "mov eax, 5\n bound eax, [edi]\n mov eax, 7\n bound_here: bound eax, [edi]");
extern u8 bound_here[];

TEST(trap_divide) {
  CHECK(CAUGHT(code_divide, 0));
  CHECK_TRAP(0, 0);
  CHECK_EQ(last.rip, div_here);
  CHECK_EQ(last.rax, 1);
  CODE(code_idiv_overflow, "mov rax, 0x8000000000000000\n cqo\n mov rcx, -1\n idiv rcx");
  CHECK(CAUGHT(code_idiv_overflow, 0));
  CHECK_TRAP(0, 0);
}

TEST(trap_software) {
  CHECK(CAUGHT(code_int3, 0));
  CHECK_TRAP(3, 0);
  CHECK_EQ(last.rip, code_int3 + 1);
  if (!on_tcg) {
    CHECK(CAUGHT(code_icebp, 0));
    CHECK_TRAP(1, 0);
    CHECK_EQ(last.rip, code_icebp + 1);
  }
  CHECK(CAUGHT(code_ud2, 0));
  CHECK_TRAP(6, 0);
  CHECK_EQ(last.rip, code_ud2);
  CHECK(CAUGHT(code_int80, 0));
  CHECK_TRAP(0x80, 0);
  CHECK_EQ(last.rip, code_int80 + 2);
}

TEST(trap_software_from_user) {
  USER64(user_int80);
  CHECK_TRAP(0x80, 0);
  CHECK_EQ(last.rip, USER_VA(user_int80) + 2);
  CHECK_EQ(last.cs, USER_CS64);
  CHECK_EQ(last.ss, USER_SS);
  CHECK_EQ(last.rsp, USER_STACK_TOP);
  CHECK_EQ(last_frame, (u64)trap_stack_top - sizeof(struct frame));
  USER64(user_int81); /* a gate of DPL 0 */
  CHECK_TRAP(13, IDT_ERROR(0x81));
  CHECK_EQ(last.rip, USER_VA(user_int81));
  USER64(user_int3);
  CHECK_TRAP(13, IDT_ERROR(3));
  idt[3].type = 0xee;
  USER64(user_int3);
  CHECK_TRAP(3, 0);
  USER32(user_int80);
  CHECK_TRAP(0x80, 0);
  CHECK_EQ(last.cs, USER_CS32);
}

TEST(trap_overflow_bound) {
  idt[4].type = 0xee;
  USER32(user_into);
  CHECK_TRAP(4, 0);
  CHECK_EQ(last.rip, USER_VA(user_into) + 5);
  map(FREE_PAGE, (u64)scratch_page(0) | P | W | U);
  ((u32 *)scratch_page(0))[0] = 5;
  ((u32 *)scratch_page(0))[1] = 6;
  user_regs.rdi = PAGE_VA(FREE_PAGE);
  USER32(user_bound);
  CHECK_TRAP(5, 0);
  CHECK_EQ(last.rip, USER_VA(bound_here));
  SNIPPET(user_into64, ".byte 0xce");
  USER64(user_into64);
  CHECK_TRAP(6, 0);
}

TEST(trap_gate_flags) {
  CODE(code_flags, "push 0x4647\n popfq\n int 0x90\n push 2\n popfq"); /* NT IF DF ZF PF */
  extern u8 flag_probe[];
  asm(".pushsection .text.code, \"ax\"\nflag_probe: pushfq\n pop [probe_seen]\n jmp [probe_next]\n.popsection\n.pushsection .bss\nprobe_seen: .quad 0\nprobe_next: .quad 0\n.popsection");
  extern u64 probe_seen, probe_next;
  probe_next = (u64)(trap_stubs + 0x90 * 16);
  set_gate(0x90, flag_probe, 0x8e, 0);
  CHECK(CAUGHT(code_flags, 0));
  CHECK_EQ(last.rflags & 0x4600, 0x4600);
  CHECK_EQ(probe_seen & 0x4300, 0); /* NT, IF, TF off */
  CHECK_EQ(probe_seen & 0x400, 0x400);
  set_gate(0x90, flag_probe, 0x8f, 0);
  CHECK(CAUGHT(code_flags, 0));
  CHECK_EQ(probe_seen & 0x4200, 0x200); /* a trap gate leaves IF */
}

TEST(trap_resume_flag) {
  CHECK(CAUGHT(code_ud2, 0));
  if (!on_tcg) CHECK(last.rflags & 0x10000); /* faults push RF = 1 */
  CHECK(CAUGHT(code_int3, 0));
  CHECK(!(last.rflags & 0x10000));
}

TEST(trap_stack_alignment) {
  CODE(code_odd_stack, "mov rcx, rsp\n and rsp, -16\n sub rsp, 5\n ud2");
  CHECK(CAUGHT(code_odd_stack, 0));
  CHECK_EQ(last_frame + sizeof(struct frame), last.rsp & -16);
  CHECK_EQ(last.rsp & 15, 11);
  CHECK_EQ(last.ss, KERNEL_SS);
}

TEST(trap_ist) {
  set_gate(6, trap_stubs + 6 * 16, 0x8e, 1);
  CHECK(CAUGHT(code_ud2, 0));
  CHECK_EQ(last_frame, (u64)ist_stack_top - sizeof(struct frame));
  SNIPPET(user_ud2, "ud2");
  USER64(user_ud2);
  CHECK_EQ(last_frame, (u64)ist_stack_top - sizeof(struct frame));
  set_gate(0x80, trap_stubs + 0x80 * 16, 0xee, 2);
  USER64(user_int80);
  CHECK_EQ(last_frame, (u64)ist2_stack_top - sizeof(struct frame));
}

TEST(trap_device_not_available) {
  CODE(code_fnop, "fnop");
  CODE(code_fwait, "fwait");
  CODE(code_sse, "xorps xmm0, xmm0");
  CODE(code_mmx, "pxor mm0, mm0");
  write_cr0(read_cr0() | 8);
  CHECK(CAUGHT(code_fnop, 0));
  CHECK_TRAP(7, 0);
  CHECK(CAUGHT(code_fwait, 0));
  CHECK_TRAP(7, 0);
  CHECK(CAUGHT(code_sse, 0));
  CHECK_TRAP(7, 0);
  CHECK(CAUGHT(code_mmx, 0));
  CHECK_TRAP(7, 0);
  CODE(code_clts, "clts\n fnop");
  CHECK(!CAUGHT(code_clts, 0));
  write_cr0((read_cr0() & ~2ull) | 8); /* MP off: WAIT ignores TS */
  CHECK(!CAUGHT(code_fwait, 0));
  write_cr0((read_cr0() & ~8ull) | 4);
  CHECK(CAUGHT(code_fnop, 0));
  CHECK_TRAP(7, 0);
  CHECK(CAUGHT(code_sse, 0));
  CHECK_TRAP(6, 0);
  if (!on_tcg) {
    CHECK(CAUGHT(code_mmx, 0));
    CHECK_TRAP(6, 0);
  }
  reset_machine();
  write_cr4(read_cr4() & ~0x200ull);
  CHECK(CAUGHT(code_sse, 0));
  CHECK_TRAP(6, 0);
  write_cr4(read_cr4() | 0x200);
}

TEST(trap_floating_point) {
  CODE(code_x87, "fninit\n push 0x37b\n fldcw [rsp]\n pop rax\n fld1\n fldz\n fdivp\n x87_here: fwait\n");
  extern u8 x87_here[];
  CHECK(CAUGHT(code_x87, 0));
  CHECK_TRAP(16, 0);
  CHECK_EQ(last.rip, x87_here);
  CODE(code_clear, "fnclex\n fninit");
  CHECK(!CAUGHT(code_clear, 0));
  CODE(code_sse_divide, "push 0x1d80\n ldmxcsr [rsp]\n pop rax\n mov eax, 1\n cvtsi2sd xmm0, eax\n xorpd xmm1, xmm1\n sse_here: divsd xmm0, xmm1");
  extern u8 sse_here[];
  if (on_tcg) return; /* it never raises #XM */
  CHECK(CAUGHT(code_sse_divide, 0));
  CHECK_TRAP(19, 0);
  CHECK_EQ(last.rip, sse_here);
  write_cr4(read_cr4() & ~0x400ull);
  CHECK(CAUGHT(code_sse_divide, 0));
  CHECK_TRAP(6, 0);
  write_cr4(read_cr4() | 0x400);
}

TEST(trap_alignment) {
  NEED(!on_tcg, "TCG checks no alignment");
  SNIPPET(user_unaligned, "mov eax, [rdi + 1]\n int 0x80");
  SNIPPET(user_aligned, "mov eax, [rdi + 4]\n mov al, [rdi + 1]\n int 0x80");
  user_regs.rdi = USER_STACK_TOP - 64;
  USER64(user_unaligned);
  CHECK_EQ(last.vector, 0x80);
  write_cr0(read_cr0() | 1 << 18);
  USER64(user_unaligned);
  CHECK_EQ(last.vector, 0x80);
  run_user(user_unaligned, 64, 0x40002);
  CHECK_TRAP(17, 0);
  CHECK_EQ(last.rip, USER_VA(user_unaligned));
  run_user(user_aligned, 64, 0x40002);
  CHECK_EQ(last.vector, 0x80);
}

TEST(trap_missing_gate) {
  idt[6].type = 0x0e;
  CHECK(CAUGHT(code_ud2, 0));
  CHECK_EQ(last.vector, 11);
  CHECK_EQ(last.error & ~1, IDT_ERROR(6));
  if (!on_tcg) CHECK_EQ(last.error & 1, 1); /* EXT: not by an INT instruction */
  CHECK_EQ(last.rip, code_ud2);
  idt[0x80].type = 0x0e;
  CHECK(CAUGHT(code_int80, 0));
  CHECK_TRAP(11, IDT_ERROR(0x80));
  CHECK_EQ(last.rip, code_int80);
  idt[0x80].type = 0x80; /* no gate at all */
  CHECK(CAUGHT(code_int80, 0));
  CHECK_TRAP(13, IDT_ERROR(0x80));
  idt[0x80].type = 0x8e;
  idt[0x80].selector = 0;
  CHECK(CAUGHT(code_int80, 0));
  CHECK_TRAP(13, 0);
  idt[0x80].selector = KERNEL_SS;
  CHECK(CAUGHT(code_int80, 0));
  CHECK_TRAP(13, KERNEL_SS);
  idt[0x80].selector = KERNEL_CS32; /* not a 64-bit code segment */
  CHECK(CAUGHT(code_int80, 0));
  CHECK_TRAP(13, KERNEL_CS32);
}

TEST(trap_idt_limit) {
  static const struct { u16 limit; u64 base; } __attribute__((packed)) small = {32 * 16 - 1, (u64)idt};
  asm volatile("lidt %0" : : "m"(small));
  CHECK(CAUGHT(code_int80, 0));
  CHECK_TRAP(13, IDT_ERROR(0x80));
}

TEST(trap_double_fault) {
  CODE(code_gp, "mov rax, 0x800000000000\n gp_here: mov rax, [rax]");
  idt[13].type = 0x0e; /* #GP, then #NP: contributory twice */
  CHECK(CAUGHT(code_gp, 0));
  CHECK_TRAP(8, 0);
  CHECK_EQ(last_frame, (u64)ist_stack_top - sizeof(struct frame));
  idt[13].type = 0x8e;
  idt[14].type = 0x0e; /* #PF, then #NP */
  CODE(code_pf, "mov rax, [rdi]");
  CHECK(CAUGHT(code_pf, USER_BASE + 0x300000));
  CHECK_TRAP(8, 0);
  CHECK_EQ(last_cr2, USER_BASE + 0x300000);
  idt[14].type = 0x8e; /* #PF while pushing the frame of a #PF */
  CODE(code_bad_stack, "mov rsp, rdi\n push rax");
  CHECK(CAUGHT(code_bad_stack, USER_BASE + 0x300800));
  CHECK_TRAP(8, 0);
  CHECK_EQ(last.rsp, USER_BASE + 0x300800);
}

TEST(trap_fault_while_delivering) {
  /* #UD is benign: a #PF on its stack is delivered as itself */
  CODE(code_ud_bad_stack, "mov rsp, rdi\n ud2");
  set_gate(14, trap_stubs + 14 * 16, 0x8e, 1);
  CHECK(CAUGHT(code_ud_bad_stack, USER_BASE + 0x300800));
  CHECK_TRAP(14, 2);
  CHECK_EQ(last_cr2 & ~0xfffull, USER_BASE + 0x300000);
  CHECK_EQ(last.rip, code_ud_bad_stack + 3);
}

TEST(trap_privileged) {
#define PRIVILEGED(name, text) SNIPPET(user_##name, text); USER64(user_##name); if (last.vector != 13 || last.error != 0) { fail(__LINE__, #name, last.vector, 13); return; }
  PRIVILEGED(hlt, "hlt")
  PRIVILEGED(cli, "cli")
  PRIVILEGED(sti, "sti")
  PRIVILEGED(in, "in al, 0x60")
  PRIVILEGED(out, "out 0x60, al")
  PRIVILEGED(insb, "insb")
  PRIVILEGED(outsd, "outsd")
  PRIVILEGED(lgdt, "lgdt [rsp]")
  PRIVILEGED(lidt, "lidt [rsp]")
  PRIVILEGED(lldt, "xor eax, eax\n lldt ax")
  PRIVILEGED(ltr, "mov eax, 0x38\n ltr ax")
  PRIVILEGED(lmsw, "lmsw ax")
  PRIVILEGED(clts, "clts")
  PRIVILEGED(read_cr0, "mov rax, cr0")
  PRIVILEGED(write_cr3, "mov cr3, rax")
  PRIVILEGED(read_cr8, "mov rax, cr8")
  PRIVILEGED(read_dr, "mov rax, dr0")
  PRIVILEGED(write_dr, "mov dr7, rax")
  PRIVILEGED(invlpg, "invlpg [rsp]")
  PRIVILEGED(rdmsr, "mov ecx, 0x10\n rdmsr")
  PRIVILEGED(wrmsr, "mov ecx, 0x10\n wrmsr")
  PRIVILEGED(swapgs, "swapgs")
  PRIVILEGED(invd, "invd")
  PRIVILEGED(wbinvd, "wbinvd")
  PRIVILEGED(sysret, "sysretq")
}

TEST(trap_iopl) {
  SNIPPET(user_sti_cli, "sti\n cli\n in al, 0x84\n int 0x80");
  run_user(user_sti_cli, 64, 0x3002);
  CHECK_EQ(last.vector, 0x80);
  run_user(user_sti_cli, 64, 0x1002);
  CHECK_TRAP(13, 0);
}

TEST(trap_io_bitmap) {
  SNIPPET(user_in84, "in al, 0x84\n int 0x80");
  SNIPPET(user_in84_word, "in ax, 0x84\n int 0x80");
  SNIPPET(user_in_last, "mov edx, 0xffff\n in al, dx\n int 0x80");
  tss.iomap = 104;
  memset(tss.bitmap, 0xff, sizeof tss.bitmap);
  USER64(user_in84);
  CHECK_TRAP(13, 0);
  tss.bitmap[0x84 / 8] &= ~(1 << 4);
  USER64(user_in84);
  CHECK_EQ(last.vector, 0x80);
  USER64(user_in84_word);
  CHECK_TRAP(13, 0);
  tss.bitmap[0x84 / 8] &= ~(1 << 5);
  USER64(user_in84_word);
  CHECK_EQ(last.vector, 0x80);
  tss.bitmap[0x1fff] = 0x7f;
  USER64(user_in_last);
  CHECK_EQ(last.vector, 0x80);
  tss.iomap = 104 + 16; /* now the last byte lies beyond the limit */
  USER64(user_in_last);
  CHECK_TRAP(13, 0);
}

TEST(trap_bad_encodings) {
#define UNDEFINED(name, bytes) CODE(code_##name, ".byte " bytes); CAUGHT(code_##name, 0); if (last.vector != 6 || last.rip != (u64)code_##name) { fail(__LINE__, #name, last.vector, 6); return; }
  if (!on_tcg) {
    UNDEFINED(lock_mov, "0xf0, 0x89, 0x07")
    UNDEFINED(lock_add_register, "0xf0, 0x01, 0xc0")
    UNDEFINED(lock_nop, "0xf0, 0x90")
  }
  UNDEFINED(pusha, "0x60")
  UNDEFINED(aaa, "0x37")
  UNDEFINED(push_es, "0x06")
  UNDEFINED(far_call, "0x9a, 0, 0, 0, 0, 0, 0")
  UNDEFINED(ud0, "0x0f, 0xff, 0xc0")
  UNDEFINED(ud1, "0x0f, 0xb9, 0xc0")
  UNDEFINED(mov_cs, "0x8e, 0xc8")
  UNDEFINED(mov_cr1, "0x0f, 0x20, 0xc8")
  UNDEFINED(lea_register, "0x8d, 0xc0")
  UNDEFINED(group_ff_7, "0xff, 0xf8")
  UNDEFINED(cmpxchg8b_register, "0x0f, 0xc7, 0xc8")
  CODE(code_too_long, ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90");
  CHECK(CAUGHT(code_too_long, 0));
  CHECK_TRAP(13, 0);
  CODE(code_15_bytes, ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90");
  CHECK(!CAUGHT(code_15_bytes, 0));
}

TEST(trap_hook_resumes) {
  extern int trap_fix(struct frame * f);
  hook = trap_fix;
  u64 v;
  asm volatile("xor ecx, ecx\n mov eax, 12\n xor edx, edx\n div ecx" : "=a"(v) : : "rcx", "rdx", "cc");
  hook = 0;
  CHECK_EQ(v, 4);
}
int trap_fix(struct frame *f) {
  f->rcx = 3;
  return f->vector == 0;
}

TEST(trap_priority) {
  /* #DB of an instruction breakpoint comes before the fault of the instruction itself */
  CODE(code_priority, "priority_here: mov rax, [rdi]");
  asm volatile("mov dr0, %0\n mov dr7, %1" : : "r"(code_priority), "r"(0x402ull));
  CHECK(CAUGHT(code_priority, USER_BASE + 0x300000));
  CHECK_EQ(last.vector, 1);
  asm volatile("mov dr7, %0" : : "r"(0x400ull));
  CHECK(CAUGHT(code_priority, USER_BASE + 0x300000));
  CHECK_EQ(last.vector, 14);
  /* fetching comes before decoding: no #UD from bytes that are not there */
  u64 va = map(FREE_PAGE, (u64)scratch_page(0) | P | W);
  map(FREE_PAGE + 1, 0);
  *(u8 *)(va + 4095) = 0x0f;
  CODE(code_call_rdi, "call rdi");
  CHECK(CAUGHT(code_call_rdi, va + 4095));
  CHECK_EQ(last.vector, 14);
  CHECK_EQ(last_cr2, va + 4096);
}

TEST(trap_triple_fault_is_survivable_only_by_reset) {
  /* the last stop before it: #DF through a gate that works, from a stack that does not */
  CODE(code_df_bad_stack, "mov rsp, rdi\n push rax");
  CHECK(CAUGHT(code_df_bad_stack, USER_BASE + 0x300800));
  CHECK_TRAP(8, 0);
}

TEST(trap_nested_handlers) {
  extern int trap_nested(struct frame * f);
  hook = trap_nested;
  u64 depth;
  asm volatile("xor eax, eax\n int 0x90\n" : "=a"(depth) : : "memory");
  hook = 0;
  CHECK_EQ(depth, 20);
}
int trap_nested(struct frame *f) {
  if (f->vector < 0x90 || f->vector >= 0x90 + 20) return 0;
  u64 inner = 0;
  if (f->vector == 0x90 + 19) inner = 19;
  else {
    set_gate(0x90, trap_stubs + (f->vector + 1) * 16, 0x8e, 0);
    asm volatile("int 0x90" : "=a"(inner) : : "memory");
  }
  f->rax = f->vector == 0x90 ? inner + 1 : inner;
  return 1;
}
