/* Sums and products of counts that stop at the largest number instead of going round. Neither factor is negative. */
#pragma once
#include <stdint.h>

static inline int64_t mg_add_capped(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static inline int64_t mg_mul_capped(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}
