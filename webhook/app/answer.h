/* One review in the server: the admission function, and what is counted and logged of it. Holds the generation that reviews see:
 * a snapshot with the metrics for its policies and kinds, which a reload replaces as one. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/trace.h"
#include "http/refuse.h"

struct mg_context;
struct mg_images_options;
struct mg_snapshot;
struct mg_otlp;
struct mg_answerer;

/* Takes the reference to the snapshot, also on failure. `images` is borrowed for good; NULL: no options. */
int mg_answerer_new(struct mg_answerer **ret, struct mg_snapshot *snapshot, const char *version,
                    const struct mg_images_options *images, struct mg_err *err) __attribute__((warn_unused_result));
void mg_answerer_free(struct mg_answerer *answerer); /* NULL is fine */

/* Before the first review: how many lines of the log there may be (review_log.h), and who takes spans, which must outlive it;
 * else all, and nobody. */
void mg_answerer_tell(struct mg_answerer *answerer, unsigned lines_each_second, struct mg_otlp *otlp);

/* The HTTP status; *ret_body is in the arena. Safe in many threads; allocates nothing else. What registries have not said yet is
 * not known. */
unsigned mg_answerer_review(struct mg_answerer *answerer, bool mutate, mg_str body, struct mg_arena *arena, mg_str *ret_body);

/* The same for who can wait for registries: 0 means that there is no answer yet. Then *pending is to be waited for, and the same
 * review to be asked again with it (NULL at first). The answer ends it. */
struct mg_pending;
struct mg_review_call {
  bool mutate, may_wait;
  mg_str body;
  int64_t left_ms; /* of the caller's time-out */
  const struct mg_trace *trace; /* NULL: not known */
};
unsigned mg_answerer_review_or_wait(struct mg_answerer *answerer, const struct mg_review_call *call, struct mg_pending **pending,
                                    struct mg_arena *arena, mg_str *ret_body);
/* Calls back once, from any thread and maybe at once: when all has come, or it is time to answer without. */
void mg_pending_wait(struct mg_pending *pending, void (*done)(void *ctx), void *ctx);
void mg_pending_free(struct mg_pending *pending); /* nobody waits for the answer any more; NULL is fine */

/* Every review that begins from now on sees this snapshot, and what was counted goes on. Takes the reference, also on failure,
 * and then all is as it was. */
int mg_answerer_swap(struct mg_answerer *answerer, struct mg_snapshot *snapshot, struct mg_err *err)
  __attribute__((warn_unused_result));
/* The same for what is watched in the cluster, with the policies of now and those that come; takes the reference. Any thread. */
int mg_answerer_context(struct mg_answerer *answerer, struct mg_context *context, struct mg_err *err)
  __attribute__((warn_unused_result));
/* Frees generations that no review sees any more; false: some are left. Never called by a review, which has no time for it. */
bool mg_answerer_tidy(struct mg_answerer *answerer);

/* What serves: how many times policies were swapped, and mg_snapshot_content of those of now. */
struct mg_serving {
  uint64_t generation, content;
};
struct mg_serving mg_answerer_serving(struct mg_answerer *answerer);

void mg_answerer_refused(struct mg_answerer *answerer, enum mg_refusal why);
void mg_answerer_reloaded(struct mg_answerer *answerer, bool well);
void mg_answerer_expiry(struct mg_answerer *answerer, int64_t unix_seconds); /* of the server certificate */

void mg_answerer_metrics(struct mg_answerer *answerer, struct mg_buf *out);
/* What there is, for /readyz?verbose. */
void mg_answerer_describe(struct mg_answerer *answerer, struct mg_buf *out);
