/* What became of a text, as a unified diff that `git apply` and `patch -p1` take. */
#pragma once
#include "base/buf.h"

/* Nothing where the two are the same. Always right; the shortest where changes are small. */
void mg_line_diff(struct mg_buf *out, mg_str path, mg_str before, mg_str after);
