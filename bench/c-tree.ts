/**
 * A tree of C files to compile: deterministic, different from each other, and each with something for many parts of a
 * compiler: structures, switches, loops over arrays of several types, recursion, calls through pointers, strings.
 */

/** Numbers that look random and are the same everywhere. */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Below = (below: number) => number;
const INTEGERS = ['int', 'unsigned', 'long', 'short', 'unsigned char', 'unsigned long'];
const OPERATORS = ['+', '-', '*', '&', '|', '^'];

const pick = (below: Below, from: readonly string[]): string => from[below(from.length)] ?? '';
const repeat = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join('\n');

function expression(below: Below, names: readonly string[], depth: number): string {
  if (depth === 0) return below(3) === 0 ? String(below(1000) + 1) : pick(below, names);
  const [a, b] = [expression(below, names, depth - 1), expression(below, names, depth - 1)];
  const kind = below(8);
  if (kind === 0) return `((${a}) % ((${b}) | 1))`;
  if (kind === 1) return `((${a}) << ((${b}) & 7))`;
  if (kind === 2) return `((${a}) < (${b}) ? (${b}) : (${a}))`;
  return `((${a}) ${pick(below, OPERATORS)} (${b}))`;
}

type Shape = (n: number, below: Below) => string;

const switches: Shape = (n, below) => `
static long choose${n}(unsigned a, long b) {
  switch (a % ${20 + below(20)}) {
${repeat(12 + below(6), (i) => `  case ${i}: b = ${expression(below, ['a', 'b'], 2)}; ${below(2) === 0 ? 'break;' : `return b + ${i};`}`)}
  default: b ^= a;
  }
  return b;
}`;

const loops: Shape = (n, below) => {
  const type = pick(below, INTEGERS);
  return `
static ${type} rows${n}[${64 + below(64)}], columns${n}[128];
static long choose${n}(unsigned a, long b) {
  long sum = b;
  for (unsigned i = 0; i < ${48 + below(16)}; i++) {
    rows${n}[i] = (${type})(${expression(below, ['i', 'a'], 2)});
    for (unsigned j = i; j < 128; j += ${1 + below(4)}) columns${n}[j] += rows${n}[i] ${pick(below, OPERATORS)} j;
    sum += columns${n}[i & 127];
  }
  return sum;
}`;
};

const floats: Shape = (n, below) => `
static double vectors${n}[${32 + below(32)}][4];
static long choose${n}(unsigned a, long b) {
  double sum = b, scale = ${1 + below(9)}.${below(1000)};
  for (unsigned i = 0; i < 32; i++)
    for (unsigned j = 0; j < 4; j++) {
      vectors${n}[i][j] = vectors${n}[i][j] * scale + (double)(a ${pick(below, ['+', '*', '^'])} (i * ${3 + below(9)}));
      if (vectors${n}[i][j] > 1e${6 + below(6)}) vectors${n}[i][j] /= 3.5; else sum += vectors${n}[i][j];
    }
  return sum > 1e15 ? 1 : (long)sum;
}`;

const structures: Shape = (n, below) => `
struct item${n} { ${pick(below, INTEGERS)} key; char name[${4 + below(20)}]; struct item${n} *left, *right; unsigned bits : ${3 + below(20)}; };
static struct item${n} items${n}[64];
static struct item${n} *insert${n}(struct item${n} *at, struct item${n} *it) {
  if (!at) return it;
  if (it->key ${pick(below, ['<', '<=', '>'])} at->key) at->left = insert${n}(at->left, it);
  else at->right = insert${n}(at->right, it);
  return at;
}
static long walk${n}(const struct item${n} *at) {
  return at ? walk${n}(at->left) + at->key * ${1 + below(9)}L + strlen(at->name) + at->bits + walk${n}(at->right) : 0;
}
static long choose${n}(unsigned a, long b) {
  struct item${n} *root = 0;
  memset(items${n}, 0, sizeof items${n});
  for (unsigned i = 0; i < 64; i++) {
    items${n}[i].key = ${expression(below, ['a', 'i'], 2)};
    items${n}[i].bits = i;
    snprintf(items${n}[i].name, sizeof items${n}[i].name, "%u-%ld", i, b);
    root = insert${n}(root, &items${n}[i]);
  }
  return walk${n}(root);
}`;

const SHAPES: readonly Shape[] = [switches, loops, floats, structures];

/** The text of file `index` of the tree. */
export function cFile(index: number, functions: number): string {
  const below = numbers(index * 7919 + 1);
  const bodies = repeat(functions, (n) =>
    (SHAPES[(n + below(SHAPES.length)) % SHAPES.length] ?? loops)(n, below),
  );
  return `#include <stdio.h>
#include <string.h>
${bodies}
static long (*const all[])(unsigned, long) = { ${repeat(functions, (n) => `choose${n},`)} };
long file${index}(unsigned rounds) {
  long sum = ${index};
  for (unsigned i = 0; i < rounds; i++) sum ^= all[i % ${functions}](i, sum);
  return sum;
}
`;
}
