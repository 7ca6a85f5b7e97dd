/*
 * `data bytes N`: N bytes that compress as text does: words of a small vocabulary, the frequent ones often.
 * `data lines N`: N lines of a number and some words.
 */
#include "bench.h"

static uint64_t state = 88172645463325252u;

static uint32_t below(uint32_t limit) {
  state = xorshift64(state);
  return (uint32_t)(state >> 32) % limit;
}

enum { WORDS = 4096 };
static char words[WORDS][12];

static const char *word(void) { return words[below(1 + below(WORDS))]; }

int main(int argc, char **argv) {
  if (argc != 3) return 1;
  long count = atol(argv[2]);
  for (int i = 0; i < WORDS; i++) {
    int length = 2 + below(8);
    for (int k = 0; k < length; k++) words[i][k] = "etaoinshrdlucmfwypvbgkjqxz"[below(1 + below(26))];
  }
  if (strcmp(argv[1], "lines") == 0) {
    for (long i = 0; i < count; i++) printf("%u %s %s %s\n", below(100000), word(), word(), word());
    return 0;
  }
  long written = 0;
  while (written < count) {
    const char *text = word();
    int length = strlen(text);
    if (length > count - written) length = count - written;
    fwrite(text, 1, length, stdout);
    written += length;
    if (written < count) {
      putchar(below(12) == 0 ? '\n' : ' ');
      written++;
    }
  }
}
