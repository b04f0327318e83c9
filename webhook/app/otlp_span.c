#include "app/otlp_span.h"

#include <inttypes.h>
#include <time.h>

static void keep(char *to, size_t room, mg_str s) {
  size_t n = s.n < room ? s.n : room - 1;
  if (n) memcpy(to, s.p, n);
  to[n] = '\0';
}

void mg_span_fill(struct mg_span *span, const struct mg_reviewed *r, struct mg_arena *arena) {
  const struct mg_summary *s = &r->answer->summary;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  span->end = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
  span->start = span->end - r->nanoseconds;
  span->mutate = r->mutate;
  span->decided = s->decided;
  span->allowed = s->allowed;
  span->patched = s->patched;
  span->status = r->answer->http_status;
  span->operation = s->decided ? mg_operation_words[s->operation] : "";
  keep(span->uid, sizeof span->uid, s->uid);
  keep(span->kind, sizeof span->kind, s->kind);
  keep(span->ns, sizeof span->ns, s->ns);
  keep(span->name, sizeof span->name, s->name);
  keep(span->policies, sizeof span->policies, s->decided && !s->allowed ? mg_denying_policies(r, arena) : (mg_str){0});
}

/* ---- JSON ---- */

static void put_text(struct mg_buf *out, const char *key, const char *value) {
  if (!*value) return;
  mg_buf_printf(out, ",{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
  mg_buf_json(out, mg_str_of(value));
  mg_buf_lit(out, "}}");
}

static const char *decision(const struct mg_span *span) {
  return !span->decided ? "error" : span->allowed ? "allow" : "deny";
}

static void put_attributes(struct mg_buf *out, const struct mg_span *span) {
  mg_buf_printf(out, "{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"%u\"}}", span->status);
  put_text(out, "url.path", span->mutate ? "/mutate" : "/validate");
  put_text(out, "mlgate.decision", decision(span));
  put_text(out, "mlgate.policies", span->policies);
  put_text(out, "mlgate.uid", span->uid);
  put_text(out, "mlgate.operation", span->operation);
  put_text(out, "k8s.namespace.name", span->ns);
  put_text(out, "mlgate.kind", span->kind);
  put_text(out, "mlgate.name", span->name);
  if (span->decided && span->mutate)
    mg_buf_printf(out, ",{\"key\":\"mlgate.patched\",\"value\":{\"boolValue\":%s}}", span->patched ? "true" : "false");
}

static void put_span(struct mg_buf *out, const struct mg_span *span) {
  mg_buf_printf(out, "{\"traceId\":\"%.*s\",\"spanId\":\"%.*s\",", MG_TRACE_ID, span->trace.trace, MG_SPAN_ID, span->trace.span);
  if (span->has_parent) mg_buf_printf(out, "\"parentSpanId\":\"%.*s\",", MG_SPAN_ID, span->parent);
  mg_buf_printf(out, "\"name\":\"%s\",\"kind\":2,\"startTimeUnixNano\":\"%" PRIu64 "\",\"endTimeUnixNano\":\"%" PRIu64 "\",",
                span->mutate ? "POST /mutate" : "POST /validate", span->start, span->end);
  mg_buf_lit(out, "\"attributes\":[");
  put_attributes(out, span);
  mg_buf_printf(out, "],\"status\":{%s}}", span->status >= 500 ? "\"code\":2" : "");
}

void mg_spans_write(struct mg_buf *out, const struct mg_span *spans, size_t count, const char *version, const char *instance) {
  mg_buf_lit(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
  mg_buf_lit(out, "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"mlgate\"}}");
  put_text(out, "service.version", version);
  put_text(out, "service.instance.id", instance);
  mg_buf_lit(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"mlgate\"},\"spans\":[");
  for (size_t i = 0; i < count; i++) {
    if (i) mg_buf_byte(out, ',');
    put_span(out, &spans[i]);
  }
  mg_buf_lit(out, "]}]}]}");
}
