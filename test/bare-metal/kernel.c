/* What every bare-metal test stands on: console, trap handling, a known machine before each test, the end. */
#include "kernel.h"

struct frame last, user_regs;
u64 last_cr2, last_frame;
int (*volatile hook)(struct frame *f);
int on_tcg, is_intel;
u32 rounds;
struct gate idt[256] __attribute__((aligned(16)));
struct tss tss __attribute__((aligned(16)));
extern u64 try_rsp;
extern u64 start_info;
extern void try_fail(void) __attribute__((noreturn));
extern const struct test tests_start[], tests_end[];

static u8 scratch[16][4096] __attribute__((aligned(4096)));
static u8 user_stack[4][4096] __attribute__((aligned(4096)));
static u64 first_gdt[7];
static u64 first_cr0, first_cr4, first_efer;
static const char *failed_what, *skipped;
static int failed_line;
static u64 failed_got, failed_want;

void *memcpy(void *d, const void *s, size_t n) { for (size_t i = 0; i < n; i++) ((volatile u8 *)d)[i] = ((const u8 *)s)[i]; return d; }
void *memset(void *d, int v, size_t n) { for (size_t i = 0; i < n; i++) ((volatile u8 *)d)[i] = v; return d; }
int memcmp(const void *a, const void *b, size_t n) {
  for (size_t i = 0; i < n; i++) if (((const u8 *)a)[i] != ((const u8 *)b)[i]) return 1;
  return 0;
}

void print(const char *s) { for (; *s; s++) outb(0x3f8, *s); }
void print_hex(u64 v) {
  char text[19] = "0x0";
  int n = 2;
  for (int shift = 60; shift >= 0; shift -= 4) {
    int digit = v >> shift & 15;
    if (digit || n > 2 || shift == 0) text[n++] = "0123456789abcdef"[digit];
  }
  text[n] = 0;
  print(text);
}
static void print_number(int v) {
  char text[12];
  int n = 11;
  text[n] = 0;
  do text[--n] = '0' + v % 10; while (v /= 10);
  print(text + n);
}

void fail(int line, const char *what, u64 got, u64 want) {
  failed_line = line; failed_what = what; failed_got = got; failed_want = want;
}
void skip(const char *why) { skipped = why; }

/* The ways out, from the kindest: QEMU's isa-debug-exit, the keyboard controller, a triple fault. */
void finish(void) {
  outl(0x501, 0);
  outb(0x64, 0xfe);
  static const struct { u16 limit; u64 base; } __attribute__((packed)) none = {0, 0};
  asm volatile("lidt %0\n int3" : : "m"(none));
  for (;;) asm volatile("hlt");
}

u8 *scratch_page(int i) { return scratch[i]; }

u64 map(int i, u64 entry) {
  test_pt[i] = entry;
  invlpg(PAGE_VA(i));
  return PAGE_VA(i);
}

void set_gate(int vector, void *target, int type, int ist) {
  u64 t = (u64)target;
  idt[vector] = (struct gate){t, KERNEL_CS, ist, type, t >> 16, t >> 32, 0};
}

int has_smep(void) { return cpuid(0, 0).a >= 7 && cpuid(7, 0).b >> 7 & 1; }
int has_smap(void) { return cpuid(0, 0).a >= 7 && cpuid(7, 0).b >> 20 & 1; }
int has_fsgsbase(void) { return cpuid(0, 0).a >= 7 && cpuid(7, 0).b & 1; }
int has_x2apic(void) { return cpuid(1, 0).c >> 21 & 1; }
int has_nx(void) { return cpuid(0x80000001, 0).d >> 20 & 1; }
int physical_bits(void) { return cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).a & 0xff : 36; }

