/* CPUID, MSRs, control registers, time. */
#include "kernel.h"

TEST(cpuid_basics) {
  struct cpuid v = cpuid(0, 0), f = cpuid(1, 0), e = cpuid(0x80000001, 0);
  CHECK(v.a >= 1);
  const u32 wanted_d = 1 << 0 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 26;
  CHECK_EQ(f.d & wanted_d, wanted_d);
  CHECK(cpuid(0x80000000, 0).a >= 0x80000008);
  CHECK_EQ(e.d >> 29 & 1, 1);
  CHECK_EQ(e.d >> 11 & 1, 1);
  CHECK(physical_bits() >= 36 && physical_bits() <= 52);
  CHECK((cpuid(0x80000008, 0).a >> 8 & 0xff) >= 48);
  u64 upper;
  asm volatile("mov rax, -1\n mov rcx, -1\n xor eax, eax\n cpuid\n mov rax, rcx\n shr rax, 32" : "=a"(upper) : : "rbx", "rcx", "rdx");
  CHECK_EQ(upper, 0);
}

TEST(cpuid_v2) {
  u32 c = cpuid(1, 0).c;
  const u32 wanted = 1 << 0 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23;
  CHECK_EQ(c & wanted, wanted);
  CHECK_EQ(cpuid(0x80000001, 0).c & 1, 1); /* LAHF in 64-bit mode */
}

TEST(msr_unknown) {
  CODE(code_rdmsr, "mov ecx, edi\n rdmsr");
  CODE(code_wrmsr, "mov ecx, edi\n xor eax, eax\n xor edx, edx\n wrmsr");
  NEED(!on_tcg, "TCG ignores unknown MSRs");
  CHECK(CAUGHT(code_rdmsr, 0x12345));
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_wrmsr, 0x12345));
  CHECK_TRAP(13, 0);
}

TEST(msr_linux_reads) {
  static const u32 list[] = {0x10, 0x1b, 0x8b, 0xfe, 0x174, 0x175, 0x176, 0x179, 0x1a0, 0x277, 0x2ff, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};
  CODE(code_rdmsr2, "mov ecx, edi\n rdmsr");
  for (unsigned i = 0; i < sizeof list / 4; i++) {
    if (CAUGHT(code_rdmsr2, list[i])) { fail(__LINE__, "rdmsr", list[i], 0); return; }
  }
  CHECK_EQ(rdmsr(0xc0000080) & 0xd00, 0xd00);
  u64 pat = rdmsr(0x277);
  wrmsr(0x277, 0x0007040600070406);
  CHECK_EQ(rdmsr(0x277), 0x0007040600070406);
  wrmsr(0x277, pat);
}

TEST(control_register_faults) {
  NEED(!on_tcg, "TCG checks no control registers");
  CODE(code_cr0, "mov cr0, rdi");
  CODE(code_cr3, "mov cr3, rdi");
  CODE(code_cr4, "mov cr4, rdi");
  CODE(code_cr8, "mov cr8, rdi");
  CODE(code_efer, "mov ecx, 0xc0000080\n mov eax, edi\n xor edx, edx\n wrmsr");
  u64 cr0 = read_cr0(), cr4 = read_cr4();
  CHECK(CAUGHT(code_cr4, cr4 & ~0x20ull)); /* PAE */
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_cr0, cr0 & ~1ull));
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_cr0, cr0 | 1ull << 32));
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_cr0, (cr0 | 1 << 29) & ~(1ull << 30))); /* NW without CD */
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_cr0, cr0 & ~0x80000000ull)); /* paging off in 64-bit mode */
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_efer, rdmsr(0xc0000080) & ~0x100ull & 0xffffffff));
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_cr4, cr4 | 1ull << 40));
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_cr8, 16));
  CHECK_TRAP(13, 0);
  CHECK_EQ(read_cr0(), cr0);
  CHECK_EQ(read_cr4(), cr4);
  if (physical_bits() < 52) {
    CHECK(CAUGHT(code_cr3, read_cr3() | 1ull << 51));
  CHECK_TRAP(13, 0);
  }
}

TEST(time_stamp) {
  u64 a = rdtsc(), b = rdtsc();
  CHECK(b >= a);
  SNIPPET(user_rdtsc, "rdtsc\n int 0x80");
  USER64(user_rdtsc);
  CHECK_EQ(last.vector, 0x80);
  write_cr4(read_cr4() | 4);
  USER64(user_rdtsc);
  CHECK_TRAP(13, 0);
  b = rdtsc();
  write_cr4(read_cr4() & ~4ull);
  if (cpuid(0x80000001, 0).d >> 27 & 1) {
    wrmsr(0xc0000103, 0x4321);
    u32 aux;
    asm volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
    CHECK_EQ(aux, 0x4321);
  }
}

