/* Counters of the server in Prometheus' text format 0.0.4. Every label value is known at creation, so the hot path
 * is one or two relaxed atomic additions and the number of series has a limit that no request can move. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "http/refuse.h"

enum mg_metrics_operation {
  MG_METRICS_CREATE,
  MG_METRICS_UPDATE,
  MG_METRICS_DELETE,
  MG_METRICS_CONNECT,
  MG_METRICS_OTHER_OPERATION,
  MG_METRICS_OPERATIONS,
};
enum mg_metrics_operation mg_metrics_operation(mg_str operation);

enum mg_metrics_result {
  MG_METRICS_PASS,    /* matched, nothing to say */
  MG_METRICS_MUTATE,  /* matched and changed the object */
  MG_METRICS_DENY,    /* violation of an enforced policy */
  MG_METRICS_WARN,
  MG_METRICS_AUDIT,
  MG_METRICS_EXEMPT,  /* violation excused by an exception */
  MG_METRICS_ERROR,   /* could not decide */
  MG_METRICS_RESULTS,
};

enum mg_metrics_reload {
  MG_METRICS_RELOAD_OK,
  MG_METRICS_RELOAD_FAILED,
  MG_METRICS_RELOADS,
};

#define MG_METRICS_NAMES_MAX 4096 /* policies, and kinds */

struct mg_metrics;

struct mg_metrics_options {
  const char *version;
  const char *const *kinds; /* names are copied; the kind "other" is added behind them */
  size_t n_kinds;
  const char *const *policies;
  size_t n_policies;
};

int mg_metrics_new(const struct mg_metrics_options *options, struct mg_metrics **ret_metrics, struct mg_err *err)
  __attribute__((warn_unused_result));
struct mg_metrics *mg_metrics_ref(struct mg_metrics *metrics);
void mg_metrics_unref(struct mg_metrics *metrics); /* NULL is fine */

/* Takes what `from` has counted, policies and kinds by name, for a reload that brings other policies; `from` begins at 0 again.
 * Both may be in use: called once more when `from` no longer is, nothing was lost or counted twice. The certificate's end and the
 * time of the last reload are taken where `metrics` has none. */
void mg_metrics_carry(struct mg_metrics *metrics, struct mg_metrics *from);

/* kind: index in options.kinds; anything beyond is "other". */
void mg_metrics_review(struct mg_metrics *metrics, enum mg_metrics_operation operation, size_t kind, bool allowed,
                       uint64_t nanoseconds);
/* policy: index in options.policies; anything beyond is not counted. */
void mg_metrics_policy(struct mg_metrics *metrics, size_t policy, enum mg_metrics_result result);
void mg_metrics_refused(struct mg_metrics *metrics, enum mg_refusal why);
/* now: Unix seconds; kept as the time of the last success. */
void mg_metrics_reload(struct mg_metrics *metrics, enum mg_metrics_reload result, int64_t now);
void mg_metrics_expiry(struct mg_metrics *metrics, int64_t unix_seconds);

void mg_metrics_write(const struct mg_metrics *metrics, struct mg_buf *out);
/* The lines before a family that somebody else writes. */
void mg_metrics_head(struct mg_buf *out, const char *name, const char *type, const char *help);
