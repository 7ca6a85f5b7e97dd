/* 32-bit code inside a 64-bit process: a far return into the compatibility segment and back. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
  unsigned char *low = mmap((void *)0x10000000, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  /* mov eax, esi; aam 10; daa; inc ecx; pushad; popad; aad 7; push es; pop es; retf */
  static const unsigned char code[] = {0x89, 0xf0, 0xd4, 0x0a, 0x27, 0x41, 0x60, 0x61, 0xd5, 0x07, 0x06, 0x07, 0xcb};
  memcpy(low, code, sizeof code);
  uint64_t sum = 0;
  for (int i = 0; i < 1000; i++) {
    uint32_t result, count = i;
    __asm__ volatile(
        "movq %%rsp, %%r12\n"
        "movl $0x10002000, %%esp\n"
        "subl $8, %%esp\n"
        "leaq 1f(%%rip), %%rax\n"
        "movabsq $0x10001000, %%rbx\n"
        "movb $0xff, (%%rbx)\n movb $0x2d, 1(%%rbx)\n"
        "movl $0x33, 4(%%rsp)\n"
        "movl $0x10001800, (%%rsp)\n"
        /* trampoline at 0x10001800: 64-bit code, jmp *%r13 */
        "movabsq $0x10001800, %%rbx\n movl $0x00e5ff41, (%%rbx)\n"
        "movq %%rax, %%r13\n"
        "subq $16, %%rsp\n movq $0x23, 8(%%rsp)\n movq $0x10000000, (%%rsp)\n"
        "lretq\n"
        "1: movq %%r12, %%rsp\n"
        : "=a"(result), "+c"(count)
        : "S"(i)
        : "rbx", "rdx", "r12", "r13", "memory", "cc");
    sum = sum * 31 + (result & 0xffff) + count;
  }
  printf("compat %016llx\n", (unsigned long long)sum);
  return 0;
}
