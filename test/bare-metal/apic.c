/* SDM volume 3, chapters 6.8 and 10: local APIC in both modes, timer, IPIs, priorities, shadows, NMI, HLT. */
#include "kernel.h"

enum { ID = 2, VERSION = 3, TPR = 8, PPR = 10, EOI = 11, SPURIOUS = 15, ISR = 16, TMR = 24, IRR = 32, ESR = 40, ICR = 48, ICR_HIGH = 49,
       LVT_TIMER = 50, LVT_LINT0 = 53, LVT_ERROR = 55, INITIAL = 56, CURRENT = 57, DIVIDE = 62, SELF_IPI = 63 };
enum { VECTOR = 0x50, LOW_VECTOR = 0x41 };

static volatile int got[256];
static volatile int order[8], arrived;
static int x2;
static volatile u64 interrupted_rip, interrupted_rcx;

static u32 apic_read(int r) { return x2 ? (u32)rdmsr(0x800 + r) : *(volatile u32 *)(0xfee00000ull + r * 16); }
static void apic_write(int r, u32 v) {
  if (x2) wrmsr(0x800 + r, v);
  else *(volatile u32 *)(0xfee00000ull + r * 16) = v;
}
static int bit_of(int base, int vector) { return apic_read(base + vector / 32) >> (vector & 31) & 1; }
static void self(u32 command) {
  if (x2) wrmsr(0x830, (u64)apic_read(ID) << 32 | command);
  else { apic_write(ICR_HIGH, apic_read(ID)); apic_write(ICR, command); }
}
static int on_interrupt(struct frame *f) {
  if ((f->vector < 32 && f->vector != 2) || f->vector == 0x80) return 0;
  got[f->vector]++;
  if (arrived < 8) order[arrived++] = f->vector;
  interrupted_rip = f->rip;
  interrupted_rcx = f->rcx;
  if (f->vector != 2) apic_write(EOI, 0);
  return 1;
}
#define ENABLE() asm volatile("sti" : : : "memory")
#define DISABLE() asm volatile("cli" : : : "memory")
static void settle(void) { for (volatile int i = 0; i < 200; i++); }

static void set_up(int want_x2) {
  x2 = 0;
  wrmsr(0x1b, 0xfee00900 & ~0x400);
  if (want_x2) { wrmsr(0x1b, 0xfee00d00); x2 = 1; }
  apic_write(SPURIOUS, 0x1ff);
  apic_write(LVT_TIMER, 0x10000);
  apic_write(LVT_LINT0, 0x10000);
  apic_write(TPR, 0);
  hook = on_interrupt;
  ENABLE();
  settle(); /* what an earlier test's timer left pending */
  DISABLE();
  memset((void *)got, 0, sizeof got);
  arrived = 0;
}
static void tear_down(void) {
  apic_write(LVT_TIMER, 0x10000);
  apic_write(INITIAL, 0);
  hook = 0;
  if (x2) { wrmsr(0x1b, 0xfee00100); x2 = 0; wrmsr(0x1b, 0xfee00900); }
}

