/* Where a finding stands: what is to be underlined, the lines around it, and the name of its file for others than people. */
#pragma once
#include "report/format.h"

/* From where the finding points to, to the end of the key, or of its value where that is a scalar on the same line. Never more
 * than one line: who looks at a diff is shown only what lies in it as a whole. */
struct mg_region {
  uint32_t line, column, end_column; /* code points; end_column is the first behind it, or column where that is not known */
  mg_str source;                     /* of the file */
  size_t start, end;                 /* bytes of it */
};
struct mg_region mg_region_of(const struct mg_report_result *result, const struct mg_violation *violation);

/* One line of an excerpt, without its end. */
struct mg_excerpt {
  uint32_t number;
  mg_str before, marked, after; /* marked is empty but in the region's line */
  bool cut_before, cut_after;   /* the line is longer */
};
#define MG_EXCERPT_LINES 5
/* The region's line and two before and behind it; the result is how many there are. */
size_t mg_excerpt_of(const struct mg_region *region, struct mg_excerpt lines[MG_EXCERPT_LINES]);

/* The line that holds the byte, without its end; some thousand bytes either way of a longer one. */
mg_str mg_line_at(mg_str source, size_t offset);

/* Finds out the base; `to` keeps its texts. */
void mg_base_find(struct mg_base *base, struct mg_buf *to);
/* The file seen from the top of the repository, in sink->path; one that is not in it keeps its absolute name, and *ret_inside is
 * false. */
mg_str mg_sink_path(struct mg_sink *sink, const char *file, bool *ret_inside);
