/* SDM volume 3, chapter 18: single step, breakpoints in DR0-DR3, what DR6 and DR7 say. */
#include "kernel.h"

enum { BS = 0x4000, BD = 0x2000 };
static u64 watched[8] __attribute__((aligned(64)));
static int hits;
static u64 hit_rip[16], hit_dr6[16];

static int count_hits(struct frame *f) {
  if (f->vector != 1) return 0;
  if (hits < 16) { hit_rip[hits] = f->rip; hit_dr6[hits] = read_dr6(); }
  hits++;
  write_dr6(0xffff0ff0);
  f->rflags |= 0x10000; /* go over an instruction breakpoint */
  return hits < 200;
}
static void start(void) { hits = 0; hook = count_hits; }

CODE(code_step, "pushfq\n or dword ptr [rsp], 0x100\n popfq\n step1: nop\n step2: nop\n step3: pushfq\n step4: and dword ptr [rsp], 0xfffffeff\n popfq\n step5: nop");
extern u8 step1[], step2[], step3[], step4[], step5[];

TEST(debug_single_step) {
  start();
  CHECK(!CAUGHT(code_step, 0));
  hook = 0;
  CHECK_EQ(hits, 5); /* after step1, 2, 3, 4 and the popf that ends it */
  CHECK_EQ(hit_rip[0], step2);
  CHECK_EQ(hit_rip[1], step3);
  CHECK_EQ(hit_rip[2], step4);
  CHECK_EQ(hit_rip[4], step5);
  CHECK_EQ(hit_dr6[0] & 0xe00f, BS);
}

TEST(debug_step_mov_ss) {
  CODE(code_step_ss, "mov eax, ss\n pushfq\n or dword ptr [rsp], 0x100\n popfq\n mov ss, eax\n ss_shadow: nop\n ss_after: pushfq\n and dword ptr [rsp], 0xfffffeff\n popfq");
  extern u8 ss_after[];
  start();
  CHECK(!CAUGHT(code_step_ss, 0));
  hook = 0;
  CHECK_EQ(hit_rip[0], ss_after);
}

TEST(debug_step_repeat) {
  CODE(code_step_rep, "lea rdi, watched_area\n lea rsi, watched_area + 32\n mov ecx, 4\n pushfq\n or dword ptr [rsp], 0x100\n popfq\n rep_here: rep movsb\n rep_after: pushfq\n and dword ptr [rsp], 0xfffffeff\n popfq\n.pushsection .bss\nwatched_area: .skip 64\n.popsection");
  extern u8 rep_here[], rep_after[];
  start();
  CHECK(!CAUGHT(code_step_rep, 0));
  hook = 0;
  CHECK_EQ(hit_rip[0], rep_here);
  CHECK_EQ(hit_rip[1], rep_here);
  CHECK_EQ(hit_rip[2], rep_here);
  CHECK_EQ(hit_rip[3], rep_after);
}

TEST(debug_step_user) {
  SNIPPET(user_nops, "nop\n nop\n int 0x80");
  run_user(user_nops, 64, 0x102);
  CHECK_TRAP(1, 0);
  CHECK_EQ(last.rip, USER_VA(user_nops) + 1);
  CHECK(last.rflags & 0x100);
  CHECK_EQ(read_dr6() & 0xe00f, BS);
}

CODE(code_breakpoint, "nop\n bp_here: mov eax, 1\n bp_after: inc eax");
extern u8 bp_here[], bp_after[];

TEST(debug_instruction_breakpoint) {
  write_dr0((u64)bp_here);
  write_dr7(0x402); /* G0, execute, length 1 */
  CHECK(CAUGHT(code_breakpoint, 0));
  CHECK_TRAP(1, 0);
  CHECK_EQ(last.rip, bp_here);
  CHECK_EQ(read_dr6() & 0xe00f, 1);
  if (!on_tcg) CHECK_EQ(last.rflags >> 16 & 1, !is_intel); /* Intel leaves RF to the handler */
  write_dr6(0xffff0ff0);
  start();
  CHECK(!CAUGHT(code_breakpoint, 0));
  hook = 0;
  CHECK_EQ(hits, 1);
  write_dr7(0x400);
  CHECK(!CAUGHT(code_breakpoint, 0));
  write_dr3((u64)bp_after);
  write_dr7(0x400 | 1 << 6);
  CHECK(CAUGHT(code_breakpoint, 0));
  CHECK_EQ(last.rip, bp_after);
  CHECK_EQ(read_dr6() & 15, 8);
}

CODE(code_write_watched, "mov [rdi], eax\n write_after: nop");
CODE(code_write_byte, "mov [rdi], al\n byte_after: nop");
CODE(code_read_watched, "mov eax, [rdi]\n read_after: nop");
extern u8 write_after[], byte_after[], read_after[];

