/* Every program here: `NAME [COUNT]`; prints one line, its checksum, the same wherever it runs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The work to do: the first argument, or what takes some seconds under an emulator. */
static inline long work(int argc, char **argv, long usual) { return argc > 1 ? atol(argv[1]) : usual; }

static inline uint64_t xorshift64(uint64_t x) {
  x ^= x << 13;
  x ^= x >> 7;
  return x ^ (x << 17);
}
