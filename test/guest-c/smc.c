/* Code made, run and changed at run time. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static unsigned char *code;
typedef int (*function)(int);

static function emit(int at, int multiply, int add) {
  unsigned char *p = code + at;
  const unsigned char imul[] = {0x69, 0xc7}, plus[] = {0x05};
  memcpy(p, imul, 2);
  memcpy(p + 2, &multiply, 4);
  memcpy(p + 6, plus, 1);
  memcpy(p + 7, &add, 4);
  p[11] = 0xc3;
  return (function)p;
}

int main(void) {
  code = mmap(0, 16384, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint64_t sum = 0;
  for (int i = 0; i < 20000; i++) sum = sum * 31 + (unsigned)emit(i % 50 * 17, i, i * 3)(i & 15);
  printf("rewritten %016llx\n", (unsigned long long)sum);
  sum = 0;
  for (int i = 0; i < 5000; i++) sum = sum * 31 + (unsigned)emit(4096 - 8, i, -i)(7); /* across two pages */
  printf("crossing %016llx\n", (unsigned long long)sum);
  function f = emit(8192, 3, 0);
  for (int i = 0; i < 2000; i++) { /* hot first, then changed through mprotect */
    sum += f(i);
    if (i % 500 == 499) {
      mprotect(code + 8192, 4096, PROT_READ | PROT_WRITE);
      code[8192 + 2] = i / 100;
      mprotect(code + 8192, 4096, PROT_READ | PROT_EXEC);
    }
  }
  printf("protected %016llx\n", (unsigned long long)sum);
  void *fresh = mmap(code + 8192, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  emit(8192, 1000, 1);
  printf("remapped %d %d\n", fresh == code + 8192, f(5));
  return 0;
}
