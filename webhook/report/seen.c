#include "report/seen.h"

#include <stdlib.h>

#define CAP_MIN ((size_t)64)

struct mg_seen_slot {
  uint64_t hash;
  uint32_t number;
  bool used;
};

void mg_seen_fini(struct mg_seen *seen) {
  free(seen->slots);
  *seen = (struct mg_seen){0};
}

static struct mg_seen_slot *slot_of(struct mg_seen_slot *slots, size_t cap, uint64_t hash) {
  size_t at = (size_t)hash & (cap - 1);
  while (slots[at].used && slots[at].hash != hash) at = (at + 1) & (cap - 1);
  return &slots[at];
}

/* At most half of the slots are ever used. */
static bool grow(struct mg_seen *seen) {
  size_t cap = seen->cap ? 2 * seen->cap : CAP_MIN;
  struct mg_seen_slot *slots = seen->count < MG_SEEN_MAX ? calloc(cap, sizeof *slots) : NULL;
  if (!slots) return false;
  for (size_t i = 0; i < seen->cap; i++)
    if (seen->slots[i].used) *slot_of(slots, cap, seen->slots[i].hash) = seen->slots[i];
  free(seen->slots);
  seen->slots = slots;
  seen->cap = cap;
  return true;
}

uint32_t *mg_seen_number(struct mg_seen *seen, uint64_t hash) {
  static _Thread_local uint32_t lost;
  if (2 * (seen->count + 1) > seen->cap && !grow(seen)) {
    seen->failed = true;
    lost = 0;
    return &lost;
  }
  struct mg_seen_slot *slot = slot_of(seen->slots, seen->cap, hash);
  if (!slot->used) {
    *slot = (struct mg_seen_slot){.hash = hash, .used = true};
    seen->count++;
  }
  return &slot->number;
}
