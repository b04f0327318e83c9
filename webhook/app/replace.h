/* A file written as a whole or not at all. */
#pragma once
#include "base/err.h"

/* What is no regular file (/dev/stdout, a pipe) is written as it comes; a link stays, and what it leads to is replaced. A file
 * that is there keeps its mode. MG_E_IO. */
int mg_replace_file(const char *path, mg_str text, struct mg_err *err);
