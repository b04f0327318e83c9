/* Counters of the server in Prometheus' text format 0.0.4, or OpenMetrics. Every label value is known at creation, so the hot
 * path is one or two relaxed atomic additions and the number of series has a limit that no request can move. */
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

#define MG_METRICS_NAMES_MAX 4096 /* policies, and kinds; those beyond are "other" */

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
/* A review that was answered with an error instead of a verdict. */
void mg_metrics_error(struct mg_metrics *metrics, unsigned http_status);
/* policy: index in options.policies; anything beyond is not counted. */
void mg_metrics_policy(struct mg_metrics *metrics, size_t policy, enum mg_metrics_result result);
/* Of so many reviews the policies of one are timed, which is nearly free. Odd, since /mutate and /validate take turns. */
#define MG_METRICS_TIMED 17
void mg_metrics_policy_time(struct mg_metrics *metrics, size_t policy, uint64_t nanoseconds);
void mg_metrics_refused(struct mg_metrics *metrics, enum mg_refusal why);
/* now: Unix seconds; kept as the time of the last success. */
void mg_metrics_reload(struct mg_metrics *metrics, enum mg_metrics_reload result, int64_t now);
void mg_metrics_expiry(struct mg_metrics *metrics, int64_t unix_seconds);

void mg_metrics_write(const struct mg_metrics *metrics, struct mg_buf *out);
/* The lines before a family that somebody else writes. */
void mg_metrics_head(struct mg_buf *out, const char *name, const char *type, const char *help);

#define MG_METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define MG_METRICS_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"
/* What is written is text 0.0.4. Turns it into OpenMetrics where the Accept header prefers that; the type that it then has. */
const char *mg_metrics_negotiate(mg_str accept, struct mg_buf *text);
