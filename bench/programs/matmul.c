/* Multiplication of matrices of doubles. */
#include "bench.h"

enum { N = 200 };
static double a[N][N], b[N][N], c[N][N];

int main(int argc, char **argv) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      a[i][j] = (i * 7 + j * 3) % 17 / 16.0;
      b[i][j] = (i * 5 + j * 11) % 19 / 32.0 - 0.25;
    }
  for (long round = work(argc, argv, 36); round > 0; round--) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        double sum = 0;
        for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
    for (int i = 0; i < N; i++) a[i][round % N] = c[i][i] / N;
  }
  double trace = 0;
  for (int i = 0; i < N; i++) trace += c[i][N - 1 - i] * (i + 1);
  printf("%.17g\n", trace);
}
