/* A running sum: one load, one addition, one store an element, in a table that fits the second-level cache. */
#include "bench.h"

enum { N = 1 << 15 };
static uint64_t table[N];

int main(int argc, char **argv) {
  uint64_t sum = 1;
  for (int i = 0; i < N; i++) table[i] = i;
  for (long round = work(argc, argv, 48000); round > 0; round--)
    for (int i = 0; i < N; i++) {
      sum += table[i];
      table[i] = sum;
    }
  printf("%016llx\n", (unsigned long long)sum);
}
