/*
 * Code that changes under the CPU, from every angle, hot enough that any tier runs it: templates are copied into
 * writable pages, and every result is compared with what C computes.
 */
#include "kernel.h"

#define PAGE(i) ((u64)scratch_page(i))
/* Code for copying, ending with a RET; labels inside are called NAME_1 … and found with AT. */
#define TEMPLATE(name, text) extern u8 name##_1[], name##_2[]; CODE(name, text)
#define SIZE(name) ((size_t)(name##_end - name))
#define PLACE(at, name) memcpy((void *)(at), name, SIZE(name))
/* Where the template's label is in a copy at `copy`. */
#define AT(copy, name, label) ((volatile u8 *)((copy) + (size_t)(label - name)))

/* Rounds of a loop that changes its code in each; `rounds=` on the command line, a multiple of 4. */
#define N rounds
#define SUM ((u64)N * (N + 1) / 2)

static u64 code_page(int page, int physical) { return map(FREE_PAGE + page, PAGE(physical) | P | W); }

/* Calls the code at `at` with rdi, rsi and rcx; it may change what the ABI lets it and rax, its result. */
static u64 run(u64 at, u64 di, u64 si, u64 c) {
  u64 v = 0;
  asm volatile("call %[at]"
               : "+a"(v), "+D"(di), "+S"(si), "+c"(c)
               : [at] "r"(at)
               : "memory", "cc", "rdx", "r8", "r9", "r10", "r11");
  return v;
}
static void function(u64 at, u32 value) { /* mov eax, value; ret */
  volatile u8 *p = (volatile u8 *)at;
  p[0] = 0xb8;
  *(volatile u32 *)(p + 1) = value;
  p[5] = 0xc3;
}

/* ---- a block that patches itself ---- */

TEMPLATE(t_behind, "xor eax, eax\n1: add eax, 1\nt_behind_1: nop\n mov byte ptr [rip + t_behind_1 - 1], cl\n"
                   " dec ecx\n jnz 1b");
TEST(smc_behind_in_a_loop) {
  u64 va = code_page(0, 0);
  u32 want = 1;
  for (int c = N; c > 1; c--) want += (int)(signed char)c;
  PLACE(va + 40, t_behind);
  CHECK_EQ(run(va + 40, 0, 0, N), want);
}

TEMPLATE(t_ahead, "xor eax, eax\n1: mov [rip + t_ahead_1 - 4], ecx\n lea rdx, [rcx + rcx*2]\n add eax, edx\n"
                  " mov edx, 0x11111111\nt_ahead_1: xor eax, edx\n dec ecx\n jnz 1b");
TEST(smc_ahead_in_a_loop) {
  u64 va = code_page(0, 0);
  u32 want = 0;
  for (u32 c = N; c; c--) want = (want + c * 3) ^ c;
  PLACE(va + 100, t_ahead);
  CHECK_EQ(run(va + 100, 0, 0, N), want);
}

TEMPLATE(t_next, "xor eax, eax\n1: mov [rip + t_next_1 - 4], ecx\n add eax, 0x11111111\nt_next_1: dec ecx\n jnz 1b");
TEST(smc_next_in_a_loop) {
  u64 va = code_page(0, 0);
  PLACE(va, t_next);
  CHECK_EQ(run(va, 0, 0, N), SUM);
}

TEMPLATE(t_opcode, "xor eax, eax\n mov dl, 0x01\n1: mov [rip + t_opcode_1], dl\n xor dl, 0x28\n"
                   "t_opcode_1: add eax, ecx\n dec ecx\n jnz 1b"); /* 01 ADD, 29 SUB */
TEST(smc_opcode_in_a_loop) {
  u64 va = code_page(0, 0);
  PLACE(va + 7, t_opcode);
  CHECK_EQ(run(va + 7, 0, 0, N), N / 2);
}

TEMPLATE(t_length, "xor eax, eax\n xor r8d, r8d\n mov dl, 0xb8\n1: xor dl, 0x53\n mov [rip + t_length_1], dl\n"
                   "t_length_1: mov eax, 3\n add r8d, eax\n xor eax, eax\n dec ecx\n jnz 1b\n mov eax, r8d");
TEST(smc_length_in_a_loop) {
  /* b8 MOV EAX, 3 becomes eb 03, a jump over three bytes, and back */
  u64 va = code_page(0, 0);
  PLACE(va, t_length);
  CHECK_EQ(run(va, 0, 0, N), N / 2 * 3);
}

