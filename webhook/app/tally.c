#include "app/tally.h"

#include <stdlib.h>

#define SLOTS (4 * MG_TALLY_NAMES)

static bool ready(struct mg_tally *t) {
  if (t->rows && t->slots) return true;
  t->rows = MG_NEW_N(t->arena, struct mg_tally_row, MG_TALLY_NAMES);
  t->slots = MG_NEW_N(t->arena, uint32_t, SLOTS);
  return t->rows && t->slots;
}

uint64_t mg_tally_add(struct mg_tally *t, mg_str name) {
  if (name.n > MG_TALLY_NAME_MAX) name.n = MG_TALLY_NAME_MAX;
  if (!ready(t)) {
    t->others++;
    return 0;
  }
  uint32_t slot = (uint32_t)(mg_str_hash(MG_HASH, name) % SLOTS);
  while (t->slots[slot] && !mg_str_eq(t->rows[t->slots[slot] - 1].name, name)) slot = (slot + 1) % SLOTS;
  if (!t->slots[slot]) {
    mg_str kept = t->count < MG_TALLY_NAMES ? mg_arena_dup(t->arena, name) : (mg_str){0};
    if (!kept.p) {
      t->others++;
      return 0;
    }
    t->rows[t->count] = (struct mg_tally_row){.name = kept};
    t->slots[slot] = ++t->count;
  }
  return ++t->rows[t->slots[slot] - 1].count;
}

static int by_count(const void *a, const void *b) {
  const struct mg_tally_row *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return mg_str_cmp(x->name, y->name);
}

void mg_tally_sort(struct mg_tally *t) {
  if (t->count > 1) qsort(t->rows, t->count, sizeof *t->rows, by_count);
}
