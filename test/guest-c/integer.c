/* Integer arithmetic of every width, 128-bit products, bit operations, strings and a sorted hash. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252ull;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
static uint64_t sum;
static void mix(uint64_t v) { sum = (sum ^ v) * 1099511628211ull; }

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

int main(void) {
  for (int i = 0; i < 50000; i++) {
    uint64_t a = next(), b = next() | 1;
    int64_t s = (int64_t)a, t = (int64_t)(b >> 7) | 1;
    mix(a / b); mix(a % b); mix(s / t); mix(s % t);
    mix((uint32_t)a / (uint32_t)b); mix((int32_t)a % ((int32_t)b | 1));
    mix((uint64_t)(((unsigned __int128)a * b) >> 64));
    mix((uint64_t)(((__int128)s * t) >> 64));
    mix(__builtin_popcountll(a)); mix(__builtin_clzll(b)); mix(__builtin_ctzll(b));
    mix(__builtin_bswap64(a)); mix(a << (b & 63) | a >> (-b & 63)); mix(s >> (b & 63));
    mix((uint16_t)(a * b)); mix((uint8_t)(a + b)); mix((int8_t)a * (int8_t)b);
    int64_t r;
    mix(__builtin_add_overflow(s, t, &r)); mix(r);
    mix(__builtin_mul_overflow(s, (int64_t)(int16_t)b, &r)); mix(r);
    mix(__builtin_sub_overflow((int32_t)a, (int32_t)b, (int32_t *)&r)); mix((int32_t)r);
  }
  printf("arithmetic %016" PRIx64 "\n", sum);

  static uint64_t values[8000];
  for (int i = 0; i < 8000; i++) values[i] = next() >> (i & 31);
  qsort(values, 8000, sizeof *values, compare);
  sum = 0;
  for (int i = 0; i < 8000; i++) mix(values[i]);
  printf("sort %016" PRIx64 "\n", sum);

  static char text[65536], copy[65536];
  for (int i = 0; i < 65535; i++) text[i] = 'a' + next() % 26;
  memmove(copy + 3, text, 60000);
  memmove(copy, copy + 3, 60000);
  memmove(copy + 17, copy, 50000);
  sum = 0;
  for (int i = 0; i < 60000; i++) mix((unsigned char)copy[i]);
  text[65535] = 0;
  printf("strings %016" PRIx64 " %zu %d %td\n", sum, strlen(text), memcmp(text, copy + 17, 50000), strstr(text, "qq") - text);
  printf("print %d %u %x %o %" PRId64 " %" PRIu64 "\n", -12345, 4000000000u, 0xdeadbeef, 01234567, INT64_MIN, UINT64_MAX);
  return 0;
}