TEMPLATE(t_once, "xor eax, eax\n1: inc eax\n cmp ecx, 51\n jne 2f\n mov byte ptr [rip + 1b + 1], 0xc8\n"
                 "2: dec ecx\n jnz 1b"); /* INC becomes DEC when 50 rounds are left */
TEST(smc_once_in_a_loop) {
  u64 va = code_page(0, 0);
  for (u32 c = 100; c <= 6400; c *= 2) {
    PLACE(va + 9, t_once);
    CHECK_EQ(run(va + 9, 0, 0, c), c - 100);
  }
}

/* ---- one block patches another ---- */

TEMPLATE(t_inner, "xor eax, eax\n1: inc dword ptr [rip + t_inner_1 - 4]\n mov edx, 700\n2: add eax, 5\n dec edx\n jnz 2b\n"
                  " add eax, 0x00010000\nt_inner_1: dec ecx\n jnz 1b");
TEMPLATE(t_hot, "xor eax, eax\n1: mov [rip + t_hot_1 - 4], ecx\n mov edx, 1000\n2: add eax, 0x11111111\nt_hot_1: dec edx\n"
                " jnz 2b\n dec ecx\n jnz 1b");
TEST(smc_outer_loop_patches_inner) {
  u64 va = code_page(0, 0);
  PLACE(va + 200, t_hot);
  u32 want = 0;
  for (u32 c = 60; c; c--) want += c * 1000;
  CHECK_EQ(run(va + 200, 0, 0, 60), want);
  PLACE(va + 600, t_inner);
  want = 0;
  for (u32 c = 1; c <= 40; c++) want += 3500 + 0x00010000 + c;
  CHECK_EQ(run(va + 600, 0, 0, 40), want);
}

/* A loop calls a function, [rdi], and patches its immediate through rsi, before each call. */
TEMPLATE(t_caller, "xor r8d, r8d\n1: mov [rsi], ecx\n call rdi\n add r8d, eax\n dec ecx\n jnz 1b\n mov eax, r8d");
static u32 patched_callee(u64 caller, u64 callee, u64 through, u32 count) {
  PLACE(caller, t_caller);
  function(callee, 0x01020304);
  return run(caller, callee, through + 1, count);
}
TEST(smc_callee_same_page) {
  u64 va = code_page(0, 0);
  CHECK_EQ(patched_callee(va, va + 128, va + 128, N), SUM);
  CHECK_EQ(patched_callee(va + 1024, va + 1024 + SIZE(t_caller), va + 1024 + SIZE(t_caller), N), SUM);
}
TEST(smc_callee_other_page) {
  u64 va = code_page(0, 0), other = code_page(5, 3);
  CHECK_EQ(patched_callee(va, other + 300, other + 300, N), SUM);
}

/* The same through another address: CPUID serialises, as the manual wants it. */
TEMPLATE(t_alias, "push rbx\n xor r8d, r8d\n mov r9d, ecx\n1: mov [rsi], r9d\n xor eax, eax\n xor ecx, ecx\n cpuid\n"
                  " call rdi\n add r8d, eax\n dec r9d\n jnz 1b\n mov eax, r8d\n pop rbx");
TEST(smc_callee_through_an_alias) {
  u64 va = code_page(0, 0), alias = code_page(2, 0);
  function(va + 512, 1);
  PLACE(va, t_alias);
  CHECK_EQ(run(va, va + 512, alias + 513, N), SUM);
  CHECK_EQ(run(va, va + 512, PAGE(0) + 513, N), SUM);
}
TEMPLATE(t_alias_self, "push rbx\n xor r8d, r8d\n mov r9d, ecx\n1: mov [rsi], r9d\n xor eax, eax\n xor ecx, ecx\n cpuid\n"
                       " add r8d, 0x11111111\nt_alias_self_1: dec r9d\n jnz 1b\n mov eax, r8d\n pop rbx");
TEST(smc_itself_through_an_alias) {
  u64 va = code_page(0, 0), alias = code_page(2, 0);
  PLACE(va, t_alias_self);
  CHECK_EQ(run(va, 0, (u64)AT(alias, t_alias_self, t_alias_self_1) - 4, N), SUM);
}

