/* The context as the cluster has it now: the kinds that policies need, each followed (cluster/follow.h), in one thread. Whenever
 * something changed, a new context is published, at most every MG_LIVE_GATHER_MS: a burst of changes costs one. */
#pragma once
#include "base/buf.h"
#include "cluster/api.h"
#include "kube/context.h"

#define MG_LIVE_GATHER_MS 50
#define MG_LIVE_STALE_MS 60000
#define MG_LIVE_WAIT_MS 10000

struct mg_live_options {
  struct mg_api_options api;
  int64_t stale_ms; /* without contact for so long, what is known counts as not known; 0: the above */
  int64_t wait_ms;  /* for the first lists, before the server is ready all the same; < 0: the above */
  /* Takes the reference; called by the thread. */
  void (*publish)(void *ctx, struct mg_context *context);
  void *ctx;
};

struct mg_live;

/* Reads the token, asks nothing of the server. The time to wait begins. */
int mg_live_new(const struct mg_live_options *options, struct mg_live **ret, struct mg_err *err)
  __attribute__((warn_unused_result));
int mg_live_start(struct mg_live *live, struct mg_err *err) __attribute__((warn_unused_result));
/* Ends the thread and its connections. NULL is fine, and so is one that was not started. */
void mg_live_stop(struct mg_live *live);
void mg_live_free(struct mg_live *live); /* stops it first; NULL is fine */

/* Of the kinds that policies need, those that are followed. */
uint32_t mg_live_kinds(uint32_t needs);
/* From any thread: the kinds that policies need from now on, bits as in kube/context.h. What nobody needs is forgotten. */
void mg_live_need(struct mg_live *live, uint32_t needs);

/* Whether a server may say that it is ready: all that is needed has been listed once, or wait_ms are over. An API server that is
 * away must not keep the webhook away too, which stands before it; policies say what they do meanwhile. Stays true. */
bool mg_live_ready(struct mg_live *live);

/* For /readyz?verbose and /metrics. */
void mg_live_describe(struct mg_live *live, struct mg_buf *out);
void mg_live_metrics(struct mg_live *live, struct mg_buf *out);
