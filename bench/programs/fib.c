/* Fibonacci numbers by recursion: calls and returns. */
#include "bench.h"

__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) static long fib(long n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char **argv) { printf("%ld\n", fib(work(argc, argv, 40))); }
