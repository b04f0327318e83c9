/* What is known already: facts by digest, sizes of blobs, digests of tags for a while, and for a shorter while what went wrong.
 * The registry's lock is held by who calls. */
#pragma once
#include "registry/box.h"
#include "registry/errand.h"

#define MG_CACHE_TAGS_MAX 20000
#define MG_CACHE_TROUBLES_MAX 10000
#define MG_CACHE_SIZES_MAX 20000

struct mg_trouble {
  struct mg_entry entry; /* by what was asked */
  enum mg_registry_result result;
  int64_t until;
  mg_str why;
};

struct mg_cache {
  struct mg_table facts, tags, troubles, sizes;
};

int mg_cache_init(struct mg_cache *cache) __attribute__((warn_unused_result));
void mg_cache_fini(struct mg_cache *cache);

/* Of a digest, by where it is kept (mg_facts_place), unless it is too old; `now` 0: however old it is. Borrowed. */
struct mg_box *mg_cache_box(struct mg_cache *cache, mg_str digest, mg_str place, int64_t now);
void mg_cache_keep_box(struct mg_cache *cache, mg_str place, struct mg_box *box); /* takes a reference of its own */

/* "": not known, or too old. */
mg_str mg_cache_tag(struct mg_cache *cache, mg_str reference, int64_t now);
/* However old it is. */
mg_str mg_cache_last_tag(struct mg_cache *cache, mg_str reference);
void mg_cache_keep_tag(struct mg_cache *cache, mg_str reference, mg_str digest, int64_t now);

/* Bytes that the registry of that domain has of the blob; -1: it has not said so. */
int64_t mg_cache_size(struct mg_cache *cache, mg_str domain, mg_str digest);
void mg_cache_keep_size(struct mg_cache *cache, mg_str domain, mg_str digest, int64_t size);

/* NULL: none that still counts. Borrowed. */
const struct mg_trouble *mg_cache_trouble(struct mg_cache *cache, mg_str key, int64_t now);
void mg_cache_keep_trouble(struct mg_cache *cache, mg_str key, enum mg_registry_result result, mg_str why, int64_t now);
/* How long it is taken for that, in ms. */
int64_t mg_cache_trouble_ms(enum mg_registry_result result);
void mg_cache_forget_troubles(struct mg_cache *cache);
