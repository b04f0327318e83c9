/* How often something was there, by a hash of it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_SEEN_MAX ((size_t)1 << 24) /* different things */

struct mg_seen {
  struct mg_seen_slot *slots;
  size_t count, cap;
  bool failed; /* out of memory, or too many: what is new is no longer told apart */
};

void mg_seen_fini(struct mg_seen *seen); /* also of a zeroed one */
/* The number that is kept for the hash, 0 at first. Good until the next call. */
uint32_t *mg_seen_number(struct mg_seen *seen, uint64_t hash);
