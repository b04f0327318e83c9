/* The differences of two texts, line by line, with three lines of context; nothing where they are the same. Always right; the
 * shortest where changes are small. Line breaks may be \n or \r\n, which differ. */
#pragma once
#include "base/buf.h"

/* The hunks of a unified diff. */
void mg_diff(struct mg_buf *out, mg_str before, mg_str after);
/* What became of a file, as `git apply` and `patch -p1` take it. */
void mg_diff_file(struct mg_buf *out, mg_str path, mg_str before, mg_str after);
