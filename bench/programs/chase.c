/* `chase MIB [COUNT]`: follows pointers in random order, one cycle through all cache lines of a memory. */
#include "bench.h"

enum { LINE = 64 };

int main(int argc, char **argv) {
  size_t lines = (argc > 1 ? atol(argv[1]) : 1) * (1024 * 1024 / LINE);
  long steps = argc > 2 ? atol(argv[2]) : 10000000;
  char *memory = aligned_alloc(4096, lines * LINE);
  if (memory == NULL) return 1;
  /* Sattolo's algorithm: a permutation that is one cycle */
  for (size_t i = 0; i < lines; i++) *(uint32_t *)(memory + i * LINE) = i;
  uint64_t x = 88172645463325252u;
  for (size_t i = lines - 1; i > 0; i--) {
    x = xorshift64(x);
    uint32_t *a = (uint32_t *)(memory + i * LINE), *b = (uint32_t *)(memory + x % i * LINE);
    uint32_t t = *a;
    *a = *b;
    *b = t;
  }
  uint32_t at = 0;
  uint64_t sum = 0;
  for (long i = 0; i < steps; i++) {
    at = *(uint32_t *)(memory + (size_t)at * LINE);
    sum += at;
  }
  printf("%u %llu\n", at, (unsigned long long)sum);
}
