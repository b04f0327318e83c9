/* Credentials of pods: the Docker configs in their pull secrets, read from the API server when an image is asked for, each by its
 * name, and kept for a while. A set is what one template names, in its order. */
#pragma once
#include "kube/image_facts.h"
#include "registry/keyring.h"
#include "registry/settings.h"
#include "registry/table.h"

#define MG_PULL_NAMES_MAX 16                  /* of one template; more are left */
#define MG_PULL_REPLY_MAX ((size_t)512 << 10) /* one Secret */
#define MG_PULL_SETS_MAX 4096
#define MG_PULL_BYTES_MAX ((size_t)64 << 20)  /* of all sets; the least recently used goes first */
#define MG_PULL_AGAIN_MS 5000                 /* a set with which a registry did not allow something is read again after that */
#define MG_PULL_KEY_ROOM 4608
#define MG_PULL_NOTE_ROOM 400
#define MG_SCOPE_ROOM 65

struct mg_registry;
struct mg_pull_sets;

struct mg_pull_set {
  struct mg_entry entry; /* by its key */
  struct mg_pull_sets *sets;
  struct mg_keyring *keyring;
  int64_t read, until;
  char note[MG_PULL_NOTE_ROOM]; /* the first that could not be read, for people; "": all could */
  char key[];
};

struct mg_pull_sets {
  struct mg_table table;
  size_t bytes;
};

int mg_pull_sets_init(struct mg_pull_sets *sets) __attribute__((warn_unused_result));
void mg_pull_sets_fini(struct mg_pull_sets *sets); /* also of a zeroed one */

/* The set that the query names, as bytes; "": none. */
mg_str mg_pull_key(const struct mg_image_query *query, char room[MG_PULL_KEY_ROOM]);

/* Which logins of the keyring are for the image, wherever its registry's document sends who asks: the same for the same logins,
 * whoever's they are, and "" where there are none. It is a digest: no secret is in it. False: out of memory. */
bool mg_pull_scope(const struct mg_settings *settings, const struct mg_keyring *keyring, mg_str reference,
                   char room[MG_SCOPE_ROOM], mg_str *ret);

/* ---- the lock is held ---- */

/* NULL: it is to be read, first or again. Borrowed. */
const struct mg_pull_set *mg_pull_set_of(struct mg_pull_sets *sets, mg_str key, int64_t now);
/* A registry did not allow something with these: they may have been mended meanwhile. */
void mg_pull_set_doubt(struct mg_pull_sets *sets, mg_str key);

/* ---- the thread, without the lock ---- */

struct mg_pulling;

struct mg_pull_want {
  struct mg_pull_want *next;
  struct mg_pulling *pulling; /* NULL: it waits for none */
  void (*done)(void *ctx, const struct mg_pull_set *set); /* good during the call; NULL: out of memory */
  void *ctx;
};

/* Ends with `done`, maybe before this returns. */
void mg_pull_join(struct mg_registry *registry, struct mg_settings *settings, mg_str key, struct mg_pull_want *want);
void mg_pull_leave(struct mg_pull_want *want);
void mg_pulls_free(struct mg_registry *registry);
