/* One question to a registry with all that it may take: the mirror first, TLS or not, challenges, tokens, redirects. The
 * registry's thread only. */
#pragma once
#include "base/clock.h"
#include "registry/origin.h"
#include "registry/quota.h"
#include "registry/settings.h"

#define MG_REDIRECTS_MAX 5
#define MG_WHY_MAX 320

struct mg_answer {
  enum mg_registry_result result; /* MG_REGISTRY_FETCHED: 2xx */
  int status;                     /* 0: none */
  mg_str body, content_type, digest;
  int64_t total;                  /* registry/transfer.h */
  const char *why;                /* for people; "" where it was answered */
};

struct mg_errand_order {
  mg_str domain, repository; /* of the image */
  const char *what;          /* "manifests/latest" */
  const char *method, *accept, *range;
  size_t max;
  bool cut;
  bool pull; /* registries count it */
  struct mg_keyring *pulls; /* of pull secrets, before those of files; NULL: none. Counted */
  mg_str scope;             /* tells apart what was asked with these */
  void (*done)(void *ctx, const struct mg_answer *answer);
  void *ctx;
};

struct mg_errand;

struct mg_errands {
  struct mg_transfers *transfers;
  struct mg_origins origins;
  struct mg_quotas quotas;
  struct mg_errand *first;
  uint32_t due; /* that have not begun */
};

int mg_errands_init(struct mg_errands *errands) __attribute__((warn_unused_result));
void mg_errands_fini(struct mg_errands *errands); /* without calls */

/* Strings are copied. `done` is called once, from mg_errands_turn, and the answer is good during that call. False: out of
 * memory. */
bool mg_errand_start(struct mg_errands *errands, struct mg_settings *settings, const struct mg_errand_order *order)
  __attribute__((warn_unused_result));
void mg_errands_turn(struct mg_errands *errands, int64_t ms);
