/* What is told of a review when it is over: a line of the log, a span. Neither ever has the object in it. */
#pragma once
#include "admit/admit.h"
#include "base/log.h"
#include "base/trace.h"

struct mg_reviewed {
  bool mutate;
  const struct mg_snapshot *snapshot;
  const struct mg_answer *answer;
  uint64_t nanoseconds;
  struct mg_trace trace; /* of the caller; once there is a span of our own, that one */
};

/* A line for each denial and each review that could not be judged, as long as there are not too many; of the allowed ones, at
 * level debug, the first and then a sample. */
struct mg_review_log {
  struct mg_log_rate denied, undecided;
  _Atomic uint64_t allowed;
};
/* Lines a second of each of the two, ten times as many at once; 0: all. */
void mg_review_log_init(struct mg_review_log *log, unsigned each_second);
void mg_review_log_write(struct mg_review_log *log, const struct mg_reviewed *reviewed, struct mg_arena *arena);

/* Their names with commas, cut at MG_LOG_VALUE. */
mg_str mg_denying_policies(const struct mg_reviewed *reviewed, struct mg_arena *arena);
