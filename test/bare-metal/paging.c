/* SDM volume 3, chapter 4: translation, access rights, accessed and dirty flags, error codes, TLB flushes. */
#include "kernel.h"

enum { EP = 1, EW = 2, EU = 4, ER = 8, EI = 16 }; /* page-fault error code */

CODE(code_load, "mov rax, [rdi]");
CODE(code_store, "mov qword ptr [rdi], 1");
CODE(code_jump, "call rdi");
CODE(code_push, "mov rcx, rsp\n mov rsp, rdi\n push rax\n mov rsp, rcx");
SNIPPET(user_load, "mov rax, [rdi]\n int 0x80");
SNIPPET(user_store, "mov qword ptr [rdi], 1\n int 0x80");
SNIPPET(user_jump, "jmp rdi");

#define PAGE(i) ((u64)scratch_page(i))
#define ACCESSED() (test_pt[FREE_PAGE] & (A | D))

static void user_access(void *snippet, u64 va) {
  user_regs.rdi = va;
  USER64(snippet);
}

TEST(paging_not_present) {
  u64 va = map(FREE_PAGE, 0) + 0x123;
  CHECK(CAUGHT(code_load, va));
  CHECK_TRAP(14, 0);
  CHECK_EQ(last_cr2, va);
  CHECK_EQ(last.rip, code_load);
  CHECK(CAUGHT(code_store, va));
  CHECK_TRAP(14, EW);
  CHECK(CAUGHT(code_jump, va));
  CHECK_TRAP(14, EI);
  CHECK_EQ(last.rip, va);
  user_access(user_load, va);
  CHECK_TRAP(14, EU);
  CHECK_EQ(last.cs, USER_CS64);
  user_access(user_store, va);
  CHECK_TRAP(14, EU | EW);
  user_access(user_jump, va);
  CHECK_TRAP(14, EU | EI);
}

TEST(paging_protection) {
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  CHECK(!CAUGHT(code_load, va));
  CHECK(CAUGHT(code_store, va));
  CHECK_TRAP(14, EP | EW);
  user_access(user_load, va);
  CHECK_TRAP(14, EP | EU);
  map(FREE_PAGE, PAGE(0) | P | U);
  user_access(user_load, va);
  CHECK_EQ(last.vector, 0x80);
  user_access(user_store, va);
  CHECK_TRAP(14, EP | EU | EW);
  map(FREE_PAGE, PAGE(0) | P | U | W);
  user_access(user_store, va);
  CHECK_EQ(last.vector, 0x80);
  CHECK_EQ(*(u64 *)PAGE(0), 1);
}

TEST(paging_write_protect_off) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | U);
  write_cr0(read_cr0() & ~0x10000ull);
  CHECK(!CAUGHT(code_store, va));
  CHECK_EQ(*(u64 *)PAGE(0), 1);
  user_access(user_store, va);
  CHECK_TRAP(14, EP | EU | EW);
  write_cr0(read_cr0() | 0x10000);
  CHECK(CAUGHT(code_store, va));
}

TEST(paging_upper_levels_restrict) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | U | W);
  test_pd[0] = (u64)test_pt | P | U;
  write_cr3(read_cr3());
  CHECK(CAUGHT(code_store, va));
  CHECK_TRAP(14, EP | EW);
  test_pd[1] = (u64)test_pt | P | W; /* the same table, supervisor only, 2 MiB further */
  user_access(user_load, va + 0x200000);
  CHECK_TRAP(14, EP | EU);
  CHECK(!CAUGHT(code_store, va + 0x200000));
  if (has_nx()) {
    test_pd[1] = (u64)test_pt | P | W | U | NX;
    write_cr3(read_cr3());
    user_access(user_jump, va + 0x200000);
    CHECK_TRAP(14, EP | EU | EI);
  }
}

