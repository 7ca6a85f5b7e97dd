/* Signals: faults with their addresses, alternate stacks, masks, nested delivery, timers, siglongjmp. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int seen;
static char *page;

static void report(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  long offset = (char *)info->si_addr - page;
  if (offset < 0 || offset > 8192) offset = -1;
  printf("signal %d code %d offset %ld trap %lld error %lld\n", signal, info->si_code, signal == SIGSEGV ? offset : 0,
         (long long)uc->uc_mcontext.gregs[REG_TRAPNO], (long long)uc->uc_mcontext.gregs[REG_ERR]);
  siglongjmp(back, 1);
}
static void skip_ud2(int signal, siginfo_t *info, void *context) {
  (void)info;
  ucontext_t *uc = context;
  uc->uc_mcontext.gregs[REG_RIP] += 2;
  uc->uc_mcontext.gregs[REG_RAX] = 0x1234 + signal;
}
static void count(int signal) { seen += signal; }
static void nested(int signal) {
  seen = seen * 10 + 1;
  if (signal == SIGUSR1) raise(SIGUSR2);
  seen = seen * 10 + 2;
}
static void protect_again(int signal, siginfo_t *info, void *context) {
  (void)signal; (void)context;
  seen++;
  mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page + 4096, 4096, PROT_NONE);
  stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&alt, 0);
  struct sigaction act = {.sa_sigaction = report, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++) sigaction(faults[i], &act, 0);

  if (!sigsetjmp(back, 1)) *(volatile char *)(page + 4096 + 12) = 1;
  if (!sigsetjmp(back, 1)) printf("%d\n", *(volatile char *)(page + 5000));
  mprotect(page, 4096, PROT_READ);
  if (!sigsetjmp(back, 1)) *(volatile char *)(page + 7) = 1;
  if (!sigsetjmp(back, 1)) ((void (*)(void))(page + 16))();
  volatile int zero = 0, r;
  if (!sigsetjmp(back, 1)) { r = 7 / zero; (void)r; }
  if (!sigsetjmp(back, 1)) __asm__ volatile("ud2");
  if (!sigsetjmp(back, 1)) __asm__ volatile("int3");
  if (!sigsetjmp(back, 1)) __asm__ volatile("hlt");
  if (!sigsetjmp(back, 1)) *(volatile char *)0x8000000000000000ul = 1;
  if (!sigsetjmp(back, 1)) {
    unsigned csr = 0x1f80 & ~0x200;
    volatile double d0 = 0, d1 = 1;
    __asm__ volatile("ldmxcsr %0" : : "m"(csr));
    d1 /= d0;
  }
  if (!sigsetjmp(back, 1)) {
    unsigned short cw = 0x37b;
    volatile long double l0 = 0, l1 = 1;
    __asm__ volatile("fldcw %0" : : "m"(cw));
    l1 /= l0;
    __asm__ volatile("fwait");
  }
  __asm__ volatile("fninit");

  act.sa_sigaction = skip_ud2;
  sigaction(SIGILL, &act, 0);
  long rax;
  __asm__ volatile("ud2" : "=a"(rax));
  printf("resumed with %lx\n", rax);

  signal(SIGUSR1, nested);
  signal(SIGUSR2, nested);
  seen = 0;
  raise(SIGUSR1);
  printf("nested %d\n", seen);

  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  signal(SIGUSR1, count);
  sigprocmask(SIG_BLOCK, &set, &old);
  seen = 0;
  raise(SIGUSR1);
  raise(SIGUSR1);
  int before = seen;
  sigprocmask(SIG_SETMASK, &old, 0);
  printf("blocked %d then %d\n", before, seen);

  act.sa_sigaction = protect_again;
  sigaction(SIGSEGV, &act, 0);
  seen = 0;
  char *many = mmap(0, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 64; i++) many[i * 4096 + i] = i;
  int sum = 0;
  for (int i = 0; i < 64; i++) sum += many[i * 4096 + i];
  printf("write barrier %d faults, sum %d\n", seen, sum);

  signal(SIGALRM, count);
  seen = 0;
  struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, 0);
  while (seen < 5 * SIGALRM);
  memset(&timer, 0, sizeof timer);
  setitimer(ITIMER_REAL, &timer, 0);
  puts("timer done");
  return 0;
}
