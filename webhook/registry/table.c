#include "registry/table.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Keys come from users: the seed keeps them from choosing slots. */
static uint64_t hash_of(uint64_t seed, mg_str key) {
  uint64_t h = seed ^ key.n * 0x9E3779B97F4A7C15u;
  size_t i = 0;
  for (; key.n - i >= 8; i += 8) {
    uint64_t word;
    memcpy(&word, key.p + i, sizeof word);
    h = (h ^ word) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
  }
  for (; i < key.n; i++) h = (h ^ (unsigned char)key.p[i]) * 0x100000001B3u;
  h = (h ^ h >> 29) * 0xBF58476D1CE4E5B9u;
  return h ^ h >> 32;
}

int mg_table_init(struct mg_table *table, uint32_t max, void (*drop)(struct mg_entry *entry)) {
  uint32_t slots = 16;
  while (slots < max && slots < 16384) slots *= 2;
  *table = (struct mg_table){.slot_count = slots, .max = max, .drop = drop, .slots = calloc(slots, sizeof(*table->slots))};
  if (!table->slots) return -1;
  if (getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) != (ssize_t)sizeof table->seed)
    table->seed = (uint64_t)time(NULL);
  return 0;
}

void mg_table_clear(struct mg_table *table) {
  while (table->oldest) mg_table_remove(table, table->oldest);
}

void mg_table_fini(struct mg_table *table) {
  mg_table_clear(table);
  free(table->slots);
  *table = (struct mg_table){0};
}

static void unlink_age(struct mg_table *table, struct mg_entry *e) {
  *(e->newer ? &e->newer->older : &table->newest) = e->older;
  *(e->older ? &e->older->newer : &table->oldest) = e->newer;
}

static void link_newest(struct mg_table *table, struct mg_entry *e) {
  e->newer = NULL;
  e->older = table->newest;
  *(e->older ? &e->older->newer : &table->oldest) = e;
  table->newest = e;
}

static struct mg_entry **slot_of(struct mg_table *table, uint64_t hash) {
  return &table->slots[hash & (table->slot_count - 1)];
}

struct mg_entry *mg_table_get(struct mg_table *table, mg_str key) {
  uint64_t hash = hash_of(table->seed, key);
  struct mg_entry *e = *slot_of(table, hash);
  while (e && (e->hash != hash || !mg_str_eq(e->key, key))) e = e->chain;
  if (e && table->newest != e) {
    unlink_age(table, e);
    link_newest(table, e);
  }
  return e;
}

void mg_table_remove(struct mg_table *table, struct mg_entry *entry) {
  struct mg_entry **slot = slot_of(table, entry->hash);
  while (*slot != entry) slot = &(*slot)->chain;
  *slot = entry->chain;
  unlink_age(table, entry);
  table->count--;
  table->drop(entry);
}

void mg_table_put(struct mg_table *table, struct mg_entry *entry) {
  struct mg_entry *old = mg_table_get(table, entry->key);
  if (old) mg_table_remove(table, old);
  while (table->count && table->count >= table->max) mg_table_remove(table, table->oldest);
  entry->hash = hash_of(table->seed, entry->key);
  struct mg_entry **slot = slot_of(table, entry->hash);
  entry->chain = *slot;
  *slot = entry;
  link_newest(table, entry);
  table->count++;
}