TEST(paging_accessed_dirty) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W | U);
  test_pd[0] &= ~(u64)A;
  write_cr3(read_cr3());
  load(va);
  CHECK_EQ(ACCESSED(), A);
  CHECK(test_pd[0] & A);
  CHECK(!(test_pd[0] & D));
  store(va, 5);
  CHECK_EQ(ACCESSED(), A | D);
  test_pt[FREE_PAGE] &= ~(u64)(A | D);
  invlpg(va);
  CHECK_EQ(ACCESSED(), 0);
  store(va, 6);
  CHECK_EQ(ACCESSED(), A | D);
  map(FREE_PAGE, PAGE(0) | P | U);
  CHECK(CAUGHT(code_store, va));
  CHECK(!(test_pt[FREE_PAGE] & D));
  map(FREE_PAGE, PAGE(0) | P | W | U);
  asm volatile("xor eax, eax\n mov ecx, 1\n lock cmpxchg [%0], ecx" : : "r"(va) : "rax", "rcx", "memory", "cc");
  CHECK_EQ(ACCESSED(), A | D); /* a compare that fails writes too */
}

TEST(paging_failed_compare_is_a_write) {
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  CODE(code_cmpxchg, "mov eax, 77\n mov ecx, 1\n cmpxchg [rdi], ecx");
  CHECK(CAUGHT(code_cmpxchg, va));
  CHECK_TRAP(14, EP | EW);
}

TEST(paging_no_execute) {
  NEED(has_nx(), "no NX");
  *(u8 *)PAGE(0) = 0xc3;
  u64 va = map(FREE_PAGE, PAGE(0) | P | NX);
  CHECK(CAUGHT(code_jump, va));
  CHECK_TRAP(14, EP | EI);
  CHECK_EQ(last_cr2, va);
  CHECK(!CAUGHT(code_load, va));
  map(FREE_PAGE, PAGE(0) | P);
  CHECK(!CAUGHT(code_jump, va));
  map(FREE_PAGE, PAGE(0) | P | U | NX);
  user_access(user_jump, va);
  CHECK_TRAP(14, EP | EU | EI);
}

/* TCG leaves P out of the error code, which section 4.7 rules out. */
#define CHECK_RESERVED(also) do { CHECK_EQ(last.vector, 14); CHECK_EQ(last.error | (on_tcg ? EP : 0), EP | ER | (also)); } while (0)

TEST(paging_reserved_bits) {
  if (has_nx()) {
    u64 va = map(FREE_PAGE, PAGE(0) | P | W);
    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ull);
    map(FREE_PAGE, PAGE(0) | P | W | NX);
    CHECK(CAUGHT(code_load, va));
    CHECK_RESERVED(0);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
    invlpg(va);
    CHECK(!CAUGHT(code_load, va));
  }
  NEED(physical_bits() < 52, "52 physical bits leave none reserved");
  u64 va = map(FREE_PAGE, PAGE(0) | P | W | U | 1ull << 51);
  CHECK(CAUGHT(code_store, va));
  CHECK_RESERVED(EW);
  user_access(user_load, va);
  CHECK_RESERVED(EU);
  test_pd[1] = P | W | PS | 1 << 13; /* a 2-MiB page that is not aligned */
  CHECK(CAUGHT(code_load, USER_BASE + 0x200000));
  CHECK_RESERVED(0);
}

TEST(paging_large_pages) {
  test_pd[1] = 0x200000 | P | W | PS;
  volatile u64 *low = (u64 *)0x2fff40;
  u64 saved = *low;
  store(USER_BASE + 0x200000 + 0xfff40, 0x1234);
  CHECK_EQ(*low, 0x1234);
  *low = saved;
  CHECK_EQ(test_pd[1] & (A | D), A | D);
  NEED(cpuid(0x80000001, 0).d >> 26 & 1, "no 1-GiB pages");
  u64 pdpt3 = boot_pdpt[2];
  boot_pdpt[2] = P | W | PS;
  u64 seen = load(0x80000000ull + (u64)gdt + 8);
  u64 flags = boot_pdpt[2];
  boot_pdpt[2] = pdpt3;
  write_cr3(read_cr3());
  CHECK_EQ(seen, gdt[1]);
  CHECK(flags & A);
}

