/* A file of our own with one document that is read strictly: what is wrong is told with file, line, column and a caret. */
#pragma once
#include "doc/decode.h"

#define MG_STRICT_ARENA ((size_t)256 << 20)
#define MG_STRICT_CELLS 2000000
#define MG_STRICT_DEPTH 32

struct mg_strict {
  struct mg_arena arena; /* everything that is read, as long as this */
  struct mg_diags diags;
  struct mg_load load;
  const char *path;
  mg_node root; /* absent: an empty file, or one that cannot be parsed */
};

/* What cannot be parsed is in the diagnostics. MG_E_IO: it cannot be read; MG_E_NOMEM, MG_E_LIMIT. */
int mg_strict_read(struct mg_strict *strict, const char *path, struct mg_err *err);
void mg_strict_fini(struct mg_strict *strict); /* also of a zeroed one */

/* Prints what was found to standard error. MG_E_INVALID: there were errors; MG_E_NOMEM. */
int mg_strict_end(struct mg_strict *strict, struct mg_err *err);