TEST(xsave_absent_or_off) {
  CODE(code_xgetbv, "xor ecx, ecx\n xgetbv");
  write_cr4(read_cr4() & ~(1ull << 18));
  CHECK(CAUGHT(code_xgetbv, 0));
  CHECK_TRAP(6, 0);
  CHECK_EQ(cpuid(1, 0).c >> 27 & 1, 0);
}

TEST(random_numbers) {
  NEED(cpuid(1, 0).c >> 30 & 1, "no RDRAND");
  u64 a = 0, b = 0;
  u8 ok = 0, ok2 = 0;
  for (int i = 0; i < 100 && !(ok && ok2); i++)
    asm volatile("rdrand %0\n setc %2\n rdrand %1\n setc %3" : "=r"(a), "=r"(b), "=q"(ok), "=q"(ok2) : : "cc");
  CHECK(ok && ok2);
  CHECK(a != b);
}

static struct { u32 version, pad; u64 tsc, system_time; u32 mul; signed char shift; u8 flags; u8 pad2[2]; } pvclock __attribute__((aligned(64)));
TEST(kvm_clock) {
  struct cpuid h = cpuid(0x40000000, 0);
  NEED((cpuid(1, 0).c >> 31) && h.b == 0x4b4d564b, "not KVM");
  NEED(cpuid(0x40000001, 0).a >> 3 & 1, "no kvm-clock");
  wrmsr(0x4b564d01, (u64)&pvclock | 1);
  u64 t = rdtsc();
  while (rdtsc() - t < 1000000);
  volatile u32 *version = &pvclock.version;
  CHECK(*version != 0);
  CHECK_EQ(*version & 1, 0);
  CHECK(pvclock.mul != 0);
  u64 now = rdtsc();
  CHECK(now >= pvclock.tsc);
  u64 delta = now - pvclock.tsc;
  delta = pvclock.shift >= 0 ? delta << pvclock.shift : delta >> -pvclock.shift;
  u64 ns = pvclock.system_time + (u64)((unsigned __int128)delta * pvclock.mul >> 32);
  CHECK(ns > 0 && ns < 3600ull * 1000000000 * 24 * 365 * 10);
  wrmsr(0x4b564d01, 0);
  struct { u32 version, sec, nsec; } wall __attribute__((aligned(4)));
  wall.sec = 0;
  wrmsr(0x4b564d00, (u64)&wall);
  CHECK(*(volatile u32 *)&wall.sec > 1000000000);
}

TEST(fxsave_round_trip) {
  static u8 a[512] __attribute__((aligned(16))), b[512] __attribute__((aligned(16)));
  asm volatile("fninit\n fld1\n fldpi\n pcmpeqd xmm3, xmm3\n fxsave64 %0\n fninit\n pxor xmm3, xmm3\n fxrstor64 %0\n fxsave64 %1" : "=m"(a), "=m"(b) : : "memory");
  CHECK_EQ(memcmp(a, b, 416), 0);
  CHECK_EQ(a[4], 0xc0);
  CHECK_EQ(a[160 + 48], 0xff);
  CODE(code_fx_unaligned, "fxsave [rdi + 8]");
  CHECK(CAUGHT(code_fx_unaligned, a));
  CHECK_TRAP(13, 0);
  if (on_tcg) return;
  a[27] = 0xff; /* reserved MXCSR bits */
  CODE(code_fxrstor, "fxrstor [rdi]");
  CHECK(CAUGHT(code_fxrstor, a));
  CHECK_TRAP(13, 0);
}

TEST(locked_operations) {
  static u64 v[4] __attribute__((aligned(16)));
  v[0] = 5;
  u64 r = 3;
  asm volatile("lock xadd %0, %1" : "+m"(v[0]), "+r"(r) : : "cc");
  CHECK_EQ(v[0], 8);
  CHECK_EQ(r, 5);
  u8 ok;
  asm volatile("lock cmpxchg16b [%1]\n setz %0" : "=q"(ok) : "r"(v), "a"(8), "d"(0), "b"(1), "c"(2) : "memory", "cc");
  CHECK_EQ(ok, 1);
  CHECK_EQ(v[0], 1);
  CHECK_EQ(v[1], 2);
  CODE(code_c16_unaligned, "cmpxchg16b [rdi + 8]");
  CHECK(CAUGHT(code_c16_unaligned, v));
  CHECK_TRAP(13, 0);
}
