/* One review in the server: the admission function, and what is counted and logged of it. Holds the generation that reviews see:
 * a snapshot with the metrics for its policies and kinds, which a reload replaces as one. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "http/refuse.h"

struct mg_snapshot;
struct mg_answerer;

/* Takes the reference to the snapshot, also on failure. */
int mg_answerer_new(struct mg_answerer **ret, struct mg_snapshot *snapshot, const char *version, struct mg_err *err)
  __attribute__((warn_unused_result));
void mg_answerer_free(struct mg_answerer *answerer); /* NULL is fine */

/* The HTTP status; *ret_body is in the arena. Safe in many threads; allocates nothing else. */
unsigned mg_answerer_review(struct mg_answerer *answerer, bool mutate, mg_str body, struct mg_arena *arena, mg_str *ret_body);

/* Every review that begins from now on sees this snapshot, and what was counted goes on. One caller at a time; takes the
 * reference, also on failure, and then all is as it was. */
int mg_answerer_swap(struct mg_answerer *answerer, struct mg_snapshot *snapshot, struct mg_err *err)
  __attribute__((warn_unused_result));
/* Frees generations that no review sees any more; false: some are left. Never called by a review, which has no time for it. */
bool mg_answerer_tidy(struct mg_answerer *answerer);

void mg_answerer_refused(struct mg_answerer *answerer, enum mg_refusal why);
void mg_answerer_reloaded(struct mg_answerer *answerer, bool well);
void mg_answerer_expiry(struct mg_answerer *answerer, int64_t unix_seconds); /* of the server certificate */

void mg_answerer_metrics(struct mg_answerer *answerer, struct mg_buf *out);
/* What there is, for /readyz?verbose. */
void mg_answerer_describe(struct mg_answerer *answerer, struct mg_buf *out);