TEST(debug_data_breakpoint) {
  u64 at = (u64)&watched[2];
  write_dr1(at);
  write_dr7(0x400 | 1 << 2 | 0xdull << 20); /* L1, write, length 4 */
  CHECK(CAUGHT(code_write_watched, at));
  CHECK_TRAP(1, 0);
  CHECK_EQ(last.rip, write_after);
  CHECK_EQ(read_dr6() & 0xe00f, 2);
  write_dr6(0xffff0ff0);
  CHECK(CAUGHT(code_write_byte, at + 3));
  CHECK_EQ(last.rip, byte_after);
  CHECK(!CAUGHT(code_write_byte, at + 4));
  CHECK(!CAUGHT(code_write_byte, at - 1));
  CHECK(CAUGHT(code_write_watched, at - 3));
  CHECK(!CAUGHT(code_read_watched, at));
  write_dr7(0x400 | 1 << 2 | 0xfull << 20); /* read or write */
  CHECK(CAUGHT(code_read_watched, at));
  CHECK_TRAP(1, 0);
  CHECK_EQ(last.rip, read_after);
  write_dr7(0x400 | 1 << 2 | 0x9ull << 20); /* write, length 8 */
  CHECK(CAUGHT(code_write_byte, at + 7));
  CHECK(!CAUGHT(code_write_byte, at + 8));
  write_dr7(0x400 | 1 << 2 | 0x1ull << 20); /* write, length 1 */
  CHECK(!CAUGHT(code_write_byte, at + 1));
  CHECK(CAUGHT(code_write_byte, at));
}

TEST(debug_data_breakpoint_string) {
  u64 at = (u64)&watched[1];
  CODE(code_stosb, "mov ecx, 16\n stosb_here: rep stosb\n stosb_after: nop");
  extern u8 stosb_here[];
  write_dr2(at);
  write_dr7(0x400 | 1 << 4 | 0x1ull << 24);
  CHECK(CAUGHT(code_stosb, watched));
  CHECK_TRAP(1, 0);
  CHECK(last.rip == (u64)stosb_here || last.rip == (u64)stosb_here + 2);
  if (!on_tcg) CHECK_EQ(last.rcx, 7);
}

TEST(debug_general_detect) {
  NEED(!on_tcg, "TCG has no general detect");
  CODE(code_read_dr, "dr_here: mov rax, dr0");
  write_dr7(0x400 | 1 << 13);
  CHECK(CAUGHT(code_read_dr, 0));
  u64 status = read_dr6();
  CHECK_TRAP(1, 0);
  CHECK_EQ(last.rip, code_read_dr);
  CHECK_EQ(status & BD, BD);
}

TEST(debug_register_aliases) {
  CODE(code_dr4, ".byte 0x0f, 0x21, 0xe0"); /* mov rax, dr4 */
  CHECK(!CAUGHT(code_dr4, 0));
  write_cr4(read_cr4() | 8);
  CHECK(CAUGHT(code_dr4, 0));
  CHECK_TRAP(6, 0);
  write_cr4(read_cr4() & ~8ull);
  CODE(code_dr7_high, "mov rax, 0x100000400\n mov dr7, rax");
  CHECK(CAUGHT(code_dr7_high, 0));
  CHECK_TRAP(13, 0);
  write_dr6(0);
  CHECK_EQ(read_dr6() & ~0x10ull << 0, read_dr6() & ~0x10ull);
  CHECK_EQ(read_dr6() & 0xfffe0ff0, 0xfffe0ff0);
  CHECK_EQ(read_dr7(), 0x400);
}

TEST(debug_step_after_iret) {
  /* TF that IRET loads counts from the instruction it returns to */
  SNIPPET(user_two, "mov eax, 7\n mov ebx, 8\n int 0x80");
  run_user(user_two, 64, 0x102);
  CHECK_TRAP(1, 0);
  CHECK_EQ(last.rax, 7);
  CHECK_EQ(last.rbx, 0);
}

TEST(debug_step_syscall) {
  /* FMASK clears TF: no trap inside the kernel, and R11 keeps it */
  SNIPPET(user_step_syscall, "syscall\n int 0x80");
  write_dr6(0xffff0ff0);
  run_user(user_step_syscall, 64, 0x102);
  if (!on_tcg) CHECK_EQ(last.vector, 0x100);
  if (last.vector == 0x100) CHECK(last.r11 & 0x100);
}

TEST(debug_step_interrupt) {
  /* INT n clears TF for its handler */
  SNIPPET(user_step_int, "int 0x80");
  run_user(user_step_int, 64, 0x102);
  CHECK_EQ(last.vector, 0x80);
  CHECK(last.rflags & 0x100);
}

TEST(debug_breakpoint_on_fetch_only) {
  CODE(code_load_bp, "mov al, [rdi]");
  write_dr0((u64)bp_here);
  write_dr7(0x402);
  CHECK(!CAUGHT(code_load_bp, bp_here)); /* reading the byte is no execution */
  write_dr7(0x400 | 0xfull << 16);       /* no longer enabled */
  CHECK(!CAUGHT(code_breakpoint, 0));
}

TEST(debug_two_conditions) {
  NEED(!on_tcg, "TCG loses the step beside a watchpoint");
  u64 at = (u64)&watched[4];
  CODE(code_two, "pushfq\n or dword ptr [rsp], 0x100\n popfq\n mov byte ptr [rdi], 1\n two_after: nop");
  extern u8 two_after[];
  write_dr3(at);
  write_dr7(0x400 | 1 << 6 | 0x1ull << 28);
  CHECK(CAUGHT(code_two, at));
  CHECK_EQ(last.rip, two_after);
  CHECK_EQ(read_dr6() & 0xe00f, BS | 8);
}
