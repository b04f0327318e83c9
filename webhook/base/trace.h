/* W3C Trace Context: where a request stands in a trace, as its `traceparent` header says. */
#pragma once
#include "base/str.h"

#define MG_TRACE_ID 32 /* hexadecimal digits */
#define MG_SPAN_ID 16

struct mg_trace {
  bool known; /* else nothing below says anything */
  bool sampled;
  char trace[MG_TRACE_ID], span[MG_SPAN_ID]; /* of the caller; no NUL behind them */
};

/* False, and not known: it is none, to the letter; a later version's may be longer. */
bool mg_trace_read(mg_str header, struct mg_trace *ret);

static inline mg_str mg_trace_id(const struct mg_trace *trace) {
  return (mg_str){trace->trace, MG_TRACE_ID};
}

static inline mg_str mg_trace_span(const struct mg_trace *trace) {
  return (mg_str){trace->span, MG_SPAN_ID};
}
