/* Numbers by chance, the same in every run of a test. */
#pragma once
#include <stdint.h>
#include <stdlib.h>

static uint64_t dice = 0x9E3779B97F4A7C15u;

static inline uint32_t random_below(uint32_t n) {
  dice = dice * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(dice >> 33) % n;
}

/* How often a test tries: MG_FUZZ times, or as usual. */
static inline long random_runs(long usual) {
  const char *times = getenv("MG_FUZZ");
  return times ? strtol(times, NULL, 10) : usual;
}
