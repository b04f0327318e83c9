/* A line on a terminal that tells how far a long run is. Nothing is written where standard error is none, and nothing in the
 * first second. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mg_progress {
  bool on, shown;
  int64_t due; /* when it is to be drawn next */
  size_t of;
};

void mg_progress_start(struct mg_progress *progress, size_t of);
/* So many files are done. */
void mg_progress_tell(struct mg_progress *progress, size_t done);
/* Before anything else is written to a terminal, and at the end. */
void mg_progress_erase(struct mg_progress *progress);
