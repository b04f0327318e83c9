/* Counts by name, of names that anybody may have made up: so many and no more, the others together. */
#pragma once
#include "base/arena.h"

#define MG_TALLY_NAMES 2048
#define MG_TALLY_NAME_MAX 256 /* bytes of a name that are kept */

struct mg_tally_row {
  mg_str name;
  uint64_t count;
};

struct mg_tally {
  struct mg_arena *arena;
  struct mg_tally_row *rows; /* in the order of their coming until they are sorted */
  uint32_t *slots;           /* of hashes: row + 1, or 0 */
  uint32_t count;
  uint64_t others; /* counted under no name */
};

/* The count of the name afterwards; 0: it is one of the others, or there is no memory. */
uint64_t mg_tally_add(struct mg_tally *tally, mg_str name);
/* The largest first, then by name; afterwards nothing is to be added. */
void mg_tally_sort(struct mg_tally *tally);
