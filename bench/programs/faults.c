/* Page faults: maps 16 MiB, touches each page, unmaps, over and over. */
#include "bench.h"
#include <sys/mman.h>

enum { BYTES = 16 << 20, PAGE = 4096 };

int main(int argc, char **argv) {
  long touched = 0;
  for (long round = work(argc, argv, 60); round > 0; round--) {
    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, BYTES, MADV_NOHUGEPAGE) != 0) return 1;
    for (long at = 0; at < BYTES; at += PAGE) touched += ++memory[at];
    if (munmap(memory, BYTES) != 0) return 1;
  }
  printf("%ld\n", touched);
}
