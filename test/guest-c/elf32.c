/* A 32-bit executable: i386 system calls through INT 80h and the vDSO's SYSENTER, segments, 64-bit arithmetic in pairs. */
typedef unsigned int u32;
typedef unsigned long long u64;

static char out[8192];
static u32 used;

static int call(int nr, int a, const void *b, int c) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

static u32 vsyscall;
static int fast_call(int nr, int a, const void *b, int c) {
  int result;
  __asm__ volatile("call *%5" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c), "m"(vsyscall) : "memory");
  return result;
}

static void print(const char *name, u32 value) {
  while (*name) out[used++] = *name++;
  out[used++] = ' ';
  for (int shift = 28; shift >= 0; shift -= 4) out[used++] = "0123456789abcdef"[value >> shift & 15];
  out[used++] = '\n';
}

static u32 rng = 12345;
static u32 next(void) {
  rng ^= rng << 13;
  rng ^= rng >> 17;
  return rng ^= rng << 5;
}

static __attribute__((noinline)) u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

__attribute__((used)) static void work(u32 *stack) {
  u32 argc = *stack, *p = stack + 1 + argc + 1;
  while (*p++) {}
  for (; p[0]; p += 2)
    if (p[0] == 32) vsyscall = p[1]; /* AT_SYSINFO */
  u64 sum = 1;
  u32 carry = 0;
  for (int i = 0; i < 20000; i++) {
    u64 a = (u64)next() << 32 | next(), b = next() | 1;
    sum = sum * b + a;
    sum ^= sum >> (a & 31);
    carry += (sum + a < a) + ((int)(u32)a >> (b & 31));
  }
  print("sum high", sum >> 32);
  print("sum low", sum);
  print("carry", carry);
  print("fibonacci", fibonacci(20));
  u32 bcd = 0x19;
  for (int i = 0; i < 1000; i++) __asm__("addb $0x27, %%al\n daa\n adcb %%al, %%ah\n aas\n aam $7" : "+a"(bcd) : : "cc");
  print("bcd", bcd);
  u32 regs;
  __asm__ volatile("pushal\n movl 28(%%esp), %0\n popal\n pushfl\n popl %%ecx\n pushw %%ax\n popw %%dx" : "=a"(regs) : "0"(77) : "ecx", "edx");
  print("pushal", regs);
  double x = 1;
  for (int i = 1; i < 2000; i++) x = x * 1.0001 + (double)(int)next() / (1 << 30) / i;
  print("x87", (u32)(long long)(x * 1e6));
  u32 length;
  static char text[64] = "strings in 32-bit code";
  __asm__("cld\n repne scasb\n" : "=c"(length) : "0"(64), "a"(0), "D"(text) : "cc", "memory");
  print("scasb", length);
  print("bad call", call(9999, 0, 0, 0));
  print("vdso", vsyscall != 0);
  int wrote = call(4, 1, out, used);
  const char *last = "through the vdso\n";
  if (vsyscall) fast_call(4, 1, last, 17);
  call(1, wrote == (int)used ? 0 : 1, 0, 0);
}

__asm__(".globl _start\n_start: movl %esp, %eax\n andl $-16, %esp\n subl $12, %esp\n pushl %eax\n call work\n");