TEST(paging_flushes) {
  *(u64 *)PAGE(0) = 10;
  *(u64 *)PAGE(1) = 11;
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  CHECK_EQ(load(va), 10);
  test_pt[FREE_PAGE] = PAGE(1) | P | W;
  invlpg(va + 0xfff);
  CHECK_EQ(load(va), 11);
  test_pt[FREE_PAGE] = PAGE(0) | P | W;
  write_cr3(read_cr3());
  CHECK_EQ(load(va), 10);
  write_cr4(read_cr4() | 0x80);
  map(FREE_PAGE, PAGE(0) | P | W | G);
  CHECK_EQ(load(va), 10);
  test_pt[FREE_PAGE] = PAGE(1) | P | W | G;
  invlpg(va);
  CHECK_EQ(load(va), 11);
  test_pt[FREE_PAGE] = PAGE(0) | P | W | G;
  write_cr4(read_cr4() & ~0x80ull);
  CHECK_EQ(load(va), 10);
  /* a translation that was absent needs no flush */
  map(FREE_PAGE, 0);
  CHECK(CAUGHT(code_load, va));
  test_pt[FREE_PAGE] = PAGE(1) | P;
  CHECK(!CAUGHT(code_load, va));
  /* nor does one that gains rights, after at most one fault */
  test_pt[FREE_PAGE] = PAGE(1) | P | W;
  CAUGHT(code_store, va);
  CHECK(!CAUGHT(code_store, va));
}

TEST(paging_page_tables_change_under_upper_level) {
  static u64 other[512] __attribute__((aligned(4096)));
  *(u64 *)PAGE(0) = 20;
  *(u64 *)PAGE(1) = 21;
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  other[FREE_PAGE] = PAGE(1) | P;
  CHECK_EQ(load(va), 20);
  test_pd[0] = (u64)other | P | W | U;
  invlpg(va);
  CHECK_EQ(load(va), 21);
}

TEST(paging_smep) {
  NEED(has_smep(), "no SMEP");
  *(u8 *)PAGE(0) = 0xc3;
  u64 va = map(FREE_PAGE, PAGE(0) | P | U);
  CHECK(!CAUGHT(code_jump, va));
  write_cr4(read_cr4() | 1 << 20);
  CHECK(CAUGHT(code_jump, va));
  CHECK_TRAP(14, EP | EI);
  CHECK(!CAUGHT(code_load, va));
  USER64(user_load);
  CHECK(last.vector == 14 || last.vector == 0x80);
}

TEST(paging_smap) {
  NEED(has_smap(), "no SMAP");
  u64 va = map(FREE_PAGE, PAGE(0) | P | U | W);
  CODE(code_stac, "stac\n mov rax, [rdi]\n mov [rdi], rax\n clac");
  CODE(code_clac, "stac\n mov rax, [rdi]\n clac\n mov [rdi], rax");
  CODE(code_popf_ac, "pushfq\n or dword ptr [rsp], 0x40000\n popfq\n mov rax, [rdi]\n pushfq\n and dword ptr [rsp], 0xfffbffff\n popfq");
  CHECK(!CAUGHT(code_load, va));
  write_cr4(read_cr4() | 1 << 21);
  CHECK(CAUGHT(code_load, va));
  CHECK_TRAP(14, EP);
  CHECK(CAUGHT(code_store, va));
  CHECK_TRAP(14, EP | EW);
  CHECK(!CAUGHT(code_stac, va));
  CHECK(!CAUGHT(code_popf_ac, va));
  CHECK(CAUGHT(code_clac, va));
  CHECK_TRAP(14, EP | EW);
  user_access(user_store, va); /* CPL 3 is not concerned */
  CHECK_EQ(last.vector, 0x80);
  SNIPPET(user_stac, "stac");
  USER64(user_stac);
  CHECK_EQ(last.vector, 6);
}

