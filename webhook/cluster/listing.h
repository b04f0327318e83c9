/* What an API server serves, and the objects of a kind, page by page. Nothing but GETs. */
#pragma once
#include "cluster/api.h"
#include "doc/doc.h"

#define MG_LISTING_BODY_MAX ((size_t)32 << 20) /* of a page; mg_api_options.body_max should be as much */
#define MG_LISTING_PAGE 250                    /* objects that are asked for at one time; fewer where they are too large */
#define MG_LISTING_OBJECTS_MAX 2000000         /* of one kind */
#define MG_LISTING_KINDS_MAX 1024

struct mg_served {
  const char *group, *version, *kind, *resource;
  bool namespaced;
};

struct mg_discovery {
  bool (*group)(void *ctx, mg_str group);
  bool (*kind)(void *ctx, mg_str group, mg_str version, mg_str kind);
  void (*trouble)(void *ctx, const char *group_version, const struct mg_err *err); /* what cannot be asked is left out */
  void *ctx;
};

/* The kinds that can be listed, each once, in the version that the server prefers. All is in the arena. An error where not even
 * the groups are told. */
int mg_discover(struct mg_api *api, struct mg_arena *arena, const struct mg_discovery *wants, struct mg_served **ret,
                size_t *ret_count, struct mg_err *err) __attribute__((warn_unused_result));

struct mg_listing {
  struct mg_api *api;
  struct mg_arena *arena; /* of a page */
  const char *ns, *selector; /* NULL: all */
  int (*object)(void *ctx, mg_node object, struct mg_err *err); /* a negative result ends it */
  void *ctx;
};

/* MG_E_INVALID: the server refuses, or answers what is no list. MG_E_IO: it cannot be reached. MG_E_LIMIT, MG_E_NOMEM. */
int mg_list(const struct mg_listing *listing, const struct mg_served *kind, struct mg_err *err)
  __attribute__((warn_unused_result));
