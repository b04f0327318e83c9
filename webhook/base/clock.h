/* The clock that only goes forward, and conditions that wait by it. */
#pragma once
#include <pthread.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t mg_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline int64_t mg_clock_ms(void) {
  return (int64_t)(mg_clock_ns() / 1000000);
}

/* That time of it, and the time in so many ms: for pthread_cond_timedwait with a condition of mg_clock_cond. */
static inline struct timespec mg_clock_at(int64_t ms) {
  return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

static inline struct timespec mg_clock_in(int64_t ms) {
  uint64_t ns = mg_clock_ns() + (uint64_t)ms * 1000000;
  return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

static inline void mg_clock_cond(pthread_cond_t *cond) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(cond, &attr);
  pthread_condattr_destroy(&attr);
}