TEST(paging_access_across_pages) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  map(FREE_PAGE + 1, 0);
  u64 at = va + 4096 - 3;
  store(va + 4088, 0x1111111111111111);
  CHECK(CAUGHT(code_store, at));
  CHECK_TRAP(14, EW);
  CHECK_EQ(last_cr2, va + 4096);
  CHECK_EQ(load(va + 4088), 0x1111111111111111);
  CHECK(CAUGHT(code_load, at));
  CHECK_EQ(last_cr2, va + 4096);
  map(FREE_PAGE + 1, PAGE(5) | P); /* readable: reads work, writes still leave the first page alone */
  CHECK(!CAUGHT(code_load, at));
  CHECK(CAUGHT(code_store, at));
  CHECK_TRAP(14, EP | EW);
  CHECK_EQ(load(va + 4088), 0x1111111111111111);
  map(FREE_PAGE + 1, PAGE(5) | P | W);
  store(at, 0x8877665544332211);
  CHECK_EQ(*(u64 *)(PAGE(0) + 4088), 0x3322111111111111);
  CHECK_EQ(*(u64 *)PAGE(5), 0x8877665544);
  /* the first page missing, the second there */
  map(FREE_PAGE, 0);
  CHECK(CAUGHT(code_store, at));
  CHECK_EQ(last_cr2, at);
}

TEST(paging_fetch_across_pages) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  map(FREE_PAGE + 1, 0);
  static const u8 mov_imm[] = {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xc3};
  memcpy((void *)(va + 4096 - 5), mov_imm, 5);
  CHECK(CAUGHT(code_jump, va + 4096 - 5));
  CHECK_TRAP(14, EI);
  CHECK_EQ(last_cr2, va + 4096);
  CHECK_EQ(last.rip, va + 4096 - 5);
  memcpy(scratch_page(1), mov_imm + 5, 6);
  map(FREE_PAGE + 1, PAGE(1) | P);
  u64 v;
  asm volatile("call %1" : "=&a"(v) : "r"(va + 4096 - 5) : "memory");
  CHECK_EQ(v, 0x0807060504030201);
}

TEST(paging_fault_leaves_registers) {
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  set_gate(14, trap_stubs + 14 * 16, 0x8e, 1);
  CHECK(CAUGHT(code_push, va + 4096));
  CHECK_TRAP(14, EP | EW);
  CHECK_EQ(last.rsp, va + 4096);
  CHECK_EQ(last_cr2, va + 4088);
  CODE(code_xadd, "mov eax, 5\n xadd [rdi], eax");
  CHECK(CAUGHT(code_xadd, va));
  CHECK_EQ(last.rax, 5);
}

TEST(paging_non_canonical) {
  CHECK(CAUGHT(code_load, 0x800000000000));
  CHECK_TRAP(13, 0);
  CHECK(CAUGHT(code_load, 0x7ffffffffffd)); /* the access leaves the canonical half */
  CHECK(last.vector == 13 || last.vector == 14);
  set_gate(12, trap_stubs + 12 * 16, 0x8e, 1);
  set_gate(13, trap_stubs + 13 * 16, 0x8e, 1);
  CHECK(CAUGHT(code_push, 0x800000001000));
  CHECK_TRAP(on_tcg ? 13 : 12, 0);
  CHECK(CAUGHT(code_jump, 0x800000000000));
  CHECK_TRAP(13, 0);
  if (!on_tcg) CHECK(last.rip >= (u64)code_jump && last.rip < (u64)code_jump_end);
}

TEST(paging_implicit_supervisor) {
  /* descriptor and IDT reads by user code are supervisor accesses: they work on supervisor pages */
  SNIPPET(user_load_segment, "mov eax, 0x2b\n mov ds, eax\n int 0x80");
  USER64(user_load_segment);
  CHECK_EQ(last.vector, 0x80);
}

