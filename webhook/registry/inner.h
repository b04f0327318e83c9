/* What the files behind registry.h share. A session asks with a query; a look answers it: it has the facts of the image and of
 * the bases fetched, each fetch shared by all looks that want it, and then has the first bytes of layers read.
 *
 * The lock is for what other threads touch, and is held for table look-ups only: settings, cache, looks by their keys, what
 * sessions asked. All else belongs to the registry's thread. */
#pragma once
#include <pthread.h>

#include "registry/cache.h"
#include "registry/disk.h"
#include "registry/pull_secrets.h"

#define MG_QUERY_KEY_MAX ((size_t)64 << 10)
#define MG_QUERY_BASES_MAX 64
#define MG_LOOKS_MAX 1024
#define MG_LOOKS_OF_ONE_MAX 768 /* of one registry */

struct mg_look;

/* One query of one session. */
struct mg_asked {
  struct mg_asked *next;                /* of the session */
  struct mg_asked *chain;               /* of the slot */
  struct mg_asked *wait_next, **wait_at; /* of the look; NULL: it waits for none */
  struct mg_registry_session *session;
  mg_str key;
  bool known;
  struct mg_box **boxes; /* 1 + base_count; NULL: not to be had */
  uint32_t base_count;
  mg_str why;            /* of what is not known; "": still under way */
};

struct mg_registry_session {
  struct mg_registry *registry;
  struct mg_arena arena;
  struct mg_asked *asked, **slots; /* the same by the hash of the key; NULL: none yet */
  uint32_t slot_count, asked_count, waiting; /* waiting: under the lock, like the asked that wait */
  bool late, patient;
  char *key; /* room for one, grown as needed */
  size_t key_room;
  /* Under the lock. */
  struct mg_registry_session *armed_next;
  bool armed;
  int64_t deadline;
  void (*done)(void *ctx);
  void *ctx;
};

struct mg_fetch;
struct mg_peeks;

/* What a look wants of one reference. */
struct mg_want {
  struct mg_want *next; /* of the fetch */
  struct mg_look *look;
  struct mg_fetch *fetch; /* NULL: it has ended */
  mg_str reference, name; /* name: as the cache has it, mg_image_named */
  mg_str scope;
  struct mg_keyring *pulls; /* of pull secrets; NULL: none. Borrowed */
  struct mg_box *box;   /* NULL, and then why */
  enum mg_registry_result result;
  char why[MG_WHY_MAX];
};

struct mg_registry {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* a session has nothing under way any more, or a call back is over */
  pthread_t thread;
  bool started;
  atomic_bool stopping;
  bool reads_secrets; /* pull secrets of pods, as long as it lives */
  _Atomic uint64_t counts[MG_REGISTRY_RESULTS];
  _Atomic uint64_t pull_counts[MG_PULL_RESULTS];
  /* under the lock */
  struct mg_settings *settings;
  struct mg_cache cache;
  struct mg_pull_sets sets;
  struct mg_look *looks;
  uint32_t look_count;
  struct mg_registry_session *armed;
  const struct mg_registry_session *calling;
  /* of the thread */
  struct mg_errands errands;
  struct mg_fetch *fetches;
  struct mg_peeks *peeks;
  struct mg_pulling *pulls;
};

static inline void mg_registry_add(struct mg_registry *registry, enum mg_registry_result result) {
  atomic_fetch_add_explicit(&registry->counts[result], 1, memory_order_relaxed);
}

/* Facts are a digest's, whoever has fetched them; who may see them is not. With pull secrets, what leads to facts, the digest of
 * a tag and that an image could be read at all, is therefore kept under the reference and the scope of the logins it was asked
 * with (mg_pull_scope), and so is what went wrong; even who names a digest must have been let in. Else one could learn what is
 * in another namespace's image by naming it. Where no pull secret matches, the scope is "", that of the files and of nobody,
 * which all share: whoever runs mlgate has put the files there for all. Bases are asked for in that scope: they are the
 * policy's. */
