/* SDM volume 3, chapters 3 and 5: descriptor loads, their faults, limits and types in compatibility mode. */
#include "kernel.h"

enum { S0 = TEST_SELECTOR, S1 = TEST_SELECTOR + 8, S2 = TEST_SELECTOR + 16 };
enum { PRESENT = 0x80, CODE_DATA = 0x10, DPL3 = 0x60, BIG = 0x4000, GRANULAR = 0x8000 };

static void descriptor(int selector, u32 base, u32 limit, u32 attributes) {
  gdt[selector / 8] = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attributes & 0xf0ff) << 40 |
                      (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

CODE(code_mov_ds, "mov ds, edi");
CODE(code_mov_ss, "mov ss, edi");
CODE(code_mov_fs, "mov fs, edi");
CODE(code_lldt, "lldt di");
CODE(code_ltr, "ltr di");

TEST(segment_load_faults) {
  CHECK(CAUGHT(code_mov_ds, 0x1000));
  CHECK_TRAP(13, 0x1000);
  CHECK(CAUGHT(code_mov_ds, 0x1003));
  CHECK_TRAP(13, 0x1000);
  CHECK(CAUGHT(code_mov_ds, 0x0c)); /* LDT, which is null */
  CHECK_TRAP(13, 0x0c);
  CHECK(!CAUGHT(code_mov_ds, 0));
  CHECK(!CAUGHT(code_mov_ds, 3));
  descriptor(S0, 0, 0xfffff, CODE_DATA | DPL3 | 3 | BIG | GRANULAR); /* not present */
  CHECK(CAUGHT(code_mov_ds, S0));
  CHECK_TRAP(11, S0);
  CHECK(CAUGHT(code_mov_ss, S0));
  CHECK(last.vector == 13 || last.vector == 12); /* DPL 3 first */
  descriptor(S0, 0, 0xfffff, CODE_DATA | 3 | BIG | GRANULAR);
  CHECK(CAUGHT(code_mov_ss, S0));
  CHECK_TRAP(12, S0);
  CHECK(CAUGHT(code_mov_ss, KERNEL_CS));
  CHECK_TRAP(13, KERNEL_CS);
  CHECK(!CAUGHT(code_mov_ss, 0)); /* null SS is fine in 64-bit mode below CPL 3 */
  descriptor(S0, 0, 0xfffff, PRESENT | CODE_DATA | 8 | BIG | GRANULAR); /* execute only */
  CHECK(CAUGHT(code_mov_ds, S0));
  CHECK_TRAP(13, S0);
  descriptor(S0, 0, 0xfffff, PRESENT | 2); /* an LDT */
  CHECK(CAUGHT(code_mov_ds, S0));
  CHECK_TRAP(13, S0);
  SNIPPET(user_kernel_data, "mov eax, 0x18\n mov ds, eax");
  USER64(user_kernel_data);
  CHECK_TRAP(13, KERNEL_SS);
  SNIPPET(user_null_ss, "xor eax, eax\n mov ss, eax");
  USER64(user_null_ss);
  CHECK_TRAP(13, 0);
}

TEST(segment_accessed_bit) {
  descriptor(S0, 0, 0xfffff, PRESENT | CODE_DATA | DPL3 | 2 | BIG | GRANULAR);
  CHECK(!CAUGHT(code_mov_fs, S0 | 3));
  u64 d = gdt[S0 / 8];
  asm volatile("mov fs, %0" : : "r"(0));
  CHECK_EQ(d >> 40 & 1, 1);
}

TEST(segment_fs_base_in_64_bit) {
  descriptor(S0, 0x12345678, 0, PRESENT | CODE_DATA | DPL3 | 3);
  asm volatile("mov fs, %0" : : "r"(S0));
  u64 base = rdmsr(0xc0000100);
  u32 selector;
  asm volatile("mov %0, fs" : "=r"(selector));
  asm volatile("mov fs, %0" : : "r"(0));
  CHECK_EQ(base, 0x12345678);
  CHECK_EQ(selector, S0);
}

SNIPPET32(user_fs_load, "mov fs, ebx\n fs_load_here: mov eax, fs:[edi]\n int 0x80");
SNIPPET32(user_fs_store, "mov fs, ebx\n mov dword ptr fs:[edi], 0x55\n int 0x80");
SNIPPET32(user_ss_push, "mov ss, ebx\n mov esp, edi\n push eax\n int 0x80");
SNIPPET32(user_far, "push ebx\n push edi\n retf");
extern u8 fs_load_here[];

static void with_fs(void *snippet, u64 offset) {
  user_regs.rbx = S0 | 3;
  user_regs.rdi = offset;
  USER32(snippet);
}

TEST(segment_base_in_compat) {
  descriptor(S0, USER_STACK_TOP - 256, 0xff, PRESENT | CODE_DATA | DPL3 | 3 | BIG);
  *(u32 *)(USER_STACK_TOP - 256 + 16) = 0xabcd;
  with_fs(user_fs_load, 16);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.rax, 0xabcd);
}

