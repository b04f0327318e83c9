/* Bytes that many threads share: who wants some takes them first, and gets none where they would be too many. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mg_budget {
  _Atomic size_t used;
  size_t max;
};

/* False: there is no room, and nothing was taken. */
static inline bool mg_budget_take(struct mg_budget *budget, size_t n) {
  size_t before = atomic_fetch_add_explicit(&budget->used, n, memory_order_relaxed);
  if (before <= budget->max && n <= budget->max - before) return true;
  atomic_fetch_sub_explicit(&budget->used, n, memory_order_relaxed);
  return false;
}

/* Takes nothing: whether there would be room now. */
static inline bool mg_budget_fits(const struct mg_budget *budget, size_t n) {
  size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
  return used <= budget->max && n <= budget->max - used;
}

static inline void mg_budget_give(struct mg_budget *budget, size_t n) {
  atomic_fetch_sub_explicit(&budget->used, n, memory_order_relaxed);
}
