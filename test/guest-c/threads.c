/* Threads: mutexes, condition variables, atomics, thread-local storage, barriers. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 8, ROUNDS = 8000 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long plain;
static atomic_long counter;
static atomic_int spin;
static int turn;
static __thread long local;
static long locals[THREADS];
struct pair { unsigned long a, b; } __attribute__((aligned(16)));
static struct pair pair;

static void *work(void *argument) {
  long id = (long)argument;
  for (int i = 0; i < ROUNDS; i++) {
    pthread_mutex_lock(&mutex);
    plain += id;
    pthread_mutex_unlock(&mutex);
    atomic_fetch_add(&counter, 1);
    local += id + i;
    int free = 0;
    if (i % 100 == 0) {
      while (!atomic_compare_exchange_weak(&spin, &free, 1)) { free = 0; sched_yield(); }
      struct pair old = pair, fresh;
      unsigned char ok;
      do {
        fresh.a = old.a + 1;
        fresh.b = old.b + 2;
        __asm__ volatile("lock cmpxchg16b %1\n setz %0" : "=q"(ok), "+m"(pair), "+a"(old.a), "+d"(old.b) : "b"(fresh.a), "c"(fresh.b) : "cc");
      } while (!ok);
      atomic_store(&spin, 0);
    }
  }
  locals[id] = local;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 20; i++) { /* one after the other */
    pthread_mutex_lock(&mutex);
    while (turn % THREADS != id) pthread_cond_wait(&turn_changed, &mutex);
    turn++;
    pthread_cond_broadcast(&turn_changed);
    pthread_mutex_unlock(&mutex);
  }
  return (void *)(id * id);
}

int main(void) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&barrier, 0, THREADS);
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, work, (void *)i);
  long squares = 0;
  for (int i = 0; i < THREADS; i++) {
    void *r;
    pthread_join(threads[i], &r);
    squares += (long)r;
  }
  printf("plain %ld counter %ld squares %ld turns %d pair %lu %lu\n", plain, counter, squares, turn, pair.a, pair.b);
  for (int i = 0; i < THREADS; i++) printf("local %d %ld\n", i, locals[i]);
  return 0;
}
