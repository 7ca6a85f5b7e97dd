/* The sun and the outer planets for some years: doubles, square roots, divisions. */
#include "bench.h"
#include <math.h>

enum { BODIES = 5 };
#define DAYS 365.24
#define SOLAR_MASS (4 * M_PI * M_PI)

typedef struct {
  double at[3], v[3], mass;
} Body;

/* Positions in astronomical units, velocities in units a day, masses in suns: J2000, rounded. */
static Body bodies[BODIES] = {
    {{0, 0, 0}, {0, 0, 0}, 1},
    {{4.8414, -1.1603, -0.1036}, {0.001660, 0.007699, -0.0000690}, 9.5479e-4},
    {{8.3434, 4.1248, -0.4035}, {-0.002767, 0.004998, 0.0000230}, 2.8589e-4},
    {{12.8944, -15.1112, -0.2233}, {0.002965, 0.002378, -0.0000296}, 4.3662e-5},
    {{15.3797, -25.9193, 0.1793}, {0.002681, 0.001628, -0.0000951}, 5.1514e-5},
};

static void advance(double dt) {
  for (int i = 0; i < BODIES; i++) {
    Body *a = &bodies[i];
    for (int j = i + 1; j < BODIES; j++) {
      Body *b = &bodies[j];
      double dx = a->at[0] - b->at[0], dy = a->at[1] - b->at[1], dz = a->at[2] - b->at[2];
      double square = dx * dx + dy * dy + dz * dz;
      double pull = dt / (square * sqrt(square));
      a->v[0] -= dx * b->mass * pull;
      a->v[1] -= dy * b->mass * pull;
      a->v[2] -= dz * b->mass * pull;
      b->v[0] += dx * a->mass * pull;
      b->v[1] += dy * a->mass * pull;
      b->v[2] += dz * a->mass * pull;
    }
  }
  for (int i = 0; i < BODIES; i++)
    for (int k = 0; k < 3; k++) bodies[i].at[k] += dt * bodies[i].v[k];
}

int main(int argc, char **argv) {
  double sum = 0;
  for (int i = 0; i < BODIES; i++) {
    bodies[i].mass *= SOLAR_MASS;
    for (int k = 0; k < 3; k++) bodies[i].v[k] *= DAYS;
  }
  for (long n = work(argc, argv, 1500) * 1000; n > 0; n--) advance(0.01);
  for (int i = 0; i < BODIES; i++)
    for (int k = 0; k < 3; k++) sum += bodies[i].at[k] * (i + 1) + bodies[i].v[k] * (k + 1);
  printf("%.17g\n", sum);
}
