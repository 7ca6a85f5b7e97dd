/*
 * Runs machine-code experiments on the host's CPU. Reads all cases from standard input, writes results to
 * standard output; case.ts and native.ts describe both formats.
 *
 * One signal is one case: every case ends in an exception, whose handler records the interrupted context,
 * writes the next case's state into the signal frame and returns into it. So GPRs, RFLAGS, CS, SS and the
 * FXSAVE area are loaded and stored by the kernel, exactly. Linked high (static-pie), away from the case's
 * addresses. System calls from outside this program are refused (syscall user dispatch).
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

enum { LINE = 64, OUT_MAX = 1 << 20, FX_BYTES = 512 };

struct window {
  uint8_t *base;
  uint32_t size;
  int prot;
  uint8_t *before; /* content just before the case ran */
  uint8_t *rest;   /* content between cases */
};

static struct window windows[] = {
    {(uint8_t *)0x10000000, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC, 0, 0},
    {(uint8_t *)0x20000000, 0x2000, PROT_READ | PROT_WRITE, 0, 0},
    {(uint8_t *)0x24000000, 0x1000, PROT_READ | PROT_WRITE, 0, 0},
};
enum { WINDOWS = 3, CONST_BASE = 0x20002000, CONST_SIZE = 0x1000 };

struct case_head {
  uint32_t size;
  uint8_t mode; /* 64 or 32 */
  uint8_t has_fx;
  uint16_t code_length;
  uint32_t patches;
  uint32_t rflags;
  uint64_t gpr[16]; /* SDM order */
  uint64_t fs_base, gs_base;
};

struct result_head {
  uint32_t size;
  uint32_t status; /* 0 exception, 1 timeout */
  uint32_t signal;
  uint32_t vector;
  uint64_t error_code, cr2, rip, rflags;
  uint64_t gpr[16];
  uint64_t fs_base, gs_base;
  uint8_t fx[FX_BYTES];
  uint32_t lines;
  uint32_t reserved;
};

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static uint8_t *input, *input_end, *out;
static uint32_t out_used;
static uint64_t host_fs, host_gs;
static int running, ticks;
static uint8_t initial_fx[FX_BYTES];

static inline long sys3(long n, long a, long b, long c) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return r;
}

static void flush(void) {
  for (uint32_t at = 0; at < out_used;) {
    long n = sys3(SYS_write, 1, (long)(out + at), out_used - at);
    if (n <= 0) sys3(SYS_exit_group, 3, 0, 0);
    at += n;
  }
  out_used = 0;
}

static inline uint64_t rd_fs(void) { uint64_t v; __asm__ volatile("rdfsbase %0" : "=r"(v)); return v; }
static inline uint64_t rd_gs(void) { uint64_t v; __asm__ volatile("rdgsbase %0" : "=r"(v)); return v; }

/* Records what the case did and puts the windows back. */
static void record(int signal, int status, ucontext_t *uc) {
  greg_t *g = uc->uc_mcontext.gregs;
  if (out_used > OUT_MAX) flush();
  struct result_head *r = (struct result_head *)(out + out_used);
  r->status = status;
  r->signal = signal;
  r->vector = g[REG_TRAPNO];
  r->error_code = g[REG_ERR];
  r->cr2 = g[REG_CR2];
  r->rip = g[REG_RIP];
  r->rflags = g[REG_EFL];
  for (int i = 0; i < 16; i++) r->gpr[i] = g[order[i]];
  r->fs_base = rd_fs();
  r->gs_base = rd_gs();
  memcpy(r->fx, uc->uc_mcontext.fpregs, FX_BYTES);
  memset(r->fx + 416, 0, 96);
  uint8_t *at = (uint8_t *)(r + 1);
  uint32_t lines = 0;
  for (int w = 0; w < WINDOWS; w++) {
    struct window *win = &windows[w];
    for (uint32_t page = 0; page < win->size; page += 1024) {
      if (memcmp(win->base + page, win->before + page, 1024) == 0) continue;
      for (uint32_t i = page; i < page + 1024; i += LINE) {
        if (memcmp(win->base + i, win->before + i, LINE) == 0) continue;
        uint32_t addr = (uint32_t)(uintptr_t)win->base + i;
        memcpy(at, &addr, 4);
        memcpy(at + 4, win->base + i, LINE);
        at += 4 + LINE;
        lines++;
      }
    }
    if (lines || memcmp(win->before, win->rest, win->size)) {
      memcpy(win->base, win->rest, win->size);
      memcpy(win->before, win->rest, win->size);
    }
  }
  r->lines = lines;
  r->reserved = 0;
  r->size = at - (uint8_t *)r;
  out_used += r->size;
}

