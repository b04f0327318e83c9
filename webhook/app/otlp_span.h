/* One span, small enough to be copied, and the JSON of many. Private to app/otlp.c. */
#pragma once
#include "app/review_log.h"

#define MG_SPAN_TEXT 128

struct mg_span {
  struct mg_trace trace; /* with the span's own id */
  char parent[MG_SPAN_ID];
  bool has_parent, mutate, decided, allowed, patched;
  unsigned status;
  uint64_t start, end; /* Unix nanoseconds */
  const char *operation;
  /* Cut where they are longer. */
  char uid[MG_SPAN_TEXT / 2], kind[MG_SPAN_TEXT], ns[MG_SPAN_TEXT / 2], name[2 * MG_SPAN_TEXT], policies[2 * MG_SPAN_TEXT];
};

/* All but trace and parent, as of now. */
void mg_span_fill(struct mg_span *span, const struct mg_reviewed *reviewed, struct mg_arena *arena);

/* An ExportTraceServiceRequest. instance: service.instance.id; "": none. */
void mg_spans_write(struct mg_buf *out, const struct mg_span *spans, size_t count, const char *version, const char *instance);