TEMPLATE(t_patcher, "xor r8d, r8d\n1: call rdi\n add r8d, 0x11111111\nt_patcher_1: dec ecx\n jnz 1b\n mov eax, r8d");
TEMPLATE(t_patch, "mov [rsi], ecx");
TEST(smc_callee_patches_its_caller) {
  u64 va = code_page(0, 0), other = code_page(1, 1);
  PLACE(va, t_patcher);
  PLACE(other, t_patch);
  PLACE(va + 512, t_patch);
  u64 target = (u64)AT(va, t_patcher, t_patcher_1) - 4;
  CHECK_EQ(run(va, other, target, N), SUM);
  CHECK_EQ(run(va, va + 512, target, N), SUM);
}

/* ---- an instruction on two pages ---- */

/* add eax, imm32 (05 …) across the border, patched whole by a store across the border too */
TEST(smc_two_pages_in_a_loop) {
  u64 va = code_page(0, 0);
  code_page(1, 1);
  for (int before = 1; before < 5; before++) {
    size_t to = (size_t)6 + 2; /* xor eax, eax and the store stand before the instruction */
    u64 at = va + 4096 - before - to;
    PLACE(at, t_next);
    CHECK_EQ(*(u8 *)(va + 4096 - before), 0x05);
    CHECK_EQ(run(at, 0, 0, N), SUM);
  }
}
TEMPLATE(t_border, "xor r8d, r8d\n1: xor byte ptr [rdi], 1\n xor byte ptr [rsi], 2\n lea eax, [rcx + 0x40000004]\nt_border_1:\n"
                   " add r8d, eax\n dec ecx\n jnz 1b\n mov eax, r8d");
TEST(smc_two_pages_each_half) {
  u64 va = code_page(0, 0);
  code_page(1, 1);
  u64 alias = code_page(7, 1);
  /* 8d 81 imm32: the displacement's first byte in the first page, its second byte in the second */
  u64 at = va + 4096 - 3 - ((u64)AT(0, t_border, t_border_1) - 6);
  for (int round = 0; round < 3; round++) {
    PLACE(at, t_border);
    u32 want = 0, displacement = 0x40000004;
    for (u32 c = N; c; c--) displacement ^= 0x0201, want += c + displacement;
    CHECK_EQ(run(at, va + 4095, va + 4096, N), want);
    if (round == 1) *(volatile u8 *)(alias + 1) = 0;
  }
  /* the second page changes under a translated loop: mapped elsewhere, then gone */
  PLACE(at, t_border);
  CHECK_EQ(run(at, PAGE(9), PAGE(9), N), (u32)(SUM + N * 4 + 0x40000000u * N));
  memcpy(scratch_page(2), scratch_page(1), 4096);
  scratch_page(2)[0] = 1;
  map(FREE_PAGE + 1, PAGE(2) | P | W);
  CHECK_EQ(run(at, PAGE(9), PAGE(9), N), (u32)(SUM + N * (4 + 256) + 0x40000000u * N));
  map(FREE_PAGE + 1, 0);
  CHECK(CAUGHT(at, 0));
  CHECK_TRAP(14, has_nx() || has_smep() ? 0x10 : 0);
  CHECK_EQ(last_cr2, va + 4096);
  CHECK_EQ(last.rip, va + 4096 - 3);
}

/* ---- by other instructions than MOV ---- */

