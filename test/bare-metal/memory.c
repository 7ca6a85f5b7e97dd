/* Restarted string instructions, self-modifying and cross-modifying code. */
#include "kernel.h"

static u64 missing_page, mapped_entry;
static int faults;
static struct frame at_fault;
static int map_on_fault(struct frame *f) {
  if (f->vector != 14) return 0;
  faults++;
  at_fault = *f;
  map(missing_page, mapped_entry);
  return 1;
}
#define PAGE(i) ((u64)scratch_page(i))

TEST(string_movs_resumed) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  map(FREE_PAGE + 1, 0);
  for (int i = 0; i < 4096; i++) scratch_page(3)[i] = i * 7;
  missing_page = FREE_PAGE + 1; mapped_entry = PAGE(1) | P | W;
  faults = 0;
  hook = map_on_fault;
  u64 c = 1000, s = PAGE(3), d = va + 4096 - 600, here;
  asm volatile("lea %3, [rip + 1f]\n1: rep movsb" : "+c"(c), "+S"(s), "+D"(d), "=&r"(here) : : "memory");
  CHECK_EQ(faults, 1);
  CHECK_EQ(at_fault.rip, here);
  CHECK_EQ(at_fault.rcx, 400);
  CHECK_EQ(at_fault.rdi, va + 4096);
  CHECK_EQ(at_fault.rsi, PAGE(3) + 600);
  CHECK_EQ(at_fault.error, 2);
  CHECK_EQ(c, 0);
  CHECK_EQ(d, va + 4096 + 400);
  CHECK(!memcmp((void *)(va + 4096 - 600), scratch_page(3), 1000));
}

TEST(string_stos_unaligned_across) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  map(FREE_PAGE + 1, 0);
  missing_page = FREE_PAGE + 1; mapped_entry = PAGE(1) | P | W;
  faults = 0;
  hook = map_on_fault;
  u64 c = 8, d = va + 4096 - 28;
  asm volatile("rep stosq" : "+c"(c), "+D"(d) : "a"(0x0102030405060708) : "memory");
  CHECK_EQ(faults, 1);
  CHECK_EQ(at_fault.rcx, 5);
  CHECK_EQ(at_fault.rdi, va + 4096 - 4);
  CHECK_EQ(last_cr2, va + 4096);
  CHECK_EQ(*(u64 *)(PAGE(1) + 4), 0x0102030405060708);
  CHECK_EQ(d, va + 4096 + 36);
}

TEST(string_backwards_source_fault) {
  u64 va = map(FREE_PAGE, 0);
  map(FREE_PAGE + 1, PAGE(1) | P | W);
  missing_page = FREE_PAGE; mapped_entry = PAGE(0) | P;
  for (int i = 0; i < 64; i++) scratch_page(1)[i] = i;
  for (int i = 4032; i < 4096; i++) scratch_page(0)[i] = i;
  faults = 0;
  hook = map_on_fault;
  u64 c = 32, s = va + 4096 + 30, d = PAGE(4) + 100;
  asm volatile("std\n rep movsw\n cld" : "+c"(c), "+S"(s), "+D"(d) : : "memory");
  CHECK_EQ(faults, 1);
  CHECK_EQ(at_fault.rcx, 16);
  CHECK_EQ(at_fault.error, 0);
  CHECK(at_fault.rflags & 0x400);
  CHECK_EQ(d, PAGE(4) + 100 - 64);
  CHECK_EQ(scratch_page(4)[101], 31);
}

TEST(string_compare_resumed) {
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  map(FREE_PAGE + 1, 0);
  missing_page = FREE_PAGE + 1; mapped_entry = PAGE(1) | P;
  memset(scratch_page(0), 'a', 4096);
  memset(scratch_page(1), 'a', 4096);
  scratch_page(1)[50] = 'b';
  faults = 0;
  hook = map_on_fault;
  u64 c = 8000, d = va;
  u8 nz;
  asm volatile("repe scasb\n setnz %2" : "+c"(c), "+D"(d), "=r"(nz) : "a"('a') : "memory", "cc");
  CHECK_EQ(faults, 1);
  CHECK_EQ(nz, 1);
  CHECK_EQ(d, va + 4096 + 51);
  CHECK_EQ(c, 8000 - 4096 - 51);
}

TEST(string_io_permission) {
  SNIPPET(user_rep_outsb, "mov ecx, 0\n mov edx, 0x84\n rep outsb\n int 0x80");
  USER64(user_rep_outsb);
  CHECK_TRAP(13, 0); /* checked even for a count of zero */
}

/* mov eax, imm32; ret, in a writable page */
static u8 *put_function(u64 at, u32 value) {
  u8 *p = (u8 *)at;
  p[0] = 0xb8;
  memcpy(p + 1, &value, 4);
  p[5] = 0xc3;
  return p;
}
static u32 call(u64 at) {
  u64 v;
  asm volatile("call %1" : "=a"(v) : "r"(at) : "memory", "rcx", "rdx");
  return v;
}

TEST(smc_rewritten_function) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  for (u32 i = 0; i < 300; i++) {
    put_function(va + 64, i);
    CHECK_EQ(call(va + 64), i);
  }
}

TEST(smc_through_an_alias) {
  u64 code = map(FREE_PAGE, PAGE(0) | P);
  u64 alias = map(FREE_PAGE + 1, PAGE(0) | P | W);
  for (u32 i = 0; i < 50; i++) {
    put_function(alias + 128, i);
    CHECK_EQ(call(code + 128), i);
    put_function(PAGE(0) + 128, i + 1000);
    CHECK_EQ(call(code + 128), i + 1000);
  }
}

