/* x87 through long double, SSE through double and float: values printed bit by bit. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 0x123456789abcdefull;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
static double random_double(void) {
  uint64_t bits = (next() & 0x800fffffffffffffull) | (uint64_t)(1023 - 30 + next() % 60) << 52;
  double d;
  memcpy(&d, &bits, 8);
  return d;
}
static uint64_t sum;
static void mix(const void *p, size_t n) {
  for (size_t i = 0; i < n; i++) sum = (sum ^ ((const unsigned char *)p)[i]) * 1099511628211ull;
}

int main(void) {
  volatile long double one = 1, three = 3;
  printf("%La %La %La\n", one / three, sqrtl(three), three * three / 7);
  printf("%.21Lg %.17g %.9g\n", one / three, 1.0 / 3.0, 1.0f / 3.0f);
  printf("%La %La\n", LDBL_MAX, LDBL_MIN / 4);
  long double acc = 0;
  for (int i = 1; i <= 30000; i++) acc += one / ((long double)i * i);
  printf("series %La\n", acc);

  static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  for (int m = 0; m < 4; m++) {
    fesetround(modes[m]);
    sum = 14695981039346656037ull;
    for (int i = 0; i < 4000; i++) {
      volatile double a = random_double(), b = random_double();
      volatile long double la = a, lb = b;
      volatile double r[] = {a + b, a - b, a * b, a / b, sqrt(fabs(a)), rint(a), (double)(float)a};
      volatile float f[] = {(float)a + (float)b, (float)a * (float)b, (float)a / (float)b, sqrtf(fabsf((float)a))};
      mix((void *)r, sizeof r);
      mix((void *)f, sizeof f);
      volatile long double l[] = {la + lb, la - lb, la * lb, la / lb, sqrtl(fabsl(la)), rintl(la)};
      for (int k = 0; k < 6; k++) mix((void *)&l[k], 10);
      volatile int64_t n[] = {llrint(a), (int64_t)a, llrintl(la), (int32_t)(int64_t)a};
      mix((void *)n, sizeof n);
    }
    printf("mode %d %016llx\n", m, (unsigned long long)sum);
  }
  fesetround(FE_TONEAREST);

  feclearexcept(FE_ALL_EXCEPT);
  volatile double zero = 0, big = DBL_MAX, tiny = DBL_MIN, r;
  r = 1 / zero;
  printf("flags %x", fetestexcept(FE_ALL_EXCEPT) & (FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW | FE_UNDERFLOW | FE_INEXACT));
  r = zero / zero;
  printf(" %x", fetestexcept(FE_ALL_EXCEPT));
  r = big * big;
  printf(" %x", fetestexcept(FE_ALL_EXCEPT));
  r = tiny * 0.3;
  printf(" %x %a\n", fetestexcept(FE_ALL_EXCEPT), r);
  printf("%g %g %g %g %d %d\n", INFINITY, -INFINITY, NAN, -0.0, isnan(zero / zero) != 0, signbit(-zero) != 0);
  printf("%.6e %.3f %g %a\n", 123456.789, -0.0005, 1e300, 0.1);
  printf("%s %a %La\n", "strtod", strtod("2.2250738585072011e-308", 0), strtold("1.18973149535723176502e+4932", 0));
  for (int i = 0; i < 5; i++) {
    double x = 0.1 + i * 0.7;
    printf("%.10f %.10f %.10f %.10f %.10f\n", sin(x), cos(x), atan2(x, 2.0), exp(x), log(x));
    printf("%.14Lf %.14Lf %.14Lf\n", sinl(x), expl(x), powl(x, 1.5L));
  }
  return 0;
}
