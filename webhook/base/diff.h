/* The differences of two texts, line by line. */
#pragma once
#include "base/buf.h"

/* Unified, three lines of context, without the two lines that name the texts; nothing where they are the same. Line breaks may be
 * \n or \r\n, which differ. Texts that are large and very different are shown as one change. */
void mg_diff(struct mg_buf *out, mg_str before, mg_str after);