/* Each template calls nothing: a loop of `text`, which puts ecx over the immediate at NAME_1 - 4. */
#define BY(name, text)                                                                                         \
  TEMPLATE(by_##name, "xor r8d, r8d\n mov r9, rsp\n1:" text "\n add r8d, 0x11111111\nby_" #name "_1: dec ecx\n"  \
                      " jnz 1b\n mov rsp, r9\n mov eax, r8d");                                                   \
  TEST(smc_by_##name) {                                                                                        \
    u64 va = code_page(0, 0);                                                                                  \
    PLACE(va + 64, by_##name);                                                                                 \
    CHECK_EQ(run(va + 64, 0, 0, N), SUM);                                                       \
    code_page(1, 1);                                                                                           \
    u64 at = va + 4096 - 2 - ((u64)AT(0, by_##name, by_##name##_1) - 4);                                       \
    PLACE(at, by_##name);                                                                                      \
    CHECK_EQ(run(at, 0, 0, N), SUM);                                                            \
  }
#define HERE(name) "[rip + by_" #name "_1 - 4]"
BY(xchg, "mov eax, ecx\n xchg " HERE(xchg) ", eax")
BY(cmpxchg, "mov eax, " HERE(cmpxchg) "\n lock cmpxchg " HERE(cmpxchg) ", ecx\n jnz 1b")
BY(xadd, "mov eax, ecx\n sub eax, " HERE(xadd) "\n lock xadd " HERE(xadd) ", eax")
BY(read_modify_write, "mov eax, " HERE(read_modify_write) "\n xor eax, ecx\n xor " HERE(read_modify_write) ", eax")
BY(bytes, "mov " HERE(bytes) ", cl\n mov byte ptr [rip + by_bytes_1 - 3], ch\n mov word ptr [rip + by_bytes_1 - 2], 0")
BY(bit_set, "mov dword ptr " HERE(bit_set) ", 0\n mov edx, 31\n2: bt ecx, edx\n jnc 3f\n"
            " lock bts dword ptr " HERE(bit_set) ", edx\n3: dec edx\n jns 2b")
BY(stosd, "lea rdi, " HERE(stosd) "\n mov eax, ecx\n stosd")
BY(rep_stosb, "mov edx, ecx\n lea rdi, " HERE(rep_stosb) "\n xor eax, eax\n mov ecx, 4\n rep stosb\n"
              " mov ecx, edx\n mov " HERE(rep_stosb) ", cx")
BY(rep_movsb, "mov edx, ecx\n push rcx\n mov rsi, rsp\n lea rdi, " HERE(rep_movsb) "\n mov ecx, 4\n rep movsb\n"
              " pop rcx")
BY(movs_backwards, "mov edx, ecx\n push rcx\n lea rsi, [rsp + 3]\n lea rdi, [rip + by_movs_backwards_1 - 1]\n mov ecx, 4\n"
                   " std\n rep movsb\n cld\n pop rcx")
BY(movups, "movups xmm0, " HERE(movups) "\n movd xmm1, ecx\n movss xmm0, xmm1\n movups " HERE(movups) ", xmm0")
BY(movd, "movd xmm1, ecx\n movd " HERE(movd) ", xmm1")
BY(movlps, "movq xmm0, " HERE(movlps) "\n movd xmm1, ecx\n movss xmm0, xmm1\n movlps " HERE(movlps) ", xmm0")
BY(movnti, "movnti " HERE(movnti) ", ecx\n sfence")
BY(fistp, "push rcx\n fild dword ptr [rsp]\n fistp dword ptr " HERE(fistp) "\n pop rcx")
/* the stack lies on the code: what is pushed is the immediate and its neighbours as they were */
BY(push, "mov eax, [rip + by_push_1]\n shl rax, 32\n or rax, rcx\n lea rsp, [rip + by_push_1 + 4]\n push rax\n mov rsp, r9")
BY(pop_to_memory, "push rcx\n movzx eax, byte ptr [rip + by_pop_to_memory_1]\n mov eax, [rip + by_pop_to_memory_1]\n"
                  " mov [rsp + 4], eax\n pop qword ptr " HERE(pop_to_memory))

/* A CALL pushes its return address over the code behind it. */
TEMPLATE(t_call, "mov r9, rsp\n1: lea rsp, [rip + t_call_1]\n call 2f\n2: mov rsp, r9\n"
                 " movabs rax, 0x1111111111111111\nt_call_1: lea rdx, [rip + 2b]\n sub rax, rdx\n jnz 3f\n dec ecx\n jnz 1b\n3: nop");
TEST(smc_by_call) {
  u64 va = code_page(0, 0);
  PLACE(va + 64, t_call);
  CHECK_EQ(run(va + 64, 0, 0, N), 0);
}

/* Firmware configuration by DMA: item 0 is "QEMU", item 1 the number 3; the device writes over an immediate. */
static struct { u32 control, length; u64 address; } __attribute__((packed, aligned(16))) request;
static int dma(u32 item, u64 gpa) {
  request.control = __builtin_bswap32(item << 16 | 8 | 2); /* select, read */
  request.length = __builtin_bswap32(4);
  request.address = __builtin_bswap64(gpa);
  asm volatile("" : : : "memory");
  outl(0x514, 0);
  outl(0x518, __builtin_bswap32((u32)(u64)&request));
  for (int i = 0; i < 100000; i++) if (*(volatile u32 *)&request.control == 0) return 1;
  return 0;
}
TEST(smc_by_a_device) {
  u64 va = code_page(0, 0);
  function(va + 800, 5);
  PLACE(va + 64, t_next);
  for (u32 i = 0; i < N / 8; i++) {
    CHECK_EQ(run(va + 64, 0, 0, 4), 10);
    CHECK_EQ(run(va + 800, 0, 0, 0), i == 0 ? 5 : 0x554d4551);
    NEED(dma(1, PAGE(0) + 801), "no fw_cfg with DMA");
    CHECK_EQ(run(va + 800, 0, 0, 0) & 1, 1);
    CHECK(dma(0, PAGE(0) + 801));
  }
}

/* ---- stores beside code, and across its border ---- */

TEMPLATE(t_beside, "1: inc dword ptr [rip + t_beside_1]\n add eax, [rip + t_beside_1]\n dec ecx\n jnz 1b\n ret\nt_beside_1: .long 0");
TEST(smc_counter_beside_code) {
  u64 va = code_page(0, 0);
  PLACE(va, t_beside);
  CHECK_EQ(run(va, 0, 0, N), SUM);
  CHECK_EQ(*(volatile u32 *)AT(va, t_beside, t_beside_1), N);
}
TEMPLATE(t_into, "xor r8d, r8d\n1: mov r10d, [rdi]\n mov r11d, ecx\n shl r11, 32\n or r10, r11\n mov [rdi], r10\n"
                 " call rsi\n add r8d, eax\n dec ecx\n jnz 1b\n mov eax, r8d");
TEST(smc_store_across_into_code) {
  /* eight bytes: four of data at the end of a page, four of code at the beginning of the next */
  u64 va = code_page(0, 0), data = code_page(1, 1);
  code_page(2, 2);
  PLACE(va, t_into);
  function(data + 4095, 7);
  CHECK_EQ(run(va, data + 4092, data + 4095, N), SUM);
}

/* ---- jumps that are made and unmade ---- */

TEMPLATE(t_key, "xor eax, eax\n1: add eax, 1\nt_key_1: .byte 0x0f, 0x1f, 0x44, 0, 0\n add eax, 16\nt_key_2: dec ecx\n jnz 1b");
TEST(smc_static_key) {
  static const u8 nop[5] = {0x0f, 0x1f, 0x44, 0, 0};
  static const u8 jump[5] = {0xe9, 3, 0, 0, 0};
  u64 va = code_page(0, 0);
  PLACE(va, t_key);
  CHECK_EQ(t_key_2 - t_key_1, 8);
  for (int i = 0; i < 40; i++) {
    CHECK_EQ(run(va, 0, 0, 500), i & 1 ? 500 : 500 * 17);
    memcpy((void *)AT(va, t_key, t_key_1), i & 1 ? nop : jump, 5);
  }
}

TEMPLATE(t_chain, "xor r8d, r8d\n1: mov eax, ecx\n and eax, 1\n lea eax, [rax + rax*4]\n mov [rip + t_chain_1 - 4], eax\n"
                  ".byte 0xe9, 0, 0, 0, 0\nt_chain_1: add r8d, 1\n nop\nt_chain_2: add r8d, 2\n dec ecx\n jnz 1b\n mov eax, r8d");
TEST(smc_jump_target_in_a_loop) {
  /* a jump of distance 0 or 5, past the first addition */
  u64 va = code_page(0, 0);
  CHECK_EQ(t_chain_2 - t_chain_1, 5);
  PLACE(va, t_chain);
  CHECK_EQ(run(va, 0, 0, N), N / 2 * 5);
}

static u64 trap_at;
static int traps;
static int text_poke(struct frame *f) {
  if (f->vector != 3 || f->rip != trap_at + 1) return 0;
  traps++;
  *(volatile u8 *)trap_at = 0x83;
  f->rip = trap_at;
  return 1;
}
TEMPLATE(t_poke, "xor eax, eax\n1: nop\nt_poke_1: add eax, 1\n dec ecx\n jnz 1b");
TEST(smc_breakpoint_in_hot_code) {
  u64 va = code_page(0, 0);
  PLACE(va + 50, t_poke);
  trap_at = (u64)AT(va + 50, t_poke, t_poke_1);
  hook = text_poke;
  traps = 0;
  for (int i = 0; i < 30; i++) {
    CHECK_EQ(run(va + 50, 0, 0, 300), 300);
    *(volatile u8 *)trap_at = 0xcc;
  }
  CHECK_EQ(traps, 29);
}

/* ---- pages that become code, data, other code ---- */

TEMPLATE(t_copy, "push rdi\n mov edx, ecx\n mov ecx, 6\n rep movsb\n pop rdi\n call rdi");
TEST(smc_copied_and_run) {
  u64 va = code_page(0, 0), to = code_page(1, 1);
  PLACE(va, t_copy);
  for (u32 i = 0; i < N; i++) {
    function(PAGE(3) + 16, i * 77);
    CHECK_EQ(run(va, to + (i * 13) % 4000, PAGE(3) + 16, 0), i * 77);
  }
}

TEST(smc_page_reused) {
  u64 va = code_page(0, 0);
  for (u32 round = 1; round < 12; round++) {
    PLACE(va + round * 16, t_next);
    CHECK_EQ(run(va + round * 16, 0, 0, N / 8), (u64)N / 8 * (N / 8 + 1) / 2);
    for (u32 i = 0; i < 4096; i += 8) *(volatile u64 *)(va + i) = i * round;
    u64 sum = 0;
    for (u32 i = 0; i < 4096; i += 8) sum += *(volatile u64 *)(va + i);
    CHECK_EQ(sum, round * (511ull * 512 / 2) * 8);
    map(FREE_PAGE, PAGE(round & 1) | P | W);
  }
}

TEMPLATE(t_loop_a, "xor eax, eax\n1: add eax, 3\n dec ecx\n jnz 1b");
TEMPLATE(t_loop_b, "xor eax, eax\n1: add eax, 7\n dec ecx\n jnz 1b");
TEST(smc_remapped_hot_loop) {
  u64 va = code_page(0, 0);
  PLACE(PAGE(0), t_loop_a);
  PLACE(PAGE(1), t_loop_b);
  for (int i = 0; i < 60; i++) {
    map(FREE_PAGE, PAGE(i & 1) | P | (i & 2 ? W : 0));
    CHECK_EQ(run(va, 0, 0, 400), 400ull * (i & 1 ? 7 : 3));
  }
}

/* The code of one physical page at two addresses, with other neighbours: what it calls differs. */
TEMPLATE(t_neighbour, "xor r8d, r8d\n1: call rel_target\n add r8d, eax\n dec ecx\n jnz 1b\n mov eax, r8d\n ret\n.set rel_target, t_neighbour + 4096");
TEST(smc_same_code_other_neighbours) {
  u64 one = code_page(0, 0), two = code_page(4, 0);
  code_page(1, 1);
  code_page(5, 2);
  PLACE(PAGE(0), t_neighbour);
  function(PAGE(1), 3);
  function(PAGE(2), 1000);
  function(PAGE(3), 50);
  for (int i = 0; i < 40; i++) {
    CHECK_EQ(run(one, 0, 0, 200), 600);
    CHECK_EQ(run(two, 0, 0, 200), 200000);
  }
  map(FREE_PAGE + 1, PAGE(3) | P);
  CHECK_EQ(run(one, 0, 0, 200), 10000);
  CHECK_EQ(run(two, 0, 0, 200), 200000);
  function(PAGE(2), 1);
  CHECK_EQ(run(two, 0, 0, 200), 200);
  CHECK_EQ(run(one, 0, 0, 200), 10000);
}

static u64 second_space(int page, u64 entry) {
  /* page tables of their own, in scratch pages 10 to 13, that differ in one page of the window */
  u64 *pml4 = (u64 *)PAGE(10), *pdpt = (u64 *)PAGE(11), *pd = (u64 *)PAGE(12), *pt = (u64 *)PAGE(13);
  memcpy(pml4, boot_pml4, 4096);
  memcpy(pdpt, boot_pdpt, 4096);
  memcpy(pd, test_pd, 4096);
  memcpy(pt, test_pt, 4096);
  pml4[0] = (u64)pdpt | P | W | U;
  pdpt[1] = (u64)pd | P | W | U;
  pd[0] = (u64)pt | P | W | U;
  pt[page] = entry;
  return (u64)pml4;
}
TEST(smc_two_address_spaces) {
  u64 va = code_page(0, 0);
  PLACE(PAGE(0), t_loop_a);
  PLACE(PAGE(1), t_loop_b);
  u64 first = read_cr3(), second = second_space(FREE_PAGE, PAGE(1) | P | W);
  for (int i = 0; i < 60; i++) {
    write_cr3(i & 1 ? second : first);
    CHECK_EQ(run(va, 0, 0, 300), 300ull * (i & 1 ? 7 : 3));
  }
  write_cr3(second);
  PLACE(va, t_next);
  CHECK_EQ(run(va, 0, 0, N), SUM);
  write_cr3(first);
  CHECK_EQ(run(va, 0, 0, 300), 900);
}

/* CR3 changes in the middle of the hot loop: the code goes on in another page at the same address. */
TEMPLATE(t_switch, "xor eax, eax\n1: add eax, 3\n mov cr3, rdi\n xchg rdi, rsi\n dec ecx\n jnz 1b");
TEMPLATE(t_switch_other, "xor eax, eax\n1: add eax, 100\n mov cr3, rdi\n xchg rdi, rsi\n dec ecx\n jnz 1b");
TEST(smc_address_space_changes_in_a_loop) {
  u64 va = code_page(0, 0);
  CHECK_EQ(SIZE(t_switch), SIZE(t_switch_other));
  PLACE(PAGE(0) + 33, t_switch);
  PLACE(PAGE(1) + 33, t_switch_other);
  u64 second = second_space(FREE_PAGE, PAGE(1) | P | W);
  CHECK_EQ(run(va + 33, second, read_cr3(), N), N / 2 * 103);
}

/* INVLPG in the loop: the page table changes, then the next page of the same loop. */
TEMPLATE(t_invlpg, "xor r8d, r8d\n1: mov r10, [rdi]\n xchg r10, [rdi + 8]\n mov [rdi], r10\n mov [rdi + 16], r10\n invlpg [rsi]\n"
                   " call rsi\n add r8d, eax\n dec ecx\n jnz 1b\n mov eax, r8d");
TEST(smc_invlpg_in_a_loop) {
  u64 va = code_page(0, 0), callee = code_page(3, 1);
  PLACE(va, t_invlpg);
  function(PAGE(1), 1);
  function(PAGE(2), 10);
  /* two entries take turns in the slots before the callee's, whose pages nothing reaches */
  u64 *slots = test_pt + FREE_PAGE + 1;
  slots[0] = PAGE(1) | P;
  slots[1] = PAGE(2) | P;
  CHECK_EQ(run(va, (u64)slots, callee, N), N / 2 * 11);
}

TEST(smc_execution_taken_away) {
  u64 va = code_page(0, 0);
  PLACE(va + 16, t_loop_a);
  CHECK_EQ(run(va + 16, 0, 0, 1000), 3000);
  map(FREE_PAGE, 0);
  CHECK(CAUGHT(va + 16, 0));
  CHECK_TRAP(14, has_nx() || has_smep() ? 0x10 : 0);
  CHECK_EQ(last.rip, va + 16);
  CHECK_EQ(last_cr2, va + 16);
  if (has_nx()) {
    map(FREE_PAGE, PAGE(0) | P | W | NX);
    CHECK(CAUGHT(va + 16, 0));
    CHECK_TRAP(14, 0x11);
  }
  map(FREE_PAGE, PAGE(0) | P | W);
  CHECK_EQ(run(va + 16, 0, 0, 1000), 3000);
}

/* ---- at CPL 3, in 64-bit and in 32-bit code ---- */

SNIPPET(user_patches, "xor eax, eax\n1: mov [rip + user_patches_1 - 4], ecx\n add eax, 0x11111111\nuser_patches_1: dec ecx\n jnz 1b\n int 0x80");
SNIPPET32(user_patches_32, "call 2f\n2: pop edx\n xor eax, eax\n1: mov [edx + user_patches_32_1 - 2b - 4], ecx\n"
                           " add eax, 0x11111111\nuser_patches_32_1: dec ecx\n jnz 1b\n int 0x80");
TEST(smc_in_user_mode) {
  for (int i = 0; i < 3; i++) {
    user_regs.rcx = N;
    USER64(user_patches);
    CHECK_EQ(last.vector, 0x80);
    CHECK_EQ(last.rax, SUM);
    USER32(user_patches_32);
    CHECK_EQ(last.vector, 0x80);
    CHECK_EQ(last.rax, SUM);
  }
}

extern u8 user_constant_1[];
SNIPPET(user_constant, "mov ecx, 200\n xor eax, eax\n1: add eax, 1\nuser_constant_1: dec ecx\n jnz 1b\n int 0x80");
TEST(smc_kernel_patches_user_code) {
  for (int i = 1; i < 40; i++) {
    *(volatile u8 *)(user_constant_1 - 1) = i;
    USER64(user_constant);
    CHECK_EQ(last.rax, 200 * i);
  }
}