TEST(segment_limits_in_compat) {
  NEED(!on_tcg, "TCG checks no limits");
  descriptor(S0, USER_STACK_TOP - 256, 0xff, PRESENT | CODE_DATA | DPL3 | 3 | BIG);
  with_fs(user_fs_load, 0xfc);
  CHECK_EQ(last.vector, 0x80);
  with_fs(user_fs_load, 0xfd);
  CHECK_TRAP(13, 0);
  CHECK_EQ(last.rip, USER_VA(fs_load_here));
  with_fs(user_fs_load, 0xffffffff);
  CHECK_TRAP(13, 0);
  descriptor(S0, USER_STACK_TOP - 8192, 0xff, PRESENT | CODE_DATA | DPL3 | 7 | BIG); /* expand down: 0x100 and above */
  with_fs(user_fs_load, 0x100);
  CHECK_EQ(last.vector, 0x80);
  with_fs(user_fs_load, 0xff);
  CHECK_TRAP(13, 0);
  descriptor(S0, 0, 0xfffff, PRESENT | CODE_DATA | DPL3 | 1 | BIG | GRANULAR); /* read only */
  with_fs(user_fs_store, USER_STACK_TOP - 16);
  CHECK_TRAP(13, 0);
  with_fs(user_fs_load, USER_STACK_TOP - 16);
  CHECK_EQ(last.vector, 0x80);
  descriptor(S0, 0, 0xfffff, PRESENT | CODE_DATA | DPL3 | 11 | BIG | GRANULAR); /* readable code */
  with_fs(user_fs_load, USER_STACK_TOP - 16);
  CHECK_EQ(last.vector, 0x80);
  with_fs(user_fs_store, USER_STACK_TOP - 16);
  CHECK_TRAP(13, 0);
  user_regs.rbx = 0;
  user_regs.rdi = USER_STACK_TOP - 16;
  USER32(user_fs_load); /* a null segment */
  CHECK_TRAP(13, 0);
}

TEST(segment_stack_in_compat) {
  NEED(!on_tcg, "TCG checks no limits");
  descriptor(S0, 0, (USER_STACK_TOP - 64) & 0xffffffff, PRESENT | CODE_DATA | DPL3 | 3 | BIG);
  gdt[S0 / 8] |= 0; /* byte granular: the limit below needs 20 bits, so use pages */
  descriptor(S0, 0, (USER_STACK_TOP >> 12) - 2, PRESENT | CODE_DATA | DPL3 | 3 | BIG | GRANULAR);
  with_fs(user_ss_push, USER_STACK_TOP - 4096);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.ss, S0 | 3);
  with_fs(user_ss_push, USER_STACK_TOP - 4092);
  CHECK_TRAP(12, 0);
}

TEST(segment_code_limit) {
  NEED(!on_tcg, "TCG checks no limits");
  SNIPPET32(user_three_nops, "nop\n nop\n nop\n int 0x80");
  descriptor(S0, USER_BASE, USER_VA(user_three_nops) - USER_BASE + 1, PRESENT | CODE_DATA | DPL3 | 11 | BIG);
  user_regs.rbx = S0 | 3;
  user_regs.rdi = USER_VA(user_three_nops) - USER_BASE;
  USER32(user_far);
  CHECK_TRAP(13, 0);
  CHECK_EQ(last.rip, USER_VA(user_three_nops) - USER_BASE + 2);
  CHECK_EQ(last.cs, S0 | 3);
  user_regs.rdi += 16;
  USER32(user_far);
  CHECK_TRAP(13, 0);
  CHECK_EQ(last.cs, USER_CS32); /* refused before the transfer */
}

TEST(segment_16_bit_code) {
  SNIPPET32(user_code16, ".code16\n mov ax, 0x1234\n push ax\n mov bx, sp\n int 0x80\n.code32");
  descriptor(S0, USER_BASE, 0xfffff, PRESENT | CODE_DATA | DPL3 | 11 | GRANULAR);
  user_regs.rbx = S0 | 3;
  user_regs.rax = 0xffff0000;
  user_regs.rdi = USER_VA(user_code16) - USER_BASE;
  USER32(user_far);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.rax, 0xffff1234);
  CHECK_EQ(last.rsp, USER_STACK_TOP - 2);
}

TEST(segment_16_bit_stack) {
  SNIPPET32(user_stack16, "mov ss, ebx\n mov esp, edi\n push eax\n push ax\n pusha\n mov ecx, esp\n int 0x80");
  descriptor(S0, USER_STACK_TOP - 4096, 0xffff, PRESENT | CODE_DATA | DPL3 | 3);
  user_regs.rax = 0x1234;
  with_fs(user_stack16, 0xabcd0100);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.rcx, 0xabcd0100 - 4 - 2 - 32);
  CHECK_EQ(*(u32 *)(USER_STACK_TOP - 4096 + 0xfc), 0x1234);
}

