/* The two halves of fetching the facts of a reference: what it names, and each platform of that. */
#pragma once
#include "kube/image.h"
#include "registry/inner.h"
#include "registry/manifest.h"

#define MG_FETCH_NESTED_MAX 3 /* indexes in indexes that are read */
#define MG_FETCH_NO_MEMORY "too little memory to look at it"

/* One platform. */
struct mg_fetch_part {
  struct mg_fetch *fetch;
  const struct mg_manifest_child *child; /* NULL: the reference is no index */
  struct mg_manifest *manifest;
  enum mg_registry_result result;        /* MG_REGISTRY_FETCHED as long as nothing went wrong with it */
  mg_str why;
};

struct mg_fetch {
  struct mg_fetch *next, *prev;
  struct mg_registry *registry;
  struct mg_settings *settings;
  struct mg_want *wants;
  struct mg_arena arena;
  mg_str reference, platform, digest;
  mg_str name, scope;       /* as the want's */
  mg_str place;             /* mg_facts_place */
  struct mg_keyring *pulls; /* counted */
  struct mg_image image;
  bool by_tag; /* its digest cannot be had from the header */
  uint32_t nested, nested_count;
  mg_str nested_digests[MG_FETCH_NESTED_MAX];
  struct mg_fetch_part parts[MG_PLATFORMS_MAX];
  uint32_t part_count, outstanding;
  enum mg_registry_result result; /* MG_REGISTRY_FETCHED as long as nothing went wrong */
  char why[MG_WHY_MAX];
};

/* ---- fetch.c ---- */

/* The end; the box is for all that want it. */
void mg_fetch_finish(struct mg_fetch *f, struct mg_box *box);
void mg_fetch_fail(struct mg_fetch *f, enum mg_registry_result result, const char *why);
void mg_fetch_fail_memory(struct mg_fetch *f);
void mg_fetch_keep_box(struct mg_fetch *f, struct mg_box *box);
void mg_fetch_say_invalid(const struct mg_fetch *f, char why[MG_WHY_MAX], const char *what, const struct mg_err *err);
bool mg_fetch_order(struct mg_fetch *f, struct mg_errand_order *o, const char *kind, mg_str which);

/* ---- fetch_part.c ---- */

/* The answer to a child of an index; `ctx` is the part. */
void mg_fetch_on_child(void *ctx, const struct mg_answer *a);
/* Goes on with its config. When all parts are done the fetch ends, maybe before this returns. */
void mg_fetch_take_manifest(struct mg_fetch_part *p, struct mg_manifest *m, mg_str digest);
void mg_fetch_part_failed(struct mg_fetch_part *p, enum mg_registry_result result, const char *why);
