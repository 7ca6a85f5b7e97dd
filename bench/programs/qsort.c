/* The C library's qsort with a comparator: calls through a pointer, across functions. */
#include "bench.h"

enum { N = 1 << 17 };
static uint64_t items[N];

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  uint64_t x = 88172645463325252u, sum = 0;
  for (long round = work(argc, argv, 50); round > 0; round--) {
    for (int i = 0; i < N; i++) items[i] = x = xorshift64(x);
    qsort(items, N, sizeof *items, compare);
    for (int i = 0; i < N; i++) sum = sum * 31 + items[i];
  }
  printf("%016llx\n", (unsigned long long)sum);
}