static void modes(void (*body)(void)) {
  set_up(0);
  body();
  tear_down();
}
static void modes_x2(void (*body)(void)) {
  if (!has_x2apic()) { skip("no x2APIC"); return; }
  set_up(1);
  body();
  tear_down();
}
#define APIC_TEST(name)                                                                      \
  static void name##_body(void);                                                             \
  TEST(xapic_##name) { modes(name##_body); }                                                 \
  TEST(x2apic_##name) { modes_x2(name##_body); }                                             \
  static void name##_body(void)

APIC_TEST(registers) {
  CHECK((apic_read(VERSION) & 0xff) >= 0x10);
  CHECK((apic_read(VERSION) >> 16 & 0xff) >= 3);
  CHECK_EQ(rdmsr(0x1b) & 0x900, 0x900);
  apic_write(LVT_ERROR, 0x100fe);
  CHECK_EQ(apic_read(LVT_ERROR), 0x100fe);
  apic_write(TPR, 0x50);
  CHECK_EQ(apic_read(TPR), 0x50);
  CHECK_EQ(read_cr8(), 5);
  CHECK_EQ(apic_read(PPR) & 0xf0, 0x50);
  write_cr8(3);
  CHECK_EQ(apic_read(TPR), 0x30);
  write_cr8(0);
}

APIC_TEST(self_ipi) {
  DISABLE();
  self(VECTOR);
  settle();
  CHECK(bit_of(IRR, VECTOR));
  CHECK_EQ(got[VECTOR], 0);
  ENABLE();
  settle();
  DISABLE();
  CHECK_EQ(got[VECTOR], 1);
  CHECK(!bit_of(IRR, VECTOR));
  CHECK(!bit_of(ISR, VECTOR));
  self(0x40000 | VECTOR); /* shorthand: self */
  ENABLE();
  settle();
  DISABLE();
  CHECK_EQ(got[VECTOR], 2);
  if (x2) {
    wrmsr(0x83f, VECTOR);
    ENABLE();
    settle();
    DISABLE();
    CHECK_EQ(got[VECTOR], 3);
  }
}

APIC_TEST(priorities) {
  DISABLE();
  self(LOW_VECTOR);
  self(0x92);
  self(VECTOR);
  settle();
  write_cr8(5);
  ENABLE();
  settle();
  DISABLE();
  CHECK_EQ(arrived, 1);
  CHECK_EQ(order[0], 0x92);
  write_cr8(0);
  ENABLE();
  settle();
  DISABLE();
  CHECK_EQ(order[1], VECTOR);
  CHECK_EQ(order[2], LOW_VECTOR);
}

static int nest_without_eoi(struct frame *f) {
  if (f->vector < 32) return 0;
  order[arrived++ & 7] = f->vector;
  if (f->vector == VECTOR) {
    self(LOW_VECTOR); /* lower: waits for EOI */
    self(0x92);       /* higher: nests */
    ENABLE();
    settle();
    DISABLE();
    order[arrived++ & 7] = 1;
  }
  apic_write(EOI, 0);
  return 1;
}
APIC_TEST(nesting) {
  hook = nest_without_eoi;
  self(VECTOR);
  ENABLE();
  settle();
  DISABLE();
  CHECK_EQ(order[0], VECTOR);
  CHECK_EQ(order[1], 0x92);
  CHECK_EQ(order[2], 1);
  CHECK_EQ(order[3], LOW_VECTOR);
}

APIC_TEST(timer_one_shot) {
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, VECTOR);
  ENABLE();
  apic_write(INITIAL, 100000);
  CHECK(apic_read(CURRENT) <= 100000);
  for (u64 t = rdtsc(); !got[VECTOR] && rdtsc() - t < 20000000000ull;);
  DISABLE();
  CHECK_EQ(got[VECTOR], 1);
  CHECK_EQ(apic_read(CURRENT), 0);
}

APIC_TEST(timer_periodic_wakes_hlt) {
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, 0x20000 | VECTOR);
  apic_write(INITIAL, 500000);
  for (int i = 0; i < 50 && got[VECTOR] < 4; i++) asm volatile("sti\n hlt\n cli" : : : "memory");
  CHECK(got[VECTOR] >= 4);
  apic_write(INITIAL, 0);
  CHECK_EQ(apic_read(CURRENT), 0);
}

APIC_TEST(timer_masked) {
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, 0x10000 | VECTOR);
  ENABLE();
  apic_write(INITIAL, 1000);
  for (u64 t = rdtsc(); rdtsc() - t < 3000000ull;);
  DISABLE();
  CHECK_EQ(got[VECTOR], 0);
  CHECK_EQ(apic_read(CURRENT), 0);
}