static void put(uint32_t addr, const uint8_t *bytes, uint32_t length) {
  for (int w = 0; w < WINDOWS; w++) {
    struct window *win = &windows[w];
    uint32_t base = (uint32_t)(uintptr_t)win->base;
    if (addr < base || addr + length > base + win->size) continue;
    memcpy(win->base + (addr - base), bytes, length);
    memcpy(win->before + (addr - base), bytes, length);
    return;
  }
  sys3(SYS_exit_group, 4, 0, 0);
}

/* Loads the next case into the frame, or ends the process. */
static void load(ucontext_t *uc) {
  if (input >= input_end) {
    flush();
    sys3(SYS_exit_group, 0, 0, 0);
  }
  struct case_head *c = (struct case_head *)input;
  uint8_t *at = (uint8_t *)(c + 1);
  const uint8_t *fx = initial_fx;
  if (c->has_fx) {
    fx = at;
    at += FX_BYTES;
  }
  put(0x10000000, at, c->code_length);
  at += c->code_length;
  for (uint32_t i = 0; i < c->patches; i++) {
    uint32_t where[2];
    memcpy(where, at, 8);
    put(where[0], at + 8, where[1]);
    at += 8 + where[1];
  }
  input += c->size;

  greg_t *g = uc->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++) g[order[i]] = c->gpr[i];
  g[REG_RIP] = 0x10000000;
  g[REG_EFL] = c->rflags;
  g[REG_CSGSFS] = (c->mode == 32 ? 0x23L : 0x33L) | 0x2bL << 48;
  uint8_t *area = (uint8_t *)uc->uc_mcontext.fpregs;
  memcpy(area, fx, 416); /* 416..511 belong to the kernel: size and features of the extended area */
  *(uint64_t *)(area + 512) |= 3; /* XSTATE_BV: x87 and SSE are in use */
  __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %1, %%gs" : : "r"(0x2b), "r"(0));
  __asm__ volatile("wrfsbase %0; wrgsbase %1" : : "r"(c->fs_base), "r"(c->gs_base));
  running = 1;
  ticks = 0;
}

__attribute__((used)) static void on_signal(int signal, siginfo_t *info, ucontext_t *uc) {
  (void)info;
  if (signal == SIGALRM) {
    if (!running || ++ticks < 4) return;
    record(signal, 1, uc);
  } else if (running) {
    record(signal, 0, uc);
  }
  load(uc);
}

/* The case may have set AC, NT and ID, which the kernel leaves on, here and for the next case. */
__asm__(".text\nhandler:\n pushfq\n andq $~0x244000,(%rsp)\n popfq\n jmp on_signal\n");
extern void handler(int, siginfo_t *, void *);

int main(void) {
  size_t room = 1 << 24, used = 0;
  input = malloc(room);
  for (;;) {
    if (used == room) input = realloc(input, room *= 2);
    ssize_t n = read(0, input + used, room - used);
    if (n < 0) return 2;
    if (n == 0) break;
    used += n;
  }
  input_end = input + used;
  out = malloc(OUT_MAX + (1 << 17));
  /* the stream starts with the content of DATA and CONST */
  for (int w = 0; w < WINDOWS; w++) {
    struct window *win = &windows[w];
    void *p = mmap(win->base, win->size, win->prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
    if (p != win->base) return 2;
    memset(p, w == 0 ? 0xcc : 0, win->size);
    if (w == 1) memcpy(p, input, win->size);
    win->before = malloc(win->size);
    win->rest = malloc(win->size);
    memcpy(win->before, p, win->size);
    memcpy(win->rest, p, win->size);
  }
  uint8_t *ro = mmap((void *)(uintptr_t)CONST_BASE, CONST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
  memcpy(ro, input + 0x2000, CONST_SIZE);
  mprotect(ro, CONST_SIZE, PROT_READ);
  input += 0x3000;

  initial_fx[0] = 0x7f;
  initial_fx[1] = 0x03;
  *(uint32_t *)(initial_fx + 24) = 0x1f80;
  *(uint32_t *)(initial_fx + 28) = 0xffff;

  stack_t alt = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
  sigaltstack(&alt, 0);
  struct sigaction act;
  memset(&act, 0, sizeof act);
  act.sa_sigaction = (void *)handler;
  act.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&act.sa_mask);
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM, SIGSYS, SIGUSR1};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &act, 0);
  /* only this program's own text may make system calls from here on */
  extern char __executable_start, etext;
  static char selector = 1;
  prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, &__executable_start, &etext - &__executable_start, &selector);
  struct itimerval timer = {{0, 50000}, {0, 50000}};
  setitimer(ITIMER_REAL, &timer, 0);
  raise(SIGUSR1);
  return 5;
}
