/* What a report format is: one file and one row of the list below. */
#pragma once
#include "report/report.h"

#define MG_SINK_MAX ((size_t)512 << 20) /* of text that waits for its place in the report */

/* One report on its way. `out` is written when it has grown, in order; the others wait for `end`. */
struct mg_sink {
  int fd;
  int error; /* errno of a failed write, or 0 */
  struct mg_buf out, results, errors, exceptions, scratch;
};

struct mg_format {
  const char *name, *doc;
  void (*result)(struct mg_sink *sink, const struct mg_report_result *result);
  void (*error)(struct mg_sink *sink, const struct mg_report_error *error);
  void (*exception)(struct mg_sink *sink, const struct mg_report_exception *exception);
  void (*end)(struct mg_sink *sink, const struct mg_report_totals *totals);
};

/* A row for each. */
#define MG_FORMATS(FORMAT) \
  FORMAT(text)             \
  FORMAT(json)

#define MG_FORMAT_DECLARED(name) extern const struct mg_format mg_format_##name;
MG_FORMATS(MG_FORMAT_DECLARED)
#undef MG_FORMAT_DECLARED

/* Writes the buffer to the report's place and empties it. */
void mg_sink_write(struct mg_sink *sink, struct mg_buf *buf);
/* The text without what might mislead a terminal, as a JSON string. */
void mg_sink_json(struct mg_sink *sink, struct mg_buf *to, mg_str text);
