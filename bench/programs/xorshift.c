/* A generator of random numbers: arithmetic in registers, no memory. */
#include "bench.h"

int main(int argc, char **argv) {
  uint64_t x = 88172645463325252u, sum = 0;
  for (long i = work(argc, argv, 1600) * 1000000; i > 0; i--) {
    x = xorshift64(x);
    sum += x >> 32;
  }
  printf("%016llx\n", (unsigned long long)(x ^ sum));
}
