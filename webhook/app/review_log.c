#include "app/review_log.h"

#define ALLOWED_FIRST 100 /* allowed reviews that are logged one by one at level debug; then each ALLOWED_EACHth */
#define ALLOWED_EACH 100
#define AT_ONCE 10 /* seconds' worth of lines */

void mg_review_log_init(struct mg_review_log *log, unsigned each_second) {
  log->denied.burst = log->undecided.burst = each_second * AT_ONCE;
  log->denied.each_second = log->undecided.each_second = each_second;
}

mg_str mg_denying_policies(const struct mg_reviewed *r, struct mg_arena *arena) {
  const struct mg_summary *s = &r->answer->summary;
  struct mg_buf names;
  mg_buf_init(&names, arena, MG_LOG_VALUE + 1);
  for (uint32_t i = 0; s->policy_results && i < mg_snapshot_policy_count(r->snapshot) && !names.failed; i++) {
    if (s->policy_results[i] != MG_RESULT_DENY) continue;
    if (names.n) mg_buf_byte(&names, ',');
    mg_buf_put(&names, mg_snapshot_policy(r->snapshot, i)->name);
  }
  return mg_buf_str(&names);
}

static bool is_let(struct mg_review_log *log, const struct mg_summary *s, uint64_t *held) {
  if (!s->decided) return mg_log_let(&log->undecided, held);
  if (!s->allowed) return mg_log_let(&log->denied, held);
  uint64_t n = atomic_fetch_add_explicit(&log->allowed, 1, memory_order_relaxed);
  return n < ALLOWED_FIRST || n % ALLOWED_EACH == 0;
}

static void put_known(struct mg_log_line *line, const char *key, mg_str value) {
  if (value.n) mg_log_str(line, key, value);
}

static void put_request(struct mg_log_line *line, const struct mg_reviewed *r) {
  const struct mg_summary *s = &r->answer->summary;
  mg_log_str(line, "path", r->mutate ? MG_S("/mutate") : MG_S("/validate"));
  put_known(line, "uid", s->uid);
  put_known(line, "kind", s->kind);
  put_known(line, "namespace", s->ns);
  put_known(line, "name", s->name);
  put_known(line, "user", s->user);
  if (s->decided) mg_log_str(line, "operation", mg_str_of(mg_operation_words[s->operation]));
  if (!r->trace.known) return;
  mg_log_str(line, "trace_id", mg_trace_id(&r->trace));
  mg_log_str(line, "span_id", mg_trace_span(&r->trace));
}

/* A line is large, and the compiler clears it: its own function, for those that are written. */
static __attribute__((noinline)) void write_line(enum mg_log_level level, uint64_t held, const struct mg_reviewed *r,
                                                 struct mg_arena *arena) {
  const struct mg_summary *s = &r->answer->summary;
  struct mg_log_line line;
  mg_log_begin(&line, level, !s->decided ? "not reviewed" : s->allowed ? "allowed" : "denied");
  put_request(&line, r);
  mg_log_str(&line, "decision", !s->decided ? MG_S("error") : s->allowed ? MG_S("allow") : MG_S("deny"));
  if (!s->decided) mg_log_int(&line, "status", r->answer->http_status);
  if (s->decided && !s->allowed) mg_log_str(&line, "policies", mg_denying_policies(r, arena));
  if (s->decided && s->allowed) mg_log_bool(&line, "patched", s->patched);
  put_known(&line, "message", s->message);
  mg_log_int(&line, "duration_us", (int64_t)(r->nanoseconds / 1000));
  if (held) mg_log_int(&line, "held_back", (int64_t)held);
  mg_log_end(&line);
}

void mg_review_log_write(struct mg_review_log *log, const struct mg_reviewed *r, struct mg_arena *arena) {
  const struct mg_summary *s = &r->answer->summary;
  enum mg_log_level level = !s->decided ? MG_LOG_WARN : s->allowed ? MG_LOG_DEBUG : MG_LOG_INFO;
  uint64_t held = 0;
  if (mg_log_is_on(level) && is_let(log, s, &held)) write_line(level, held, r, arena);
}
