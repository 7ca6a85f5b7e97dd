/* Primes below 2^20 by the sieve of Eratosthenes, over and over. */
#include "bench.h"

enum { N = 1 << 20 };
static uint8_t composite[N];

int main(int argc, char **argv) {
  long found = 0;
  for (long round = work(argc, argv, 480); round > 0; round--) {
    memset(composite, 0, N);
    for (int i = 2; i * i < N; i++)
      if (!composite[i])
        for (int j = i * i; j < N; j += i) composite[j] = 1;
    for (int i = 2; i < N; i++) found += !composite[i];
  }
  printf("%ld\n", found);
}