TEST(smc_next_instruction) {
  /* the store changes the immediate of the instruction right behind it, in the same block */
  static const u8 code[] = {0x89, 0x3d, 1, 0, 0, 0, /* mov [rip+1], edi */ 0xb8, 0, 0, 0, 0, /* mov eax, imm */ 0xc3};
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  memcpy((void *)(va + 10), code, sizeof code);
  for (u32 i = 1; i < 100; i++) {
    u64 v;
    asm volatile("call %1" : "=a"(v) : "r"(va + 10), "D"(i * 0x01010101) : "memory");
    CHECK_EQ(v, i * 0x01010101);
  }
}

TEST(smc_across_pages) {
  /* an instruction on a page border: only its second half changes */
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  map(FREE_PAGE + 1, PAGE(1) | P | W);
  u64 at = va + 4096 - 3;
  for (u32 i = 0; i < 100; i++) {
    if (i == 0) put_function(at, 0);
    *(u8 *)(va + 4096) = i;
    CHECK_EQ(call(at), i << 16);
  }
  /* the second page is replaced by another one */
  memcpy(scratch_page(2), scratch_page(1), 64);
  scratch_page(2)[0] = 0xee;
  map(FREE_PAGE + 1, PAGE(2) | P | W);
  CHECK_EQ(call(at), 0xee << 16);
}

TEST(smc_remapped_code) {
  put_function(PAGE(0), 1);
  put_function(PAGE(1), 2);
  u64 va = map(FREE_PAGE, PAGE(0) | P);
  for (int i = 0; i < 50; i++) {
    map(FREE_PAGE, PAGE(i & 1) | P);
    CHECK_EQ(call(va), (i & 1) + 1);
  }
}

TEST(smc_by_string_instruction) {
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  put_function(PAGE(1), 0x11111111);
  put_function(PAGE(1) + 64, 0x22222222);
  for (int i = 0; i < 20; i++) {
    u64 c = 64, s = PAGE(1) + (i & 1) * 64, d = va + 256;
    asm volatile("rep movsb" : "+c"(c), "+S"(s), "+D"(d) : : "memory");
    CHECK_EQ(call(va + 256), (i & 1) ? 0x22222222 : 0x11111111);
  }
}

TEST(smc_loop_patches_itself) {
  /* eax counts; the loop turns its own "inc eax" (ff c0) into "dec eax" (ff c8) half way */
  static const u8 code[] = {0x31, 0xc0, 0xb9, 100, 0, 0, 0, /* loop: */ 0xff, 0xc0, 0x83, 0xf9, 51, 0x75, 0x07,
                            0xc6, 0x05, 0xf3, 0xff, 0xff, 0xff, 0xc8, /* mov byte [rip-13], 0xc8 */ 0xff, 0xc9, 0x75, 0xee, 0xc3};
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  memcpy((void *)va, code, sizeof code);
  CHECK_EQ(call(va), 0);
}

TEST(smc_data_beside_code) {
  /* stores into a page that holds code, but not over the code */
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  put_function(va, 5);
  u64 sum = 0;
  for (int i = 0; i < 1000; i++) {
    *(volatile u32 *)(va + 2048) = i;
    sum += call(va) + *(volatile u32 *)(va + 2048);
  }
  CHECK_EQ(sum, 5000 + 499500);
}

TEST(smc_hot_loop_changed_by_its_caller) {
  /* a loop that runs often enough to be translated, then differently */
  static const u8 code[] = {0x31, 0xc0, 0x83, 0xc0, 1, 0xff, 0xc9, 0x75, 0xf9, 0xc3}; /* xor eax; add eax, 1; dec ecx; jnz; ret */
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  memcpy((void *)va, code, sizeof code);
  for (int round = 1; round < 6; round++) {
    *(volatile u8 *)(va + 4) = round;
    u64 v;
    asm volatile("mov ecx, 20000\n call %1" : "=&a"(v) : "r"(va) : "rcx", "memory");
    CHECK_EQ(v, 20000ull * round);
  }
}

TEST(smc_push_over_code) {
  /* the stack grows into the code that runs */
  static const u8 code[] = {0xb8, 1, 0, 0, 0, 0x6a, 0x05, 0x58, 0x48, 0x89, 0xcc, 0xc3}; /* mov eax, 1; push 5; pop rax; mov rsp, rcx; ret */
  u64 va = map(FREE_PAGE, PAGE(0) | P | W);
  memcpy((void *)(va + 64), code, sizeof code);
  u64 v;
  for (int i = 0; i < 20; i++) {
    *(u8 *)(va + 69) = 0x6a;
    asm volatile("mov rdx, rsp\n lea rcx, [rsp - 8]\n call smc_trampoline\n jmp 2f\nsmc_trampoline: lea rcx, [rsp]\n lea rsp, [%1 + 128]\n jmp rbx\n2:"
                 : "=&a"(v) : "r"(va), "b"(va + 64) : "rcx", "rdx", "memory");
    CHECK_EQ(v, 5);
  }
}

TEST(smc_page_table_write_makes_code) {
  /* code appears by a change of the page table alone, in a page that was data a moment ago */
  put_function(PAGE(2), 77);
  u64 va = map(FREE_PAGE, PAGE(2) | P | W | (has_nx() ? NX : 0));
  CHECK_EQ(load(va) & 0xff, 0xb8);
  CODE(code_call_it, "call rdi");
  if (has_nx()) {
    CHECK(CAUGHT(code_call_it, va));
    CHECK_EQ(last.error, 0x11);
  }
  map(FREE_PAGE, PAGE(2) | P | W);
  CHECK_EQ(call(va), 77);
  put_function(va, 78);
  CHECK_EQ(call(va), 78);
}