TEST(paging_fetch_sets_accessed) {
  *(u8 *)PAGE(0) = 0xc3;
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  CHECK(!CAUGHT(code_jump, va));
  CHECK_EQ(ACCESSED(), A);
}

TEST(paging_rights_are_not_cached_across_modes) {
  /* a translation that the kernel has used must still be refused to CPL 3, and the other way round */
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  store(va, 1);
  user_access(user_load, va);
  CHECK_TRAP(14, EP | EU);
  CHECK(!CAUGHT(code_load, va));
  map(FREE_PAGE, PAGE(0) | P | U);
  write_cr0(read_cr0() & ~0x10000ull);
  store(va, 2); /* allowed: WP is off */
  write_cr0(read_cr0() | 0x10000);
  CHECK(CAUGHT(code_store, va));
  CHECK_TRAP(14, EP | EW);
  user_access(user_store, va);
  CHECK_TRAP(14, EP | EU | EW);
  if (has_smap()) {
    map(FREE_PAGE, PAGE(0) | P | U | W);
    store(va, 3);
    write_cr4(read_cr4() | 1 << 21);
    CHECK(CAUGHT(code_load, va));
    CHECK_TRAP(14, EP);
    write_cr4(read_cr4() & ~(1ull << 21));
    CHECK(!CAUGHT(code_load, va));
  }
  if (has_smep()) {
    *(u8 *)PAGE(0) = 0xc3;
    CHECK(!CAUGHT(code_jump, va));
    write_cr4(read_cr4() | 1 << 20);
    CHECK(CAUGHT(code_jump, va));
    CHECK_TRAP(14, EP | EI);
  }
}

TEST(paging_large_page_flush_and_split) {
  u64 va = USER_BASE + 0x200000;
  test_pd[1] = 0x200000 | P | W | PS;
  volatile u64 *low = (u64 *)0x3ffff0;
  *low = 0x51;
  CHECK_EQ(load(va + 0x1ffff0), 0x51);
  static u64 split[512] __attribute__((aligned(4096)));
  for (int i = 0; i < 512; i++) split[i] = (0x200000 + i * 4096ull) | P | W;
  split[511] = PAGE(0) | P;
  *(u64 *)(PAGE(0) + 0xff0) = 0x52;
  test_pd[1] = (u64)split | P | W;
  invlpg(va + 0x1ffff0);
  CHECK_EQ(load(va + 0x1ffff0), 0x52);
  CHECK(CAUGHT(code_store, va + 0x1ffff0));
  CHECK_TRAP(14, EP | EW);
  /* INVLPG of any address in a large page drops all of it */
  test_pd[1] = 0x200000 | P | W | PS;
  write_cr3(read_cr3());
  load(va);
  load(va + 0x100000);
  test_pd[1] = 0;
  invlpg(va + 0x5000);
  CHECK(CAUGHT(code_load, va));
  CHECK(CAUGHT(code_load, va + 0x100000));
}

TEST(paging_two_address_spaces) {
  static u64 other_pml4[512] __attribute__((aligned(4096))), other_pdpt[512] __attribute__((aligned(4096))),
      other_pd[512] __attribute__((aligned(4096))), other_pt[512] __attribute__((aligned(4096)));
  memcpy(other_pml4, boot_pml4, 4096);
  memcpy(other_pdpt, boot_pdpt, 4096);
  other_pml4[0] = (u64)other_pdpt | P | W | U;
  other_pdpt[1] = (u64)other_pd | P | W | U;
  other_pd[0] = (u64)other_pt | P | W | U;
  *(u64 *)PAGE(0) = 1;
  *(u64 *)PAGE(1) = 2;
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  other_pt[FREE_PAGE] = PAGE(1) | P | W;
  u64 seen[6];
  for (int i = 0; i < 6; i++) {
    seen[i] = load(va);
    write_cr3((u64)(i & 1 ? boot_pml4 : other_pml4));
  }
  write_cr3((u64)boot_pml4);
  for (int i = 0; i < 6; i++) CHECK_EQ(seen[i], 1 + (i & 1));
}
