/* The keys of the large objects of one document: finds a duplicate in constant time. Keyed with a random number, so that
 * no document can be made to collide. */
#pragma once
#include "doc/doc.h"

struct mg_key_slot {
  uint32_t hash, cell; /* cell 0: free */
};

struct mg_keyset {
  struct mg_key_slot *slots;
  uint32_t cap, count; /* cap: 0 or a power of two */
  uint64_t seed[2];
};

/* The slot of an object's key, free (cell 0) where it is not there; NULL when out of memory. Good until the next call. */
struct mg_key_slot *mg_keyset_slot(struct mg_keyset *set, struct mg_arena *arena, const struct mg_cell *cells, uint32_t object,
                                   mg_str key);
/* Puts a key's cell in the free slot that was found for it. */
void mg_keyset_fill(struct mg_keyset *set, struct mg_key_slot *slot, uint32_t cell);
