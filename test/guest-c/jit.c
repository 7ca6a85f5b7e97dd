/*
 * What just-in-time compilers do: functions made at run time and run often, made anew in the same place, written
 * through a second mapping, forked, unmapped and mapped again, and read into place from a disk.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint64_t (*function)(uint64_t);
enum { PAGE = 4096, RWX = PROT_READ | PROT_WRITE | PROT_EXEC };

static unsigned char *at;
static void byte(int b) { *at++ = b; }
static void word(uint32_t v) { memcpy(at, &v, 4); at += 4; }

/* f(n) = sum of (i ^ key) * factor for i = n … 1, as a loop */
static function loop(void *where, uint32_t key, uint32_t factor) {
  at = where;
  byte(0x31), byte(0xc0);                                      /* xor eax, eax */
  byte(0x48), byte(0x89), byte(0xfa);                          /* 0: mov rdx, rdi */
  byte(0x48), byte(0x81), byte(0xf2), word(key);               /* xor rdx, key */
  byte(0x48), byte(0x69), byte(0xd2), word(factor);            /* imul rdx, rdx, factor */
  byte(0x48), byte(0x01), byte(0xd0);                          /* add rax, rdx */
  byte(0x48), byte(0xff), byte(0xcf), byte(0x75), byte(0xe7);  /* dec rdi; jnz 0 */
  byte(0xc3);
  return (function)where;
}
static uint64_t expected(uint64_t n, int32_t key, int32_t factor) {
  uint64_t sum = 0;
  for (; n; n--) sum += (n ^ (uint64_t)(int64_t)key) * (uint64_t)(int64_t)factor;
  return sum;
}
/* mov eax, imm32; ret */
static function constant(void *where, uint32_t value) {
  at = where;
  byte(0xb8), word(value), byte(0xc3);
  return (function)where;
}

static void check(const char *what, uint64_t got, uint64_t want) {
  if (got == want) return;
  printf("%s: %llx, not %llx\n", what, (unsigned long long)got, (unsigned long long)want);
  exit(1);
}

/* Two blocks that a disk or this file holds at a multiple of 512: a mark, then code. */
#define BLOCK(n) {'J', 'I', 'T', 'D', 'M', 'A', '0' + n, '.', 0xb8, n, 2, 3, 4, 0xc3}
static const unsigned char blocks[2][PAGE] __attribute__((aligned(4096))) = {BLOCK(1), BLOCK(2)};

static void from_disk(unsigned char *page) {
  /* a disk with this program on it, past the page cache: the device writes the page by itself */
  const char *disk = getenv("JIT_DISK");
  int fd = open(disk ? disk : "/proc/self/exe", O_RDONLY | (disk ? O_DIRECT : 0));
  off_t found[2] = {-1, -1};
  for (off_t offset = 0; found[0] < 0 || found[1] < 0; offset += 512) {
    if (pread(fd, page, 512, offset) != 512) {
      puts("the code is not on the disk");
      exit(1);
    }
    for (int i = 0; i < 2; i++) if (!memcmp(page, blocks[i], 14)) found[i] = offset;
  }
  uint64_t sum = 0;
  for (int i = 0; i < 300; i++) {
    if (pread(fd, page, 512, found[i & 1]) != 512) exit(1);
    for (int n = 0; n < 200; n++) sum += ((function)(page + 8))(0);
  }
  close(fd);
  printf("read into place %llu\n", (unsigned long long)sum);
}

int main(void) {
  unsigned char *code = mmap(0, 16 * PAGE, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  uint64_t sum = 0;
  for (int i = 0; i < 40; i++) {
    function f = loop(code + i % 3 * 64, i * 0x01010101, 7 - i);
    uint64_t got = f(100000);
    check("loop", got, expected(100000, i * 0x01010101, 7 - i));
    sum = sum * 31 + got;
  }
  printf("rewritten while hot %016llx\n", (unsigned long long)sum);

  /* many functions side by side, each called often, then one in three replaced */
  static function table[900];
  sum = 0;
  for (int i = 0; i < 900; i++) table[i] = constant(code + PAGE + i * 48, i);
  for (int round = 0; round < 200; round++) {
    for (int i = 0; i < 900; i++) sum = sum * 3 + table[i](0);
    if (round % 40 == 39) for (int i = round / 40; i < 900; i += 3) constant(code + PAGE + i * 48, i * round);
  }
  printf("side by side %016llx\n", (unsigned long long)sum);

  /* one physical page at two addresses: one to write, one to run */
  int fd = memfd_create("jit", 0);
  if (ftruncate(fd, 2 * PAGE)) return 1;
  unsigned char *writable = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char *runnable = mmap(0, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  sum = 0;
  for (int i = 0; i < 3000; i++) {
    constant(writable + PAGE - 3, i); /* across the two pages */
    sum += ((function)(runnable + PAGE - 3))(0);
    constant(writable + 100, i * 3);
    for (int n = 0; n < 20; n++) sum += ((function)(runnable + 100))(0);
  }
  printf("two mappings %llu\n", (unsigned long long)sum);

  /* unmapped, mapped again with other code; and pages that the kernel hands out anew */
  unsigned char *fixed = code + 14 * PAGE;
  sum = 0;
  for (int i = 0; i < 300; i++) {
    munmap(fixed, 2 * PAGE);
    if (mmap(fixed, 2 * PAGE, RWX, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != fixed) return 1;
    function f = loop(fixed + (i & 7) * 16, i, 3);
    sum += f(50 + i);
    check("mapped again", f(50 + i), expected(50 + i, i, 3));
    if (i % 3 == 0) madvise(fixed, 2 * PAGE, MADV_DONTNEED);
    if (i % 3 == 0 && fixed[0] != 0) return 1;
  }
  printf("mapped again %llu\n", (unsigned long long)sum);

  /* parent and child with other code at one address, each in turn */
  function shared = constant(code + 13 * PAGE, 1);
  check("before fork", shared(0), 1);
  int there[2], back[2];
  if (pipe(there) || pipe(back)) return 1;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    uint64_t own = 0;
    for (int i = 0; i < 200; i++) {
      constant(code + 13 * PAGE, 1000 + i);
      for (int n = 0; n < 300; n++) own += shared(0);
      char c;
      if (write(back[1], "x", 1) != 1 || read(there[0], &c, 1) != 1) _exit(1);
      own += shared(0);
    }
    check("child", own, 301ull * (200 * 1000 + 199 * 100));
    _exit(0);
  }
  sum = 0;
  for (int i = 0; i < 200; i++) {
    char c;
    if (read(back[0], &c, 1) != 1) return 1;
    for (int n = 0; n < 300; n++) sum += shared(0);
    if (i % 10 == 0) constant(code + 13 * PAGE, i);
    if (write(there[1], "y", 1) != 1) return 1;
  }
  int status;
  waitpid(child, &status, 0);
  printf("two processes %llu %d\n", (unsigned long long)sum, status);

  /* executable on and off, as W^X wants it */
  sum = 0;
  unsigned char *strict = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 500; i++) {
    mprotect(strict, PAGE, PROT_READ | PROT_WRITE);
    function f = loop(strict + (i & 3), i, i);
    mprotect(strict, PAGE, PROT_READ | PROT_EXEC);
    sum += f(200);
  }
  printf("write xor execute %llu\n", (unsigned long long)sum);

  from_disk(code + 12 * PAGE);
  return 0;
}