TEST(segment_ldt) {
  static u64 table[4];
  table[1] = gdt[5];
  descriptor(S0, (u32)(u64)table, sizeof table - 1, PRESENT | 2);
  gdt[S0 / 8 + 1] = 0;
  CHECK(!CAUGHT(code_lldt, S0));
  CHECK(!CAUGHT(code_mov_fs, 8 | 4 | 3));
  CHECK(CAUGHT(code_mov_fs, 0x20 | 4));
  CHECK_TRAP(13, 0x20 | 4);
  u16 ldt;
  asm volatile("sldt %0\n mov fs, %1" : "=m"(ldt) : "r"(0));
  CHECK_EQ(ldt, S0);
  CHECK(CAUGHT(code_lldt, KERNEL_SS));
  CHECK_TRAP(13, KERNEL_SS);
  gdt[S0 / 8] &= ~(0x80ull << 40);
  CHECK(CAUGHT(code_lldt, S0));
  CHECK_TRAP(11, S0);
}

TEST(segment_task_register) {
  u16 tr;
  asm volatile("str %0" : "=m"(tr));
  CHECK_EQ(tr, TSS_SELECTOR);
  CHECK_EQ(gdt[7] >> 40 & 15, 11); /* busy */
  CHECK(CAUGHT(code_ltr, TSS_SELECTOR));
  CHECK_TRAP(13, TSS_SELECTOR);
  if (!on_tcg) {
    CHECK(CAUGHT(code_ltr, 0));
    CHECK_TRAP(13, 0);
  }
  CHECK(CAUGHT(code_ltr, KERNEL_SS));
  CHECK_TRAP(13, KERNEL_SS);
}

static int lar(u32 selector, u32 *rights) {
  u8 zf;
  asm volatile("lar %0, %2\n setz %1" : "+r"(*rights), "=q"(zf) : "r"(selector) : "cc");
  return zf;
}
static int lsl(u32 selector, u32 *limit) {
  u8 zf;
  asm volatile("lsl %0, %2\n setz %1" : "+r"(*limit), "=q"(zf) : "r"(selector) : "cc");
  return zf;
}
static int ver(u32 selector, int write) {
  u8 zf;
  if (write) asm volatile("verw %w1\n setz %0" : "=q"(zf) : "r"(selector) : "cc");
  else asm volatile("verr %w1\n setz %0" : "=q"(zf) : "r"(selector) : "cc");
  return zf;
}

TEST(segment_rights_queries) {
  u32 v = 0x5a5a5a5a;
  CHECK(lar(KERNEL_CS, &v));
  CHECK_EQ(v & 0xf0ff00, 0xa09b00);
  CHECK(lsl(KERNEL_SS, &v));
  CHECK_EQ(v, 0xffffffff);
  v = 0x5a5a5a5a;
  CHECK(!lar(0, &v));
  CHECK(!lsl(0x1000, &v));
  CHECK_EQ(v, 0x5a5a5a5a);
  CHECK(ver(KERNEL_SS, 0));
  CHECK(ver(KERNEL_SS, 1));
  CHECK(ver(KERNEL_CS, 0));
  CHECK(!ver(KERNEL_CS, 1));
  CHECK(!ver(TSS_SELECTOR, 0));
  CHECK(!ver(KERNEL_SS | 3, 0)); /* DPL 0 < RPL 3 */
  CHECK(lsl(TSS_SELECTOR, &v));
  CHECK_EQ(v, sizeof tss - 1);
  SNIPPET(user_verr, "mov eax, 0x18\n verr ax\n setz bl\n mov eax, 0x28\n verw ax\n setz cl\n int 0x80");
  USER64(user_verr);
  CHECK_EQ(last.rbx & 1, 0);
  CHECK_EQ(last.rcx & 1, 1);
}

TEST(segment_table_registers) {
  struct { u16 limit; u64 base; } __attribute__((packed)) t;
  asm volatile("sgdt %0" : "=m"(t));
  CHECK_EQ(t.base, gdt);
  CHECK_EQ(t.limit, 23 * 8 - 1);
  asm volatile("sidt %0" : "=m"(t));
  CHECK_EQ(t.base, idt);
  u64 msw;
  asm volatile("smsw %0" : "=r"(msw));
  CHECK_EQ(msw & 0xffff, read_cr0() & 0xffff);
  if (cpuid(0, 0).a >= 7 && cpuid(7, 0).c >> 2 & 1) {
    SNIPPET(user_sgdt, "sgdt [rsp - 16]\n int 0x80");
    USER64(user_sgdt);
    CHECK_EQ(last.vector, 0x80);
    write_cr4(read_cr4() | 0x800);
    USER64(user_sgdt);
    CHECK_TRAP(13, 0);
    write_cr4(read_cr4() & ~0x800ull);
  }
}
