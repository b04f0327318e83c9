/* What a report format is: one file and one row of MG_FORMATS in report/report.h. */
#pragma once
#include "base/write.h"
#include "report/report.h"
#include "report/seen.h"

#define MG_SINK_MAX ((size_t)512 << 20) /* of text that waits for its place in the report */
#define MG_SINK_PARTS 4

/* Where file names start from: the working directory, and the top of the repository that it is in. Empty: not known. */
struct mg_base {
  mg_str here, top;
};

/* One report on its way. `out` is written when it has grown, in order; the parts, which each format names for itself, wait until
 * it puts them there. */
struct mg_sink {
  struct mg_output to;
  int error; /* errno of a failed write, or 0 */
  bool color;
  const struct mg_base *base;
  struct mg_buf out, parts[MG_SINK_PARTS];
  bool begun;                     /* this and what follows is for the format's own use: */
  uint64_t counts[MG_SINK_PARTS];
  struct mg_seen seen;
  struct mg_buf text, path, scratch;
};

struct mg_format {
  const char *name, *doc;
  void (*result)(struct mg_sink *sink, const struct mg_report_result *result);
  void (*error)(struct mg_sink *sink, const struct mg_report_error *error);
  void (*exception)(struct mg_sink *sink, const struct mg_report_exception *exception);
  void (*end)(struct mg_sink *sink, const struct mg_report_totals *totals);
};

#define MG_FORMAT_DECLARED(name) extern const struct mg_format mg_format_##name;
MG_FORMATS(MG_FORMAT_DECLARED)
#undef MG_FORMAT_DECLARED

/* Writes the buffer to the report's place and empties it. */
void mg_sink_write(struct mg_sink *sink, struct mg_buf *buf);
/* The text without what might mislead a terminal, as a JSON string. */
void mg_sink_json(struct mg_sink *sink, struct mg_buf *to, mg_str text);