#define MG_NAME_ROOM 2048
static inline mg_str mg_image_named(mg_str reference, mg_str scope, char room[MG_NAME_ROOM]) {
  size_t n = scope.n + 1 + reference.n;
  if (!scope.n) return reference;
  if (n > MG_NAME_ROOM) return (mg_str){0};
  memcpy(room, scope.p, scope.n);
  room[scope.n] = ' ';
  memcpy(room + scope.n + 1, reference.p, reference.n);
  return (mg_str){room, n};
}

/* Where facts of a digest are kept: by the platform asked for and the repository. A registry may speak of what is in its own
 * repositories alone: another one that claims to have the same digest need not have it, and could make the bytes of layers up. */
mg_str mg_facts_place(mg_str reference, mg_str platform, char room[MG_NAME_ROOM]);

/* ---- look.c; the lock is held ---- */

/* The look of that key, or a new one; what was asked waits for it. MG_E_LIMIT: there are too many already; MG_E_NOMEM. */
int mg_look_join(struct mg_registry *registry, const struct mg_image_query *query, struct mg_asked *asked);
void mg_asked_leave(struct mg_asked *asked); /* waits no more */
/* Takes everything that is in the cache. True: all; else something must be fetched, or the trouble that answers it comes back. */
bool mg_look_cached(struct mg_registry *registry, const struct mg_image_query *query, mg_str key, struct mg_box **boxes,
                    const struct mg_trouble **ret_trouble);
/* What is in the cache now, for who can wait no longer: the image, counted, with what was not looked into for that reason, and
 * what there is of its bases. NULL: nothing of it is known. */
struct mg_box *mg_look_so_far(struct mg_registry *registry, const struct mg_image_query *query, struct mg_box **bases,
                              mg_str why);
/* What is told of trouble: where something was not allowed, also which pull secret is missing. */
mg_str mg_look_why(struct mg_registry *registry, const struct mg_image_query *query, const struct mg_trouble *trouble,
                   struct mg_arena *arena);

/* ---- look.c; the thread, without the lock ---- */

void mg_looks_begin(struct mg_registry *registry);
/* Milliseconds until one is over its time. */
int64_t mg_looks_expire(struct mg_registry *registry);
void mg_looks_free(struct mg_registry *registry);
void mg_look_got(struct mg_want *want); /* its fetch has ended */

/* ---- fetch.c; the thread, without the lock ---- */

/* Ends with mg_look_got, maybe before this returns. */
void mg_fetch_join(struct mg_registry *registry, struct mg_settings *settings, mg_str platform, struct mg_want *want);
void mg_fetch_leave(struct mg_want *want);
void mg_fetches_free(struct mg_registry *registry);

/* ---- peek.c; the thread, without the lock ---- */

struct mg_peeks_order {
  struct mg_registry *registry;
  struct mg_settings *settings;
  mg_str reference, platform, scope;
  struct mg_keyring *pulls; /* counted; NULL: none */
  struct mg_box *box; /* of the image */
  struct mg_box_question question;
  /* With what was found, which is in the cache then, or NULL where memory is short; MG_REGISTRY_FETCHED, or what kept layers from
   * being read. */
  void (*done)(void *ctx, struct mg_box *box, enum mg_registry_result result);
  void *ctx;
};
/* *ret is there before `done`, which may come from within. False: out of memory, and `done` will not come. */
bool mg_peeks_start(const struct mg_peeks_order *order, struct mg_peeks **ret) __attribute__((warn_unused_result));
void mg_peeks_leave(struct mg_peeks *peeks); /* no call any more; it ends by itself */
void mg_peeks_free(struct mg_registry *registry);

/* ---- session.c; the thread, without the lock ---- */

/* Calls back those that have nothing under way, or no time left; milliseconds until the next. */
int64_t mg_sessions_call(struct mg_registry *registry);
