/* Spans of reviews, sent to a collector as OTLP over HTTP in JSON. A review puts its span into a bounded queue and goes on; a
 * thread sends them in batches. What the collector does not take in time is dropped and counted, never waited for. */
#pragma once
#include "app/review_log.h"

#define MG_OTLP_QUEUE 2048 /* spans that wait */
#define MG_OTLP_BATCH 256
#define MG_OTLP_DELAY_MS 1000 /* until a batch that is not full goes */
#define MG_OTLP_TIMEOUT_MS 5000
#define MG_OTLP_TRIES 4 /* at a batch, where the collector says that it may be tried again */

struct mg_otlp_options {
  const char *endpoint; /* http:// or https://; "/v1/traces" is put behind a path that does not end so */
  const char *ca_file;  /* NULL: the system's */
  const char *version;  /* service.version */
};

struct mg_otlp;

int mg_otlp_start(const struct mg_otlp_options *options, struct mg_otlp **ret, struct mg_err *err)
  __attribute__((warn_unused_result));
/* Sends what waits, for at most a second, and ends the thread. NULL is fine. */
void mg_otlp_stop(struct mg_otlp *otlp);

/* A review that is over, unless its caller's trace is not sampled; where it has none, one begins. The reviewed's trace then is
 * that of the span. Any thread; waits for nothing. */
void mg_otlp_review(struct mg_otlp *otlp, struct mg_reviewed *reviewed, struct mg_arena *arena);

/* NULL is fine: none were sent. */
void mg_otlp_metrics(struct mg_otlp *otlp, struct mg_buf *out);
