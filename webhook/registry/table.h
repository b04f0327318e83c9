/* A bounded table by key that forgets what has not been used for longest. No lock of its own. */
#pragma once
#include "base/str.h"

/* Stands first in what is kept; allocated by who puts it in, freed by the table's `drop`. */
struct mg_entry {
  struct mg_entry *chain, *newer, *older;
  uint64_t hash;
  mg_str key; /* the entry's own memory */
};

struct mg_table {
  struct mg_entry **slots;
  uint32_t slot_count, count, max;
  struct mg_entry *newest, *oldest;
  uint64_t seed;
  void (*drop)(struct mg_entry *entry);
};

int mg_table_init(struct mg_table *table, uint32_t max, void (*drop)(struct mg_entry *entry)) __attribute__((warn_unused_result));
void mg_table_fini(struct mg_table *table); /* also of a zeroed one */
void mg_table_clear(struct mg_table *table);
/* Becomes the newest; NULL: not there. */
struct mg_entry *mg_table_get(struct mg_table *table, mg_str key);
/* Takes the entry; one of the same key, or the oldest where it is full, is dropped. */
void mg_table_put(struct mg_table *table, struct mg_entry *entry);
void mg_table_remove(struct mg_table *table, struct mg_entry *entry);
