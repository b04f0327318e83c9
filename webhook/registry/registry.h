/* Images asked for at their registries: OCI distribution over HTTPS, one thread, one look-up an image however many wait for
 * it, facts kept by digest.
 *
 * Nothing here blocks a thread of the server: a review asks through a session; what is not there yet is fetched meanwhile, and
 * the session calls back when all of it has come. A look-up goes on when nobody waits any more, so that the next review finds
 * it. */
#pragma once
#include "base/err.h"
#include "policy/policy.h"
#include "registry/quota.h"

#define MG_REGISTRY_MANIFEST_MAX ((size_t)4 << 20)
#define MG_REGISTRY_CONFIG_MAX ((size_t)8 << 20)
#define MG_REGISTRY_TOKEN_MAX ((size_t)64 << 10)
#define MG_REGISTRY_PEEK ((size_t)64 << 10)       /* of one layer at first, */
#define MG_REGISTRY_PEEK_ALL ((size_t)160 << 10)  /* and of all layers of an image that are looked into */
#define MG_REGISTRY_PEEKS_MAX 40                  /* layers that are looked into at a time, the largest first: 4 KiB of each */
#define MG_REGISTRY_MORE_ALL ((size_t)1 << 20)    /* of all whose first bytes show nothing, once more */
#define MG_REGISTRY_MORE_MIN ((size_t)32 << 10)   /* of one of them; the largest first */
#define MG_REGISTRY_HOP ((size_t)4 << 10)         /* of each file of a layer that is not packed, at most MG_REGISTRY_HOPS_MAX */
#define MG_REGISTRY_HOPS_MAX 16
#define MG_REGISTRY_TOC_MAX ((size_t)8 << 20)     /* of a table of contents, where the first bytes show nothing */
#define MG_REGISTRY_HEADS_MAX 64                  /* layers whose size is asked for at a time */
#define MG_REGISTRY_TAG_SECONDS 60                /* that a tag is taken for the same digest */
#define MG_REGISTRY_REVIEW_MAX 1024               /* images of one review */
#define MG_REGISTRY_RUN_MAX 16384                 /* images of one run of a command, 768 of a registry at a time */
#define MG_REGISTRY_FACTS_MAX 10000               /* images in memory; the least recently used goes first */

/* The API server, for the pull secrets of pods. "": none. */
struct mg_registry_api {
  const char *server, *ca_file, *token_file;
};

struct mg_registry_options {
  const struct mg_registry_host *hosts; /* mg_snapshot_registries; copied, strings and all */
  uint32_t host_count;
  const char *auth_file;   /* credentials for hosts that name none of their own; NULL: none */
  const char *cache_dir;   /* facts by digest on disk; NULL: memory only */
  bool offline;            /* answer from the cache alone */
  const struct mg_registry_api *api; /* NULL: pull secrets are not read; the same for as long as a registry lives */
};

struct mg_registry;

/* Starts the thread. */
int mg_registry_new(struct mg_registry **ret, const struct mg_registry_options *options, struct mg_err *err)
  __attribute__((warn_unused_result));
/* Look-ups from now on use these; facts stay. */
int mg_registry_configure(struct mg_registry *registry, const struct mg_registry_options *options, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_registry_free(struct mg_registry *registry); /* ends look-ups under way; NULL is fine. No session may be left. */

/* What one review asks. Belongs to one thread at a time. */
struct mg_registry_session;
int mg_registry_session_new(struct mg_registry_session **ret, struct mg_registry *registry) __attribute__((warn_unused_result));
/* It may ask for up to MG_REGISTRY_RUN_MAX images, and what is too much at a time waits until it is asked for again. For the
 * command line. */
void mg_registry_session_patient(struct mg_registry_session *session);
void mg_registry_session_free(struct mg_registry_session *session); /* gives up waiting, lets go of the facts; NULL is fine */
/* The interface for rules. */
struct mg_images mg_registry_session_images(struct mg_registry_session *session);
/* Images that were asked for and are still under way. */
uint32_t mg_registry_session_waiting(const struct mg_registry_session *session);
/* Calls back once, on the registry's thread, when nothing is under way any more or after so many ms; at once, from this call, if
 * nothing is. The callback must be quick and must not free the session. */
void mg_registry_session_notify(struct mg_registry_session *session, int64_t ms, void (*done)(void *ctx), void *ctx);
/* Blocks until then, or for so many ms. True: all has come. For the command line. */
bool mg_registry_session_wait(struct mg_registry_session *session, int64_t ms);
/* From now on what is under way is answered MG_IMAGE_UNKNOWN instead of MG_IMAGE_WAIT: the time is over. */
void mg_registry_session_late(struct mg_registry_session *session);

enum mg_registry_result {
  MG_REGISTRY_HIT, MG_REGISTRY_FETCHED, MG_REGISTRY_NOT_FOUND, MG_REGISTRY_DENIED, MG_REGISTRY_THROTTLED, MG_REGISTRY_TIMEOUT,
  MG_REGISTRY_UNREACHABLE, MG_REGISTRY_INVALID, MG_REGISTRY_LATE, MG_REGISTRY_RESULTS
};
extern const char *const mg_registry_result_words[]; /* for mlgate_image_lookups_total{result} */
uint64_t mg_registry_count(const struct mg_registry *registry, enum mg_registry_result result);

enum mg_pull_result {
  MG_PULL_READ, MG_PULL_FORBIDDEN, MG_PULL_NOT_FOUND, MG_PULL_MALFORMED, MG_PULL_FAILED, MG_PULL_RESULTS
};
extern const char *const mg_pull_result_words[]; /* for mlgate_pull_secrets_total{result} */
uint64_t mg_registry_pull_count(const struct mg_registry *registry, enum mg_pull_result result);
/* What is left of the quotas that hosts tell of; under a lock, so that it should be quick. */
void mg_registry_quotas(struct mg_registry *registry, void (*each)(void *ctx, const struct mg_quota *quota), void *ctx);