void reset_machine(void) {
  static const struct { u16 limit; u64 base; } __attribute__((packed)) idtr = {sizeof idt - 1, (u64)idt}, gdtr = {23 * 8 - 1, (u64)gdt};
  hook = 0;
  write_cr0(first_cr0);
  write_cr4(first_cr4);
  wrmsr(0xc0000080, first_efer);
  memcpy(gdt, first_gdt, sizeof first_gdt);
  memset(gdt + 9, 0, 14 * 8);
  u64 base = (u64)&tss;
  gdt[7] = (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56 | 0x8900ull << 32 | (sizeof tss - 1);
  gdt[7] = (gdt[7] & ~0x000f00000000ffffull) | ((sizeof tss - 1) & 0xffff);
  gdt[8] = base >> 32;
  memset(&tss, 0, sizeof tss);
  tss.rsp[0] = (u64)trap_stack_top;
  tss.ist[0] = (u64)ist_stack_top;
  tss.ist[1] = (u64)ist2_stack_top;
  tss.iomap = sizeof tss;
  for (int v = 0; v < 256; v++) set_gate(v, trap_stubs + v * 16, 0x8e, v == 8 ? 1 : v == 2 ? 2 : 0);
  idt[0x80].type = 0xee;
  asm volatile("lgdt %0\n lidt %1\n ltr %w2\n lldt %w3" : : "m"(gdtr), "m"(idtr), "r"(TSS_SELECTOR), "r"(0));
  boot_pml4[0] = (u64)boot_pdpt | P | W | U;
  boot_pdpt[1] = (u64)test_pd | P | W | U;
  memset(test_pd, 0, 4096);
  memset(test_pt, 0, 4096);
  test_pd[0] = (u64)test_pt | P | W | U;
  for (int i = 0; i < (user_end - user_start) / 4096; i++) test_pt[CODE_PAGE + i] = ((u64)user_start + i * 4096) | P | W | U;
  for (int i = 0; i < 4; i++) test_pt[USER_STACK + i] = (u64)user_stack[i] | P | W | U;
  memset(scratch, 0, sizeof scratch);
  write_cr3((u64)boot_pml4);
  memset(&user_regs, 0, sizeof user_regs);
  memset(&last, 0, sizeof last);
  write_dr7(0x400);
  write_dr6(0xffff0ff0);
  wrmsr(0xc0000100, 0);
  wrmsr(0xc0000101, 0);
  wrmsr(0xc0000102, 0);
  wrmsr(0xc0000081, 0x0020ull << 48 | 0x0010ull << 32);
  wrmsr(0xc0000082, (u64)syscall_entry);
  wrmsr(0xc0000083, (u64)compat_entry);
  wrmsr(0xc0000084, 0x47700);
  asm volatile("fninit");
  u32 mxcsr = 0x1f80;
  asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

void run_user(void *snippet, int bits, u64 rflags) {
  struct frame f = user_regs;
  f.rip = USER_VA(snippet);
  f.cs = bits == 64 ? USER_CS64 : USER_CS32;
  f.rflags = rflags;
  if (f.rsp == 0) f.rsp = USER_STACK_TOP;
  f.ss = USER_SS;
  last.vector = ~0ull;
  asm volatile("mov ds, %0\n mov es, %0" : : "r"(USER_SS));
  enter(&f);
}

void on_trap(struct frame *f) {
  last_cr2 = read_cr2();
  if (hook && hook(f)) return;
  last = *f;
  last_frame = (u64)f;
  if (try_rsp) try_fail();
  print("unexpected trap ");
  print_hex(f->vector); print(" error "); print_hex(f->error); print(" rip "); print_hex(f->rip);
  print(" cr2 "); print_hex(read_cr2()); print(" FAIL\n");
  finish();
}

/* PVH start info: the command line may hold only=PREFIX and rounds=NUMBER. */
static const char *option(const char *name, int length) {
  const u32 *info = (const u32 *)start_info;
  if (!info || info[0] != 0x336ec578) return 0;
  const char *line = (const char *)*(const u64 *)(info + 6);
  for (; line && *line; line++) if (!memcmp(line, name, length)) return line + length;
  return 0;
}
static u32 number(const char *s, u32 otherwise) {
  if (!s) return otherwise;
  u32 n = 0;
  for (; *s >= '0' && *s <= '9'; s++) n = n * 10 + *s - '0';
  return n;
}

static int selected(const char *name, const char *prefix) {
  if (!prefix) return 1;
  for (; *prefix && *prefix != ' '; prefix++, name++) if (*prefix != *name) return 0;
  return 1;
}

void main(void) {
  struct cpuid v = cpuid(0, 0), h = cpuid(0x40000000, 0);
  is_intel = v.b == 0x756e6547;
  on_tcg = (cpuid(1, 0).c >> 31) && h.b == 0x54474354;
  memcpy(first_gdt, gdt, sizeof first_gdt);
  first_cr0 = read_cr0();
  first_cr4 = read_cr4();
  first_efer = rdmsr(0xc0000080) & ~0x400ull;
  outb(0x21, 0xff); /* a PC's interrupt controllers, where there are any */
  outb(0xa1, 0xff);
  const char *prefix = option("only=", 5);
  rounds = number(option("rounds=", 7), 2000);
  int passed = 0, failed = 0, left_out = 0;
  for (const struct test *t = tests_start; t < tests_end; t++) {
    if (!selected(t->name, prefix)) continue;
    reset_machine();
    failed_what = skipped = 0;
    t->run();
    print(t->name);
    if (failed_what) {
      print(" FAIL line "); print_number(failed_line); print(": "); print(failed_what);
      print(" = "); print_hex(failed_got); print(", not "); print_hex(failed_want); print("\n");
      failed++;
    } else if (skipped) {
      print(" SKIP "); print(skipped); print("\n");
      left_out++;
    } else {
      print(" PASS\n");
      passed++;
    }
  }
  print("bare-metal passed="); print_number(passed);
  print(" failed="); print_number(failed);
  print(" skipped="); print_number(left_out); print("\n");
  finish();
}
