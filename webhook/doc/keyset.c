#include "doc/keyset.h"

#include <sys/random.h>
#include <time.h>

#define CAP_MIN 256

__extension__ typedef unsigned __int128 wide;

static uint64_t fold(uint64_t a, uint64_t b) {
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Up to 16 bytes as two words that tell different texts of the same length apart. They are loaded as they stand, with an
 * overlap: to copy them together first would make the loads wait for the copy. */
static void read_words(const char *p, size_t n, uint64_t word[2]) {
  uint32_t half[2] = {0, 0};
  if (n >= 8) {
    memcpy(&word[0], p, 8);
    memcpy(&word[1], p + n - 8, 8);
  } else if (n >= 4) {
    memcpy(&half[0], p, 4);
    memcpy(&half[1], p + n - 4, 4);
    word[0] = half[0];
    word[1] = half[1];
  } else {
    word[0] = n ? (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 | (unsigned char)p[n - 1] : 0;
    word[1] = 0;
  }
}

static uint32_t hash_key(const struct mg_keyset *set, uint32_t object, mg_str key) {
  uint64_t hash = set->seed[0] ^ key.n, word[2];
  for (size_t at = 0; at < key.n; at += 16) {
    read_words(key.p + at, key.n - at < 16 ? key.n - at : 16, word);
    hash = fold(word[0] ^ set->seed[1], word[1] ^ hash);
  }
  hash = fold(hash ^ object, set->seed[1]);
  return (uint32_t)(hash ^ hash >> 32);
}

static void set_seed(struct mg_keyset *set) {
  if (getrandom(set->seed, sizeof(set->seed), GRND_NONBLOCK) != (ssize_t)sizeof(set->seed)) {
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    set->seed[0] = (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15u;
    set->seed[1] = (uint64_t)(uintptr_t)set ^ (uint64_t)now.tv_sec << 32;
  }
  set->seed[1] |= 1; /* a factor of 0 would forget everything */
}

static bool grow(struct mg_keyset *set, struct mg_arena *arena) {
  uint32_t cap = set->cap ? set->cap * 2 : CAP_MIN;
  struct mg_key_slot *slots = MG_NEW_N(arena, struct mg_key_slot, cap);
  if (!slots) return false;
  if (!set->cap) set_seed(set);
  for (uint32_t from = 0; from < set->cap; from++) {
    if (!set->slots[from].cell) continue;
    uint32_t i = set->slots[from].hash & (cap - 1);
    while (slots[i].cell) i = (i + 1) & (cap - 1);
    slots[i] = set->slots[from];
  }
  set->slots = slots;
  set->cap = cap;
  return true;
}

struct mg_key_slot *mg_keyset_slot(struct mg_keyset *set, struct mg_arena *arena, const struct mg_cell *cells, uint32_t object,
                                   mg_str key) {
  if (set->count >= set->cap / 8 * 7 && !grow(set, arena)) return NULL;
  uint32_t hash = hash_key(set, object, key);
  for (uint32_t i = hash & (set->cap - 1);; i = (i + 1) & (set->cap - 1)) {
    struct mg_key_slot *slot = &set->slots[i];
    const struct mg_cell *c = &cells[slot->cell];
    if (!slot->cell) {
      slot->hash = hash;
      return slot;
    }
    if (slot->hash == hash && c->parent == object && c->len == key.n && memcmp(c->text, key.p, key.n) == 0) return slot;
  }
}

void mg_keyset_fill(struct mg_keyset *set, struct mg_key_slot *slot, uint32_t cell) {
  slot->cell = cell;
  set->count++;
}
