/* What is known already: facts by digest, digests of tags for a while, and for a shorter while what went wrong. The registry's
 * lock is held by who calls. */
#pragma once
#include "registry/box.h"
#include "registry/errand.h"

#define MG_CACHE_TAGS_MAX 20000
#define MG_CACHE_TROUBLES_MAX 10000

struct mg_trouble {
  struct mg_entry entry; /* by what was asked */
  enum mg_registry_result result;
  int64_t until;
  mg_str why;
};

struct mg_cache {
  struct mg_table facts, tags, troubles;
};

int mg_cache_init(struct mg_cache *cache) __attribute__((warn_unused_result));
void mg_cache_fini(struct mg_cache *cache);

/* Of a digest and the platform that was asked for. Borrowed. */
struct mg_box *mg_cache_box(struct mg_cache *cache, mg_str digest, mg_str platform);
void mg_cache_keep_box(struct mg_cache *cache, mg_str platform, struct mg_box *box); /* takes a reference of its own */

/* "": not known, or too old. */
mg_str mg_cache_tag(struct mg_cache *cache, mg_str reference, int64_t now);
/* However old it is. */
mg_str mg_cache_last_tag(struct mg_cache *cache, mg_str reference);
void mg_cache_keep_tag(struct mg_cache *cache, mg_str reference, mg_str digest, int64_t now);

/* NULL: none that still counts. Borrowed. */
const struct mg_trouble *mg_cache_trouble(struct mg_cache *cache, mg_str key, int64_t now);
void mg_cache_keep_trouble(struct mg_cache *cache, mg_str key, enum mg_registry_result result, mg_str why, int64_t now);
void mg_cache_forget_troubles(struct mg_cache *cache);