APIC_TEST(timer_deadline) {
  NEED(cpuid(1, 0).c >> 24 & 1, "no TSC deadline");
  apic_write(LVT_TIMER, 0x40000 | VECTOR);
  u64 start = rdtsc(), deadline = start + 5000000;
  wrmsr(0x6e0, deadline);
  CHECK_EQ(rdmsr(0x6e0), deadline);
  for (int i = 0; i < 50 && !got[VECTOR]; i++) asm volatile("sti\n hlt\n cli" : : : "memory");
  CHECK_EQ(got[VECTOR], 1);
  CHECK(rdtsc() >= deadline);
  CHECK_EQ(rdmsr(0x6e0), 0);
  wrmsr(0x6e0, 1); /* in the past: at once */
  ENABLE();
  for (u64 t = rdtsc(); got[VECTOR] < 2 && rdtsc() - t < 20000000000ull;);
  DISABLE();
  CHECK_EQ(got[VECTOR], 2);
}

APIC_TEST(sti_shadow) {
  u64 at;
  DISABLE();
  self(VECTOR);
  settle();
  asm volatile("sti\n cli" : : : "memory"); /* nothing gets in between */
  CHECK_EQ(got[VECTOR], 0);
  asm volatile("lea %0, [rip + 1f]\n sti\n nop\n1: nop\n cli" : "=r"(at) : : "memory");
  CHECK_EQ(got[VECTOR], 1);
  CHECK_EQ(interrupted_rip, at);
  self(VECTOR);
  settle();
  asm volatile("lea %0, [rip + 1f]\n mov eax, ss\n sti\n mov ss, eax\n 1: cli" : "=r"(at) : : "rax", "memory");
  ENABLE(); /* whoever held it back until here delivers it now */
  settle();
  DISABLE();
  CHECK_EQ(got[VECTOR], 2);
}

APIC_TEST(interrupts_in_a_repeated_string) {
  static u8 target[1 << 21];
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, 0x20000 | VECTOR);
  apic_write(INITIAL, 20000);
  int inside = 0;
  for (int i = 0; i < 200 && inside < 2; i++) {
    int before = got[VECTOR];
    interrupted_rcx = 0;
    u64 c = sizeof target, d = (u64)target, here;
    asm volatile("lea %2, [rip + 1f]\n sti\n nop\n1: rep stosb\n cli" : "+c"(c), "+D"(d), "=&r"(here) : "a"(i) : "memory");
    if (c != 0 || d != (u64)target + sizeof target) { fail(__LINE__, "rcx after rep", c, 0); return; }
    if (got[VECTOR] != before && interrupted_rip == here && interrupted_rcx && interrupted_rcx < sizeof target) inside++;
    if (target[0] != (u8)i || target[sizeof target - 1] != (u8)i) { fail(__LINE__, "bytes", target[0], i); return; }
  }
  CHECK(inside >= 2);
}

static int nmis, nested;
static int on_nmi(struct frame *f) {
  if (f->vector != 2) return 0;
  nmis++;
  if (nmis == 1) {
    self(0x400); /* held back until IRET */
    settle();
    nested = nmis;
  }
  return 1;
}
APIC_TEST(nmi) {
  hook = on_nmi;
  nmis = nested = 0;
  DISABLE();
  self(0x400);
  settle();
  CHECK_EQ(nested, 1);
  CHECK_EQ(nmis, 2);
}

APIC_TEST(hlt_ends_with_nmi) {
  NEED(on_tcg, "bits 10:8 of the timer's entry are reserved, only TCG delivers by them");
  DISABLE();
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, 0x20400); /* periodic: one that comes before the HLT is not the last */
  apic_write(INITIAL, 2000000);
  asm volatile("hlt" : : : "memory");
  apic_write(LVT_TIMER, 0x10000);
  CHECK(got[2] >= 1);
}

APIC_TEST(disabled_by_software) {
  NEED(!on_tcg, "TCG masks nothing");
  apic_write(SPURIOUS, 0xff);
  CHECK_EQ(apic_read(LVT_TIMER) & 0x10000, 0x10000);
  apic_write(LVT_TIMER, VECTOR);
  CHECK_EQ(apic_read(LVT_TIMER) & 0x10000, 0x10000); /* stays masked */
  apic_write(SPURIOUS, 0x1ff);
}

