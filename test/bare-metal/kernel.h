/*
 * The vocabulary of the bare-metal tests.
 *
 *   TEST(name) { … CHECK(condition); CHECK_EQ(got, want); … }      registers itself
 *   CAUGHT(fn, arg)   runs fn; true when it trapped, then `last` tells how
 *   USER64/USER32     run a SNIPPET at CPL 3 until it traps; `last` tells how it ended
 *
 * Memory: identity map of 1 GiB (supervisor, 2 MiB pages); USER_BASE is a window of 512 4-KiB pages through
 * test_pt: entries from CODE_PAGE show .user, from USER_STACK a stack, the rest belongs to tests.
 */
#ifndef KERNEL_H
#define KERNEL_H
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

struct frame {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  u64 vector, error, rip, cs, rflags, rsp, ss;
};

struct test {
  const char *name;
  void (*run)(void);
};

extern struct frame last;    /* the trap that ended CAUGHT or USER* */
extern u64 last_cr2;
extern u64 last_frame;       /* where on the stack the CPU had pushed it */
extern int (*volatile hook)(struct frame *f); /* first look at every trap; non-zero = resume with f */
extern struct frame user_regs; /* initial registers of USER* (rip, cs, … are filled in) */
extern int on_tcg;           /* the platform is QEMU TCG */
extern int is_intel;
extern u32 rounds;           /* how often code that changes itself does so */

extern u64 gdt[], boot_pml4[], boot_pdpt[], boot_pd[], test_pd[], test_pt[];
extern u8 user_start[], user_end[], image_end[];
extern u8 boot_stack_top[], trap_stack_top[], ist_stack_top[], ist2_stack_top[], trap_stubs[];
extern u64 gate_frame[];
extern void syscall_entry(void), sysenter_entry(void), gate_entry(void), compat_entry(void);
extern char enter_iret[];
int try_call(void (*fn)(void *), void *arg);
int enter(const struct frame *f);

void print(const char *s);
void print_hex(u64 v);
void fail(int line, const char *what, u64 got, u64 want);
void skip(const char *why);
void finish(void) __attribute__((noreturn));

struct gate { u16 low; u16 selector; u8 ist; u8 type; u16 mid; u32 high; u32 zero; } __attribute__((packed));
struct tss { u32 r0; u64 rsp[3]; u64 r1; u64 ist[7]; u64 r2; u16 r3; u16 iomap; u8 bitmap[8193]; } __attribute__((packed));
extern struct gate idt[256];
extern struct tss tss;
void set_gate(int vector, void *target, int type, int ist);
void reset_machine(void); /* descriptor tables, control registers, test_pt as every test finds them */

#define TEST(id)                                                                             \
  static void test_##id(void);                                                               \
  static const struct test entry_##id __attribute__((used, section(".tests"))) = {#id, test_##id}; \
  static void test_##id(void)
#define CHECK(c) do { if (!(c)) { fail(__LINE__, #c, 0, 1); return; } } while (0)
#define CHECK_EQ(got, want)                                                                  \
  do { u64 g_ = (u64)(got), w_ = (u64)(want); if (g_ != w_) { fail(__LINE__, #got, g_, w_); return; } } while (0)
#define NEED(c, why) do { if (!(c)) { skip(why); return; } } while (0)
/* Calls fn; `last.vector` is ~0 when nothing was caught. */
#define CAUGHT(fn, arg) (last.vector = ~0ull, try_call((void (*)(void *))(fn), (void *)(u64)(arg)))
#define CHECK_TRAP(v, e) do { CHECK_EQ(last.vector, v); CHECK_EQ(last.error, e); } while (0)
/* Error code of a fault about an IDT entry (TCG scales by the entry's size instead). */
#define IDT_ERROR(v) ((v) * (on_tcg ? 16 : 8) + 2)
/* A function made of assembly that traps or returns; rdi is its argument. */
#define CODE(name, text)                                                                     \
  extern u8 name[], name##_end[] __attribute__((unused));                                    \
  asm(".pushsection .text.code, \"ax\"\n" #name ":\n" text "\nret\n" #name "_end:\n.popsection")
/* Code for CPL 3: position independent, shown at USER_BASE. */
#define SNIPPET(name, text)                                                                  \
  extern u8 name[];                                                                          \
  asm(".pushsection .user, \"awx\"\n.align 16\n" #name ":\n" text "\nud2\n.popsection\n")
#define SNIPPET32(name, text) SNIPPET(name, ".code32\n" text "\nud2\n.code64")

#define USER_BASE 0x40000000ull
enum { CODE_PAGE = 0, USER_STACK = 64, FREE_PAGE = 80 }; /* indices in test_pt */
#define PAGE_VA(i) (USER_BASE + (u64)(i) * 4096)
#define USER_VA(label) (USER_BASE + (u64)((u8 *)(label) - user_start))
#define USER_STACK_TOP PAGE_VA(USER_STACK + 4)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (1ull << 63)
enum { KERNEL_CS = 0x10, KERNEL_SS = 0x18, KERNEL_CS32 = 8, USER_CS32 = 0x23, USER_SS = 0x2b, USER_CS64 = 0x33, TSS_SELECTOR = 0x38, TEST_SELECTOR = 0x48 };
u8 *scratch_page(int i); /* i-th of 16 physical pages for tests */
u64 map(int i, u64 entry); /* sets test_pt[i], flushes, returns the address */
void run_user(void *snippet, int bits, u64 rflags);
#define USER64(s) run_user(s, 64, 2)
#define USER32(s) run_user(s, 32, 2)

static inline void outb(u16 p, u8 v) { asm volatile("out %1, %0" : : "a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) { u8 v; asm volatile("in %0, %1" : "=a"(v) : "Nd"(p)); return v; }
static inline void outl(u16 p, u32 v) { asm volatile("out %1, %0" : : "a"(v), "Nd"(p)); }
static inline u64 rdmsr(u32 i) { u32 a, d; asm volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(i)); return a | (u64)d << 32; }
static inline void wrmsr(u32 i, u64 v) { asm volatile("wrmsr" : : "c"(i), "a"((u32)v), "d"((u32)(v >> 32)) : "memory"); }
static inline u64 rdtsc(void) { u32 a, d; asm volatile("rdtsc" : "=a"(a), "=d"(d)); return a | (u64)d << 32; }
static inline void invlpg(u64 va) { asm volatile("invlpg [%0]" : : "r"(va) : "memory"); }
#define REGISTER(name)                                                                       \
  static inline u64 read_##name(void) { u64 v; asm volatile("mov %0, " #name : "=r"(v)); return v; } \
  static inline void write_##name(u64 v) { asm volatile("mov " #name ", %0" : : "r"(v) : "memory"); }
REGISTER(cr0) REGISTER(cr2) REGISTER(cr3) REGISTER(cr4) REGISTER(cr8)
REGISTER(dr0) REGISTER(dr1) REGISTER(dr2) REGISTER(dr3) REGISTER(dr6) REGISTER(dr7)
struct cpuid { u32 a, b, c, d; };
static inline struct cpuid cpuid(u32 leaf, u32 sub) {
  struct cpuid r;
  asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
  return r;
}
static inline u64 load(u64 va) { u64 v; asm volatile("mov %0, [%1]" : "=r"(v) : "r"(va) : "memory"); return v; }
static inline void store(u64 va, u64 v) { asm volatile("mov [%0], %1" : : "r"(va), "r"(v) : "memory"); }
int has_smep(void), has_smap(void), has_fsgsbase(void), has_x2apic(void), has_nx(void);
int physical_bits(void);
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
#endif
