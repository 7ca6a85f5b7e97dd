/* One byte to and fro between two processes through pipes. */
#include "bench.h"
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  long count = work(argc, argv, 50) * 1000, sum = 0;
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) return 1;
  int child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    unsigned char byte;
    close(there[1]);
    while (read(there[0], &byte, 1) == 1) {
      byte++;
      if (write(back[1], &byte, 1) != 1) _exit(1);
    }
    _exit(0);
  }
  for (long i = 0; i < count; i++) {
    unsigned char byte = i;
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) return 1;
    sum += byte;
  }
  close(there[1]);
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) return 1;
  printf("%ld\n", sum);
}