TEST(x2apic_faults) {
  NEED(has_x2apic(), "no x2APIC");
  CODE(code_read_x2, "mov ecx, 0x802\n rdmsr");
  CODE(code_write_id, "mov ecx, 0x802\n xor eax, eax\n xor edx, edx\n wrmsr");
  CODE(code_eoi, "mov ecx, 0x80b\n mov eax, 1\n xor edx, edx\n wrmsr");
  CODE(code_back, "mov ecx, 0x1b\n mov eax, 0xfee00900\n xor edx, edx\n wrmsr");
  wrmsr(0x1b, 0xfee00900);
  CHECK(CAUGHT(code_read_x2, 0));
  CHECK_TRAP(13, 0);
  wrmsr(0x1b, 0xfee00d00);
  int read = CAUGHT(code_read_x2, 0), id = CAUGHT(code_write_id, 0), eoi = CAUGHT(code_eoi, 0), back = CAUGHT(code_back, 0);
  wrmsr(0x1b, 0xfee00100);
  wrmsr(0x1b, 0xfee00900);
  CHECK(!read);
  CHECK(id);
  CHECK(eoi);
  CHECK(back); /* x2APIC to xAPIC goes by way of disabled */
}

APIC_TEST(illegal_vector) {
  NEED(!on_tcg, "TCG reports no errors");
  apic_write(ESR, 0);
  apic_write(LVT_ERROR, VECTOR);
  ENABLE();
  self(5);
  settle();
  DISABLE();
  apic_write(ESR, 0);
  CHECK(apic_read(ESR) & 0x60); /* send (and receive) illegal vector */
  CHECK_EQ(got[VECTOR], 1);
  apic_write(LVT_ERROR, 0x10000);
  apic_write(ESR, 0);
}

APIC_TEST(timer_stops) {
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, 0x20000 | VECTOR);
  apic_write(INITIAL, 0xf0000000);
  u32 a = apic_read(CURRENT);
  for (u64 t = rdtsc(); rdtsc() - t < 200000;);
  u32 b = apic_read(CURRENT);
  CHECK(b < a && a <= 0xf0000000);
  apic_write(INITIAL, 0);
  CHECK_EQ(apic_read(CURRENT), 0);
  ENABLE();
  settle();
  DISABLE();
  CHECK_EQ(got[VECTOR], 0);
}

APIC_TEST(deadline_mode_is_disarmed) {
  NEED(cpuid(1, 0).c >> 24 & 1, "no TSC deadline");
  apic_write(LVT_TIMER, 0x40000 | VECTOR);
  wrmsr(0x6e0, rdtsc() + 1000000);
  apic_write(LVT_TIMER, VECTOR); /* another mode disarms it */
  CHECK_EQ(rdmsr(0x6e0), 0);
  wrmsr(0x6e0, rdtsc() + 1000); /* ignored outside deadline mode */
  ENABLE();
  for (u64 t = rdtsc(); rdtsc() - t < 3000000;);
  DISABLE();
  CHECK_EQ(got[VECTOR], 0);
  CHECK_EQ(rdmsr(0x6e0), 0);
}

APIC_TEST(interrupt_to_user_and_back) {
  SNIPPET(user_spin, "mov ecx, 5000000\n spin_loop: dec ecx\n jnz spin_loop\n int 0x80");
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, VECTOR);
  apic_write(INITIAL, 200000);
  user_regs.rbx = 0x1234;
  run_user(user_spin, 64, 0x202);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.rbx, 0x1234);
  CHECK_EQ(last.rcx, 0);
  CHECK_EQ(got[VECTOR], 1);
  CHECK(interrupted_rip >= USER_VA(user_spin) && interrupted_rip < USER_VA(user_spin) + 32);
}

APIC_TEST(interrupt_in_compatibility_mode) {
  SNIPPET32(user_spin32, "mov ecx, 5000000\n spin_loop32: dec ecx\n jnz spin_loop32\n int 0x80");
  apic_write(DIVIDE, 0xb);
  apic_write(LVT_TIMER, VECTOR);
  apic_write(INITIAL, 200000);
  run_user(user_spin32, 32, 0x202);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(last.cs, USER_CS32);
  CHECK_EQ(got[VECTOR], 1);
}
