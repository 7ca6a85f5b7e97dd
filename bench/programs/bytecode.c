/* An interpreter of bytecode with computed gotos: nearly every branch is indirect. Its program counts Collatz steps. */
#include "bench.h"

enum { PUSH, LOAD, STORE, ADD, MUL, SHR, AND, EQ, JZ, JMP, LT, HALT };
enum { LIMIT, START, VALUE, STEPS };

static const int32_t program[] = {
    /*  0 */ PUSH, 1, STORE, START,
    /*  4 */ LOAD, START, STORE, VALUE,
    /*  8 */ LOAD, VALUE, PUSH, 1, EQ, JZ, 18, JMP, 54, HALT,
    /* 18 */ LOAD, VALUE, PUSH, 1, AND, JZ, 38,
    /* 25 */ LOAD, VALUE, PUSH, 3, MUL, PUSH, 1, ADD, STORE, VALUE, JMP, 45, HALT,
    /* 38 */ LOAD, VALUE, SHR, STORE, VALUE, JMP, 45,
    /* 45 */ LOAD, STEPS, PUSH, 1, ADD, STORE, STEPS, JMP, 8,
    /* 54 */ LOAD, START, PUSH, 1, ADD, STORE, START,
    /* 61 */ LOAD, START, LOAD, LIMIT, LT, JZ, 70, JMP, 4,
    /* 70 */ HALT,
};

static uint64_t run(const int32_t *code, uint64_t limit) {
  static const void *const labels[] = {&&push, &&load, &&store, &&add, &&mul, &&shr,
                                       &&and_, &&eq,   &&jz,    &&jmp, &&lt,  &&halt};
  uint64_t stack[16], variables[4] = {limit}, *top = stack;
  const int32_t *pc = code;
#define NEXT goto *labels[*pc++]
  NEXT;
push: *top++ = *pc++; NEXT;
load: *top++ = variables[*pc++]; NEXT;
store: variables[*pc++] = *--top; NEXT;
add: top--; top[-1] += *top; NEXT;
mul: top--; top[-1] *= *top; NEXT;
shr: top[-1] >>= 1; NEXT;
and_: top--; top[-1] &= *top; NEXT;
eq: top--; top[-1] = top[-1] == *top; NEXT;
lt: top--; top[-1] = top[-1] < *top; NEXT;
jz: pc = *--top == 0 ? code + *pc : pc + 1; NEXT;
jmp: pc = code + *pc; NEXT;
halt: return variables[STEPS];
}

int main(int argc, char **argv) {
  printf("%llu\n", (unsigned long long)run(program, work(argc, argv, 200) * 1000));
}
